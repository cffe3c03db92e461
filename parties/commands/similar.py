"""``hecf similar``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hecf.errors import InvalidInput
from parties.commands.guard import check_target, guarded, write_json
from parties.commands.options import JsonFile, ModelFile


@guarded
def similar(
    model: ModelFile,
    item: Annotated[str, typer.Option(help="Id of an item of the model.")],
    count: Annotated[int, typer.Option("-n", "--count", help="Similar items.")] = 10,
    out: Annotated[
        Path | None, typer.Option(help="Write item_id,score,rank here (.parquet or .csv).")
    ] = None,
    json_path: JsonFile = None,
) -> None:
    """Show the items most similar to an item."""
    from parties import recommending

    for path in (out, json_path):
        check_target(path)
    recommender, item_ids = recommending.named(model)
    if item not in item_ids:
        raise InvalidInput("the model has no such item", got=item)
    ids, scores = recommender.similar_items(item_ids.index(item), N=count)
    rows = [
        {"item_id": item_ids[other], "score": float(score), "rank": rank}
        for rank, (other, score) in enumerate(zip(ids, scores, strict=True), start=1)
        if other >= 0
    ]
    if out is not None:
        names = ("item_id", "score", "rank")
        recommending.write_table(out, {name: [row[name] for row in rows] for name in names})
    table = Table("rank", "item_id", "score")
    for row in rows:
        table.add_row(str(row["rank"]), str(row["item_id"]), f"{row['score']:.4f}")
    Console().print(table)
    write_json(json_path, rows)
