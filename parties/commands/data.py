"""``hecf data``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from parties.commands.guard import check_target, guarded, write_json
from parties.commands.options import (
    ItemColumn,
    JsonFile,
    RatingColumn,
    UserColumn,
    column_names,
)

data = typer.Typer(name="data", help="Look at interactions.", no_args_is_help=True)


@data.callback()
def _group() -> None:
    """Keep `describe` a command of its own name, as long as it is the only one."""


@data.command()
@guarded
def describe(
    file: Annotated[Path, typer.Argument(help="Parquet, CSV or RecBole .inter.")],
    user_column: UserColumn = "user_id",
    item_column: ItemColumn = "item_id",
    rating_column: RatingColumn = "rating",
    json_path: JsonFile = None,
) -> None:
    """Check a file and say how large, sparse and skewed it is; no id is shown."""
    from parties import recommending

    check_target(json_path)
    columns = column_names(user_column, item_column, rating_column)
    found = recommending.described(recommending.read(file, columns))
    table = Table(show_header=False, title=file.name)
    for name, value in found.items():
        if isinstance(value, dict):
            text = ", ".join(f"{key} {number:g}" for key, number in value.items())
        else:
            text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
        table.add_row(name, text)
    Console().print(table)
    write_json(json_path, found)
