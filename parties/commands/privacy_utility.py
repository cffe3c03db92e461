"""``hecf privacy-utility``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from parties.commands.guard import check_target, guarded, write_json


@guarded
def privacy_utility(
    quick: Annotated[bool, typer.Option(help="A small coalition only, to see it work.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write figures here.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page with a chart here.")] = None,
) -> None:
    """Measure recall@20 against epsilon, on the Complete Journey and on synthetic coalitions."""
    from hecf.kits.files import write_public
    from parties import utility
    from parties.report.utility import render_utility

    for path in (json_path, report):
        check_target(path)
    progress = Console(stderr=True)
    found = utility.measure(lambda step: progress.print(f"[dim]{step}[/dim]"), quick=quick)
    utility.show(found, Console())
    write_json(json_path, found)
    if report is not None:
        write_public(report, render_utility(found).encode())
