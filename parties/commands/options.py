"""Options that the commands on recommenders share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hecf.data.column_names import ColumnNames

UserColumn = Annotated[str, typer.Option(help="Column of the shoppers' ids.")]
ItemColumn = Annotated[str, typer.Option(help="Column of the items' ids.")]
RatingColumn = Annotated[str, typer.Option(help="Column of the counts; may be missing.")]
ModelFile = Annotated[Path, typer.Option("--model", help="A fitted model (.npz).")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write results here.")]
OutFile = Annotated[
    Path | None, typer.Option(help="Write user_id,item_id,score,rank here (.parquet or .csv).")
]


class ModelName(StrEnum):
    """The recommenders that need sums over shoppers only."""

    most_popular = "most-popular"
    item_knn = "item-knn"
    ease = "ease"
    als = "als"
    pure_svd = "pure-svd"


def column_names(user: str, item: str, rating: str) -> ColumnNames:
    """Return the mapping of the three options; timestamps are not used by any recommender."""
    from hecf.data.column_names import DEFAULT_COLUMNS, ColumnNames

    return ColumnNames(user, item, rating or DEFAULT_COLUMNS.rating, None)
