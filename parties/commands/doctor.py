"""``hecf doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from parties.commands.guard import guarded, write_json


@guarded
def doctor(
    calibrate: Annotated[
        bool, typer.Option(help="Measure this machine and store it for hecf plan.")
    ] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write findings here.")] = None,
) -> None:
    """Print versions, processor, BLAS threads, a self-test and what is missing."""
    from parties import doctor as examination

    findings = examination.examine()
    examination.show(findings, Console())
    if calibrate:
        from parties import calibration

        calibration.store(calibration.measure())
        typer.echo(f"calibration stored in {calibration.path()}")
    write_json(json_path, findings)
    if findings["problems"]:
        raise typer.Exit(1)
