"""``hecf audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from parties.commands.guard import check_target, guarded, write_json

app = typer.Typer(
    help="Look into what a party took down, and attack what it shows.", no_args_is_help=True
)


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
    from parties.processes import auditing

    found = auditing.verify_file(file, head, anchor)
    typer.echo(f"{file}: {found.number} lines, whole; the last is {found.digest}")


@app.command()
@guarded
def attack(
    names: Annotated[
        list[str] | None, typer.Argument(help="Attacks by name; all of them by default.")
    ] = None,
    config: Annotated[Path, typer.Option(help="A kit's party.toml, or a coalition.toml.")] = Path(
        "coalition.toml"
    ),
    json_path: Annotated[Path | None, typer.Option("--json", help="Write outcomes here.")] = None,
) -> None:
    """Attack made-up victims under a coalition's own parameters, and say what succeeds."""
    from parties import attacking

    check_target(json_path)
    progress = Console(stderr=True)
    outcomes = attacking.mount(
        attacking.terms_of(config), names or [], lambda name: progress.print(f"[dim]{name}[/dim]")
    )
    attacking.show(outcomes, Console())
    write_json(json_path, attacking.as_json(outcomes))
