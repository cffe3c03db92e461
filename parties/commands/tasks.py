"""``hecf tasks``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from parties.commands.guard import guarded

app = typer.Typer(help="List, show or abort a compute node's tasks.", no_args_is_help=True)

Config = Annotated[Path, typer.Option(help="The compute node's party.toml.")]
Name = Annotated[
    str, typer.Argument(help="A task's name, or the first 12 digits of its identifier.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
@guarded
def list_tasks(config: Config, as_json: Json = False) -> None:
    """Print every task: phase, contributions, deadline."""
    from parties import tasks

    every = tasks.listed(config)
    if as_json:
        _echo(every)
    else:
        tasks.show_list(every, Console())


@app.command()
@guarded
def show(task: Name, config: Config, as_json: Json = False) -> None:
    """Print one task: who is missing, and why it ended if it did."""
    from parties import tasks

    one = tasks.found(config, task)
    if as_json:
        _echo(one)
    else:
        tasks.show_one(one, Console())


@app.command()
@guarded
def abort(task: Name, config: Config, as_json: Json = False) -> None:
    """End a task without a result; a running node sees it at once."""
    from parties import tasks

    one = tasks.abort(config, task)
    if as_json:
        _echo(one)
    else:
        tasks.show_one(one, Console())


def _echo(content: Any) -> None:
    typer.echo(json.dumps(content, indent=1))
