"""Reads interactions from files and from data frames, and refuses unclear data.

All of them end in one frame reader, so a file and a frame with the same rows give the same table.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hecf.data._columns import read_ids, read_ratings, read_timestamps
from hecf.data._files import EXTRA, arrow_batches
from hecf.data._optional import optional_module
from hecf.data.column_names import DEFAULT_COLUMNS, ColumnNames
from hecf.data.interactions import InteractionTable, encode_ids, refuse_rows
from hecf.errors import InvalidInput


def read_interactions(
    path: str | os.PathLike[str], columns: ColumnNames = DEFAULT_COLUMNS
) -> InteractionTable:
    """Read interactions from a ``.parquet``, ``.csv`` or RecBole ``.inter`` file.

    Parameters
    ----------
    path : path
        CSV is UTF-8 with commas and one line of column names; its ids keep leading zeros. The
        atomic files of RecBole have tabs, and their column names carry a type after a colon.
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
    anything that is in memory already, and :func:`stream_interactions` for what does not fit it.
    """
    arrow = optional_module("pyarrow", EXTRA)
    parts = list(arrow_batches(Path(path), columns))
    if not parts:
        raise InvalidInput("there are no interactions", got="0 rows", expected="at least 1")
    return interactions_from_frame(arrow.Table.from_batches(parts), columns)


def stream_interactions(
    path: str | os.PathLike[str],
    columns: ColumnNames = DEFAULT_COLUMNS,
    *,
    rows: int = 1 << 18,
) -> Iterator[InteractionTable]:
    """Read interactions part by part, so that the file may be larger than memory.

    Of Parquet, a row group is held at a time.

    Parameters
    ----------
    path : path
        As for :func:`read_interactions`.
    columns : ColumnNames
        ``user_id,item_id[,rating][,timestamp]`` unless said otherwise.
    rows : int
        Most rows of a part.

    Yields
    ------
    InteractionTable
        In the order of the file. :meth:`hecf.data.UserItems.from_tables` sums them.

    Raises
    ------
    InvalidInput
        As :func:`read_interactions`, while reading; row numbers count from the start of the part
        that the message names. Repeated rows are not refused: who streams a log of purchases wants
        their sum, and finding repetitions needs the whole file in memory.
    ConfigurationError
        If pyarrow or narwhals is not installed.
    """
    if rows < 1:
        raise InvalidInput("a part has no rows", got=rows, expected="at least 1")
    arrow = optional_module("pyarrow", EXTRA)
    before = 0
    for batch in arrow_batches(Path(path), columns, rows):
        try:
            yield _table(arrow.Table.from_batches([batch]), columns)
        except InvalidInput as error:
            raise InvalidInput(
                f"after row {before} of the file: {error.message}",
                got=error.got,
                expected=error.expected,
            ) from None
        before += batch.num_rows
    if before == 0:
        raise InvalidInput("there are no interactions", got="0 rows", expected="at least 1")


def interactions_from_frame(frame: Any, columns: ColumnNames = DEFAULT_COLUMNS) -> InteractionTable:
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
    table = _table(frame, columns)
    _refuse_repetitions(table)
    return table


def _table(frame: Any, columns: ColumnNames) -> InteractionTable:
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
    return InteractionTable(
        read_ids(series["user"], "user"),
        read_ids(series["item"], "item"),
        read_ratings(series["rating"]) if "rating" in series else np.ones(len(wrapped)),
        read_timestamps(series["timestamp"]) if "timestamp" in series else None,
    )


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
