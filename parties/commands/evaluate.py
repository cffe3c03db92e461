"""``hecf evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from parties.commands.guard import check_target, guarded, write_json
from parties.commands.options import (
    ItemColumn,
    JsonFile,
    ModelFile,
    RatingColumn,
    UserColumn,
    column_names,
)


@guarded
def evaluate(
    model: ModelFile,
    data: Annotated[Path, typer.Option(help="What was known of the shoppers.")],
    later: Annotated[Path, typer.Option(help="What they bought afterwards.")],
    clear: Annotated[
        Path | None, typer.Option(help="The clear twin of the model, to stand beside it.")
    ] = None,
    count: Annotated[int, typer.Option("-n", "--count", help="Places k of a ranking.")] = 20,
    new_only: Annotated[
        bool, typer.Option("--new-only", help="Judge only items that the shopper did not have.")
    ] = False,
    user_column: UserColumn = "user_id",
    item_column: ItemColumn = "item_id",
    rating_column: RatingColumn = "rating",
    json_path: JsonFile = None,
) -> None:
    """Judge a model by what shoppers bought later; warm and cold shoppers apart."""
    from parties import recommending

    check_target(json_path)
    columns = column_names(user_column, item_column, rating_column)
    judged, _ = recommending.named(model)
    twin = None if clear is None else recommending.named(clear)[0]
    history, bought = (recommending.read(path, columns) for path in (data, later))
    result = recommending.judge(judged, history, bought, count, clear=twin, new_only=new_only)
    groups: Mapping[str, Any] = result
    if twin is None:
        _show({"": groups})
    else:
        _show({"clear": result["clear"], "encrypted": result["encrypted"]})
        Console().print(
            f"the same items: {result['overlap']:.1%}; "
            f"largest score error: {result['largest_error']:.1e}"
        )
    write_json(json_path, result)


def _show(models: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    heads = ("shoppers", "model", "recall", "calibrated", "precision", "MAP", "NDCG", "hits")
    # Without borders the figures fit into a terminal of 80 columns.
    table = Table(*heads, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    names = ("recall", "calibrated_recall", "precision", "average_precision", "ndcg", "hit_rate")
    for group in next(iter(models.values())):
        for model, groups in models.items():
            quality = groups[group]
            values = [f"{quality[name]:.4f}" for name in names]
            table.add_row(f"{group} ({quality['shoppers']})", model, *values)
    Console().print(table)
