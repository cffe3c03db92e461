"""Files of interactions as Arrow record batches: Parquet, CSV and the atomic files of RecBole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hecf.data._optional import optional_module
from hecf.data.column_names import ColumnNames
from hecf.errors import InvalidInput

EXTRA = "data"
_BROKEN_LINE = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_ROWS = 1 << 18


def arrow_batches(file: Path, columns: ColumnNames, rows: int = _ROWS) -> Iterator[Any]:
    """Read the columns of interactions, at most `rows` rows at a time.

    Parameters
    ----------
    file : Path
        ``.parquet``, ``.csv`` or ``.inter``.
    columns : ColumnNames
        The columns to read; others are skipped.
    rows : int
        Most rows of a batch.

    Yields
    ------
    pyarrow RecordBatch
        With at least one row. Columns of text files are text.

    Raises
    ------
    InvalidInput
        If the file is missing, not a file, of another kind, broken or empty, or a column is
        missing.
    ConfigurationError
        If pyarrow is not installed.
    """
    readers = {".parquet": _parquet, ".csv": _csv, ".inter": _inter}
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
        for batch in reader(file, columns, rows):
            for start in range(0, batch.num_rows, rows):
                yield batch.slice(start, rows)
    except OSError as error:
        raise InvalidInput(f"the file {file.name!r} cannot be read", got=error.strerror) from None


def _parquet(file: Path, columns: ColumnNames, rows: int) -> Iterator[Any]:
    arrow = optional_module("pyarrow", EXTRA)
    parquet = optional_module("pyarrow.parquet", EXTRA)
    try:
        with parquet.ParquetFile(file) as source:
            chosen = columns.present_in(list(source.schema_arrow.names))
            names = list(chosen.values())
            # Asked for all row groups at once, the reader fetches the whole file beforehand.
            for group in range(source.num_row_groups):
                yield from source.iter_batches(batch_size=rows, row_groups=[group], columns=names)
    except (arrow.ArrowException, OSError, UnicodeDecodeError):
        # The reader's own message can quote values, which must not leave this place.
        raise InvalidInput(f"{file.name!r} cannot be read as Parquet") from None


def _csv(file: Path, columns: ColumnNames, rows: int) -> Iterator[Any]:
    # Values may contain line ends.
    yield from _text(file, columns, "CSV", newlines_in_values=True)


def _inter(file: Path, columns: ColumnNames, rows: int) -> Iterator[Any]:
    # RecBole writes tabs and no quotes, and its header says ``user_id:token``.
    yield from _text(file, columns, "RecBole", delimiter="\t", quote_char=False)


def _text(file: Path, columns: ColumnNames, kind: str, **parsing: Any) -> Iterator[Any]:
    arrow = optional_module("pyarrow", EXTRA)
    csv = optional_module("pyarrow.csv", EXTRA)
    options = csv.ParseOptions(**parsing)
    # Only a single thread numbers the lines.
    single = {"use_threads": False}
    try:
        with csv.open_csv(
            file, read_options=csv.ReadOptions(**single), parse_options=options
        ) as source:
            written = list(source.schema.names)
        names = [name.partition(":")[0] for name in written] if kind == "RecBole" else written
        chosen = columns.present_in(names)
        # Everything is read as text: guessing kinds would cut the leading zeros off ids.
        converting = csv.ConvertOptions(
            column_types={name: arrow.string() for name in chosen.values()},
            include_columns=list(chosen.values()),
            null_values=[""],
            strings_can_be_null=True,
        )
        reading = csv.ReadOptions(column_names=names, skip_rows=1, **single)
        with csv.open_csv(
            file, read_options=reading, parse_options=options, convert_options=converting
        ) as source:
            yield from source
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        # Only the numbers are taken over: the reader's message goes on with the line itself.
        broken = _BROKEN_LINE.search(str(error))
        if broken is None:
            raise InvalidInput(
                f"{file.name!r} cannot be read as {kind}", expected="UTF-8 text with a header"
            ) from None
        line, expected, got = broken.groups()
        raise InvalidInput(
            f"line {line} of {file.name!r} has another number of fields", got=got, expected=expected
        ) from None
