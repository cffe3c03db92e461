"""Turns single columns of a data frame into checked arrays of ids, counts and timestamps.

Messages name columns, kinds and row numbers counted from 1 without the header, never values.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecf.data.interactions import check_ids, refuse_rows
from hecf.errors import InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_ids(series: Any, name: str) -> NDArray[np.object_]:
    """Ids as text.

    Parameters
    ----------
    series : narwhals Series
        Text, categories or whole numbers.
    name : str
        ``user`` or ``item``, for messages.

    Returns
    -------
    object array of str, shape (n,)

    Raises
    ------
    InvalidInput
        If the column is of another kind (12.0 is not the same text as 12, so floating-point
        numbers are refused) or an id is null or empty.
    """
    kind = series.dtype
    values = _values(series)
    if kind.is_integer():
        values = [None if value is None else str(int(value)) for value in values]
    elif str(kind) == "Object":
        # A mixed column of text and whole numbers, as older frames hold them.
        values = [str(value) if _is_whole(value) else value for value in values]
    elif not _is_text(kind) and any(value is not None for value in values):
        raise InvalidInput(
            f"the {name} column {series.name!r} does not hold ids",
            got=kind,
            expected="text or whole numbers",
        )
    ids = np.empty(len(values), dtype=object)
    ids[:] = values
    check_ids(name, ids)
    return ids


def read_ratings(series: Any) -> NDArray[np.float64]:
    """Numbers of a column of counts or ratings.

    Parameters
    ----------
    series : narwhals Series
        Numbers, or text that spells them.

    Returns
    -------
    float64 array, shape (n,)

    Raises
    ------
    InvalidInput
        If a rating is null, NaN, infinite, negative or no number.
    """
    label = f"rating in column {series.name!r}"
    values = _values(series)
    missing = np.array([value is None for value in values], dtype=np.bool_)
    refuse_rows(f"{label} is missing", missing, "a number in every row")
    if series.dtype.is_numeric():
        ratings = np.array([float(value) for value in values], dtype=np.float64)
    elif _is_text(series.dtype) or str(series.dtype) == "Object":
        parsed = [_parsed(value, _to_float) for value in values]
        wrong = np.array([number is None for number in parsed], dtype=np.bool_)
        refuse_rows(f"{label} is not a number", wrong, "numbers such as 3 or 0.5")
        ratings = np.array(parsed, dtype=np.float64)
    else:
        raise InvalidInput(f"{label} is not a number", got=series.dtype, expected="numbers")
    refuse_rows(f"{label} is NaN or infinite", ~np.isfinite(ratings), "finite numbers")
    refuse_rows(f"{label} is negative", ratings < 0, "numbers of at least 0")
    return ratings


def read_timestamps(series: Any) -> NDArray[np.int64]:
    """Timestamps as whole numbers.

    Parameters
    ----------
    series : narwhals Series
        Whole numbers, dates, times, or text of whole numbers or of ISO 8601.

    Returns
    -------
    int64 array, shape (n,)
        Whole numbers as they are; dates and times in microseconds since 1970 UTC.

    Raises
    ------
    InvalidInput
        If a timestamp is null, of another kind, or does not fit 64 bits.
    """
    label = f"timestamp in column {series.name!r}"
    null = np.asarray(series.is_null().to_numpy(), dtype=np.bool_)
    refuse_rows(f"{label} is missing", null, "a timestamp in every row")
    kind = str(series.dtype).partition("(")[0]
    if kind in ("Date", "Datetime"):
        return np.asarray(series.dt.timestamp("us").to_numpy(), dtype=np.int64)
    expected = "all rows whole numbers of 64 bits, or all ISO 8601 times"
    if not (series.dtype.is_integer() or _is_text(series.dtype) or kind == "Object"):
        raise InvalidInput(f"{label} is of another kind", got=series.dtype, expected=expected)
    values = _values(series)
    # The first row decides, so that one column never mixes two units.
    convert = _to_integer if _parsed(values[0], _to_integer) is not None else _to_microseconds
    parsed = [_parsed(value, convert) for value in values]
    wrong = np.array([stamp is None for stamp in parsed], dtype=np.bool_)
    refuse_rows(f"{label} cannot be read", wrong, expected)
    return np.array(parsed, dtype=np.int64)


def _values(series: Any) -> list[Any]:
    """Values as Python objects, with every way of saying null as None."""
    null = series.is_null().to_numpy()
    try:
        values = series.to_list()
    except UnicodeDecodeError:
        raise InvalidInput(
            f"the column {series.name!r} is not valid text", got="other bytes", expected="UTF-8"
        ) from None
    return [None if gone else value for gone, value in zip(null, values, strict=True)]


def _is_text(kind: Any) -> bool:
    return str(kind).partition("(")[0] in ("String", "Categorical", "Enum")


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _parsed(value: Any, convert: Callable[[Any], Any]) -> Any:
    try:
        return convert(value)
    except (ValueError, TypeError, OverflowError):
        return None


def _to_float(value: Any) -> float:
    # Python reads 1_000 as a number, other readers of the same file do not.
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
        raise ValueError
    return float(value)


def _to_integer(value: Any) -> int:
    if isinstance(value, str):
        if "_" in value:
            raise ValueError
        # Some writers spell whole seconds as 978300760.0, which a float64 holds exactly.
        number = int(value.removesuffix(".0"))
    elif not _is_whole(value):
        raise ValueError
    else:
        number = int(value)
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError
    return number


def _to_microseconds(value: Any) -> int:
    moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if not isinstance(moment, datetime):
        raise TypeError
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)
