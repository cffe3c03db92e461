"""``hecf doctor``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from parties.commands.guard import guarded


@guarded
def doctor(
    calibrate: Annotated[
        bool, typer.Option(help="Measure this machine and store it for hecf plan.")
    ] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write findings here.")] = None,
) -> None:
    """Print versions, processor, BLAS threads, a self-test and what is missing."""
    from parties import doctor as examination
    from parties.files import write_public

    findings = examination.examine()
    examination.show(findings, Console())
    if calibrate:
        from parties import calibration

        calibration.store(calibration.measure())
        typer.echo(f"calibration stored in {calibration.path()}")
    if json_path is not None:
        write_public(json_path, (json.dumps(findings, indent=1) + "\n").encode())
    if findings["problems"]:
        raise typer.Exit(1)
