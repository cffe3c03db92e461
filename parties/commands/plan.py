"""``hecf plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from parties.commands.guard import guarded, write_json


@guarded
def plan(
    operation: Annotated[str, typer.Option(help="sum, gram, similarity or score.")],
    precision: Annotated[float, typer.Option(help="Largest deviation of a result.")] = 2.0**-16,
    releases: Annotated[int, typer.Option(help="Results released under one key.")] = 4096,
    statistical_bits: Annotated[int, typer.Option(help="Strength of flooding noise.")] = 30,
    shoppers: Annotated[int, typer.Option(help="Rows of gram, shoppers of score.")] = 2467,
    left: Annotated[int, typer.Option(help="Left columns or rows; factors of score.")] = 32,
    right: Annotated[int, typer.Option(help="Right columns of gram or rows.")] = 32,
    factors: Annotated[int, typer.Option(help="Columns of similarity.")] = 32,
    items: Annotated[int, typer.Option(help="Items of score.")] = 1000,
    values: Annotated[int, typer.Option(help="Values of sum.")] = 65_536,
    parties: Annotated[int, typer.Option(help="Contributions of sum and score.")] = 3,
    bound: Annotated[float, typer.Option(help="Largest value of sum and score.")] = 1.0,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the plan here.")] = None,
) -> None:
    """Choose layout, parameters and scales for an encrypted operation, and say what it costs."""
    from parties import planning

    request = planning.Request(
        operation=operation,
        precision=precision,
        releases=releases,
        statistical_bits=statistical_bits,
        shoppers=shoppers,
        left=left,
        right=right,
        factors=factors,
        items=items,
        values=values,
        parties=parties,
        bound=bound,
    )
    found = planning.described(request)
    planning.show(found, Console())
    write_json(json_path, found)
