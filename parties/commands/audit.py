"""``hecf audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parties.commands.guard import guarded

app = typer.Typer(help="Look into what a party took down.", no_args_is_help=True)


@app.command()
@guarded
def verify(
    file: Annotated[Path, typer.Argument(help="The audit log of a node or key holder.")],
    head: Annotated[
        Path | None, typer.Option(help="Its head; the file beside it by default.")
    ] = None,
    anchor: Annotated[
        str | None, typer.Option(help="NUMBER:DIGEST that another log or place remembers.")
    ] = None,
) -> None:
    """Say whether a log is whole: nothing deleted, changed, moved or cut off."""
    from parties import auditing

    found = auditing.verify_file(file, head, anchor)
    typer.echo(f"{file}: {found.number} lines, whole; the last is {found.digest}")
