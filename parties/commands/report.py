"""``hecf report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hecf.errors import ConfigurationError
from parties.commands.guard import check_target, guarded


@guarded
def report(
    results: Annotated[Path, typer.Argument(help="What a command wrote with --json.")],
    out: Annotated[Path | None, typer.Option(help="Write here; RESULTS.html by default.")] = None,
) -> None:
    """Write one HTML page about the results of bench, demo or privacy-utility."""
    from hecf.kits.files import write_public
    from parties.reporting import report as rendered

    target = results.with_suffix(".html") if out is None else out
    check_target(target)
    if target.resolve() == results.resolve():
        raise ConfigurationError(
            "the page would replace the results", got=str(target), expected="another file in --out"
        )
    write_public(target, rendered(results).encode())
    typer.echo(f"report: {target}")
