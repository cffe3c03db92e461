"""``hecf report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hecf.errors import ConfigurationError
from parties.commands.guard import check_target, guarded


@guarded
def report(
    results: Annotated[list[Path], typer.Argument(help="What commands wrote with --json.")],
    out: Annotated[
        Path | None, typer.Option(help="Write here; the first file's name with .html by default.")
    ] = None,
) -> None:
    """Write one HTML page about results: of demo, of privacy-utility, or of all that tells cost."""
    from hecf.kits.files import write_public
    from parties.reporting import report as rendered

    target = results[0].with_suffix(".html") if out is None else out
    check_target(target)
    if target.resolve() in {path.resolve() for path in results}:
        raise ConfigurationError(
            "the page would replace the results", got=str(target), expected="another file in --out"
        )
    write_public(target, rendered(results).encode())
    typer.echo(f"report: {target}")
