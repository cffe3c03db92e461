"""``hecf recommend``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from parties.commands.guard import as_text, check_target, guarded
from parties.commands.options import (
    ItemColumn,
    JsonFile,
    ModelFile,
    OutFile,
    RatingColumn,
    UserColumn,
    column_names,
)

_SHOWN = 5


@guarded
def recommend(
    model: ModelFile,
    data: Annotated[Path, typer.Option(help="Interactions of the shoppers.")],
    count: Annotated[int, typer.Option("-n", "--count", help="Items a shopper.")] = 10,
    out: OutFile = None,
    user_column: UserColumn = "user_id",
    item_column: ItemColumn = "item_id",
    rating_column: RatingColumn = "rating",
    json_path: JsonFile = None,
) -> None:
    """Recommend new items to every shopper of a file."""
    from hecf.kits.files import write_private
    from parties import recommending

    for path in (out, json_path):
        check_target(path)
    recommender, item_ids = recommending.named(model)
    columns = column_names(user_column, item_column, rating_column)
    history = recommending.read(data, columns).with_items(item_ids)
    ids, scores = recommending.recommendations(recommender, history, count)
    if out is not None:
        recommending.write_ranking(out, history.user_ids, item_ids, ids, scores)
    if json_path is not None:
        rows = [
            {"user_id": user, "item_id": item_ids[item], "score": float(score), "rank": rank}
            for user, items, values in zip(history.user_ids, ids, scores, strict=True)
            for rank, (item, score) in enumerate(zip(items, values, strict=True), start=1)
            if item >= 0
        ]
        write_private(json_path, as_text(rows).encode())
    table = Table("user_id", "best items", title=f"{len(history.user_ids)} shoppers")
    for user, items in list(zip(history.user_ids, ids, strict=True))[:_SHOWN]:
        table.add_row(user, ", ".join(item_ids[item] for item in items if item >= 0))
    Console().print(table)
