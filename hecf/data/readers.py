"""Reads interactions from Parquet and CSV files and from data frames, and refuses unclear data.

All of them end in one frame reader, so a file and a frame with the same rows give the same table.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from hecf.data._columns import read_ids, read_ratings, read_timestamps
from hecf.data._optional import optional_module
from hecf.data.interactions import InteractionTable, encode_ids, refuse_rows
from hecf.errors import InvalidInput

EXTRA = "data"
_BROKEN_LINE = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")


@dataclass(frozen=True)
class ColumnNames:
    """What the columns of the user's data are called.

    Parameters
    ----------
    user, item : str
        Columns that must be there.
    rating, timestamp : str or None
        Columns that may be missing under their default names. Under another name they must be
        there, because leaving out a column that somebody named would hide a typing error. None
        leaves the column unread.

    Raises
    ------
    InvalidInput
        If a name is empty or used twice.
    """

    user: str = "user_id"
    item: str = "item_id"
    rating: str | None = "rating"
    timestamp: str | None = "timestamp"

    def __post_init__(self) -> None:
        names = [self.user, self.item]
        names += [name for name in (self.rating, self.timestamp) if name is not None]
        if not all(isinstance(name, str) and name for name in names):
            raise InvalidInput("a column name is empty or not text", got=names, expected="texts")
        if len(set(names)) != len(names):
            raise InvalidInput(
                "one column is named for two purposes", got=names, expected="different names"
            )

    def present_in(self, available: list[str]) -> dict[str, str]:
        """Names of the columns to read, by purpose.

        Raises
        ------
        InvalidInput
            If a required column is missing or a column to be read occurs twice.
        """
        chosen: dict[str, str] = {}
        for field in fields(self):
            name = getattr(self, field.name)
            if name is None:
                continue
            if available.count(name) > 1:
                raise InvalidInput(
                    f"the column {name!r} occurs more than once",
                    got=_listed(available),
                    expected="different columns",
                )
            required = field.name in ("user", "item") or name != field.default
            if name in available:
                chosen[field.name] = name
            elif required:
                raise InvalidInput(
                    f"there is no {field.name} column {name!r}",
                    got=f"columns {_listed(available)}",
                    expected=f"{name!r} among them",
                )
        return chosen


_DEFAULT_COLUMNS = ColumnNames()


def read_interactions(
    path: str | os.PathLike[str], columns: ColumnNames = _DEFAULT_COLUMNS
) -> InteractionTable:
    """Read interactions from a ``.parquet`` or ``.csv`` file.

    Parameters
    ----------
    path : path
        CSV is UTF-8 with commas and one line of column names; its ids keep leading zeros.
    columns : ColumnNames
        ``user_id,item_id[,rating][,timestamp]`` unless said otherwise.

    Returns
    -------
    InteractionTable
        In the order of the file. Without a rating every count is 1.0.

    Raises
    ------
    InvalidInput
        If the file is missing, not a file, of another kind, broken or empty, a column is
        missing, or a row is refused as in :func:`interactions_from_frame`.
    ConfigurationError
        If pyarrow or narwhals is not installed.

    Notes
    -----
    A frame carries more kinds of columns than CSV; use :func:`interactions_from_frame` for
    anything that is in memory already.
    """
    file = Path(path)
    readers = {".parquet": _read_parquet, ".csv": _read_csv}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise InvalidInput(
            f"interactions in {file.name!r} have an unknown format",
            got=f"extension {file.suffix!r}",
            expected=f"one of {', '.join(readers)}",
        )
    try:
        if not file.exists():
            raise InvalidInput(f"there is no file {str(file)!r}")
        if not file.is_file():
            raise InvalidInput(f"{str(file)!r} is not a file", got="a folder or device")
        if file.stat().st_size == 0:
            raise InvalidInput(f"the file {file.name!r} is empty", got="0 bytes")
        table = reader(file, columns)
    except OSError as error:
        raise InvalidInput(f"the file {file.name!r} cannot be read", got=error.strerror) from None
    return interactions_from_frame(table, columns)


def interactions_from_frame(
    frame: Any, columns: ColumnNames = _DEFAULT_COLUMNS
) -> InteractionTable:
    """Take interactions from any data frame that narwhals knows.

    Parameters
    ----------
    frame : pandas, polars, pyarrow or other frame
        Ids are text or whole numbers; ratings are numbers; timestamps are whole numbers, dates
        or times (which become microseconds since 1970 UTC; times without a zone count as UTC).
    columns : ColumnNames
        What the columns are called.

    Returns
    -------
    InteractionTable
        In the order of the frame.

    Raises
    ------
    InvalidInput
        If it is no frame, has no rows, a column is missing or of another kind, an id is null, a
        rating is no number, NaN or negative, or a row repeats another one: the same user and
        item, and the same timestamp where there is one.
    ConfigurationError
        If narwhals is not installed.
    """
    narwhals = optional_module("narwhals", EXTRA)
    try:
        wrapped = narwhals.from_native(frame)
    except TypeError:
        raise InvalidInput(
            "interactions are not in a data frame",
            got=type(frame).__name__,
            expected="a pandas, polars, pyarrow or other frame",
        ) from None
    except narwhals.exceptions.DuplicateError:
        raise InvalidInput("the frame has columns with the same name") from None
    chosen = columns.present_in(list(wrapped.columns))
    wrapped = wrapped.select(list(chosen.values()))
    if isinstance(wrapped, narwhals.LazyFrame):
        wrapped = wrapped.collect()
    if len(wrapped) == 0:
        raise InvalidInput("there are no interactions", got="0 rows", expected="at least 1")
    series = {purpose: wrapped[name] for purpose, name in chosen.items()}
    table = InteractionTable(
        read_ids(series["user"], "user"),
        read_ids(series["item"], "item"),
        read_ratings(series["rating"]) if "rating" in series else np.ones(len(wrapped)),
        read_timestamps(series["timestamp"]) if "timestamp" in series else None,
    )
    _refuse_repetitions(table)
    return table


def _read_parquet(file: Path, columns: ColumnNames) -> Any:
    arrow = optional_module("pyarrow", EXTRA)
    parquet = optional_module("pyarrow.parquet", EXTRA)
    try:
        with parquet.ParquetFile(file) as source:
            chosen = columns.present_in(list(source.schema_arrow.names))
            return source.read(columns=list(chosen.values()))
    except (arrow.ArrowException, OSError, UnicodeDecodeError):
        # The reader's own message can quote values, which must not leave this place.
        raise InvalidInput(f"{file.name!r} cannot be read as Parquet") from None


def _read_csv(file: Path, columns: ColumnNames) -> Any:
    arrow = optional_module("pyarrow", EXTRA)
    csv = optional_module("pyarrow.csv", EXTRA)
    # Values may contain line ends, and only a single thread numbers the lines.
    parsing = csv.ParseOptions(newlines_in_values=True)
    reading = csv.ReadOptions(use_threads=False)
    try:
        with csv.open_csv(file, read_options=reading, parse_options=parsing) as source:
            chosen = columns.present_in(list(source.schema.names))
        # Everything is read as text: guessing kinds would cut the leading zeros off ids.
        converting = csv.ConvertOptions(
            column_types={name: arrow.string() for name in chosen.values()},
            include_columns=list(chosen.values()),
            null_values=[""],
            strings_can_be_null=True,
        )
        return csv.read_csv(
            file, read_options=reading, parse_options=parsing, convert_options=converting
        )
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        # Only the numbers are taken over: the reader's message goes on with the line itself.
        broken = _BROKEN_LINE.search(str(error))
        if broken is None:
            raise InvalidInput(
                f"{file.name!r} cannot be read as CSV", expected="UTF-8 text with a header"
            ) from None
        line, expected, got = broken.groups()
        raise InvalidInput(
            f"line {line} of {file.name!r} has another number of fields", got=got, expected=expected
        ) from None


def _refuse_repetitions(table: InteractionTable) -> None:
    _, user_codes = encode_ids(table.user_ids)
    items, item_codes = encode_ids(table.item_ids)
    pairs = user_codes * items.size + item_codes
    stamps = np.zeros(len(table), np.int64) if table.timestamps is None else table.timestamps
    # The sort is stable, so among equal rows the first of the file stays first.
    order = np.lexsort((stamps, pairs))
    same = (np.diff(pairs[order]) == 0) & (np.diff(stamps[order]) == 0)
    repeated = np.zeros(len(table), np.bool_)
    repeated[order[1:][same]] = True
    what = "user and item" if table.timestamps is None else "user, item and timestamp"
    refuse_rows(
        f"rows repeat an earlier {what}", repeated, f"one row for each {what}, summed beforehand"
    )


def _listed(names: list[str], most: int = 20) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
