"""``hecf ledger``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from parties.commands.guard import guarded, write_json

app = typer.Typer(help="Show or verify what a key holder has spent.", no_args_is_help=True)

Config = Annotated[Path, typer.Option(help="The key holder's party.toml.")]


@app.command()
@guarded
def show(
    config: Config,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write it here.")] = None,
) -> None:
    """Print every debit, and what is left of the budgets."""
    from parties import spending

    found = spending.described(config)
    spending.show(found, Console())
    write_json(json_path, found)


@app.command()
@guarded
def verify(config: Config) -> None:
    """Check the chain of the ledger, and that it was not rolled back."""
    from parties import spending

    found = spending.described(config)
    typer.echo(f"{len(found['entries'])} entries form one chain that continues its witness")
