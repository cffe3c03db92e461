"""``hecf lookalike``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from parties.commands.guard import check_target, guarded, write_json
from parties.commands.options import JsonFile, ModelFile

app = typer.Typer(
    help="Find another retailer's shoppers like one's own, with running parties.",
    no_args_is_help=True,
)

KitFile = Annotated[Path, typer.Option("--kit", help="The retailer's party.toml.")]
Session = Annotated[
    str, typer.Option(help="The name of the question, the same at both, used once.")
]


@app.command()
@guarded
def ask(
    target: Annotated[str, typer.Argument(help="The other retailer.")],
    kit: KitFile,
    model: ModelFile,
    users: Annotated[Path, typer.Option(help="Ids of one's own shoppers, one a line.")],
    candidates: Annotated[int, typer.Option(help="How many shoppers the other one has.")],
    out: Annotated[Path, typer.Option(help="Write user_id,row,score,rank here.")],
    count: Annotated[int, typer.Option("-n", "--count", help="Look-alikes of each.")] = 10,
    session: Session = "lookalike",
    json_path: JsonFile = None,
) -> None:
    """Ask for the look-alikes of some shoppers; rows are those of the other's ids in order."""
    from hecf.kits.kit import Kit
    from parties import look_alikes

    for path in (out, json_path):
        check_target(path)
    asked = look_alikes.read_users(users)
    loaded = Kit.load(kit, role="retailer")
    result = look_alikes.ask(loaded, model, asked, target, candidates, count, session, out, _show)
    Console().print_json(data=result)
    write_json(json_path, result)


@app.command()
@guarded
def answer(
    source: Annotated[str, typer.Argument(help="The retailer that asks.")],
    kit: KitFile,
    model: ModelFile,
    count: Annotated[int, typer.Option("-n", "--count", help="Most look-alikes of each.")] = 10,
    session: Session = "lookalike",
    json_path: JsonFile = None,
) -> None:
    """Let another retailer find one's shoppers who resemble its own."""
    from hecf.kits.kit import Kit
    from parties import look_alikes

    check_target(json_path)
    loaded = Kit.load(kit, role="retailer")
    result = look_alikes.answer(loaded, model, source, count, session, _show)
    Console().print_json(data=result)
    write_json(json_path, result)


def _show(step: str) -> None:
    Console(stderr=True).print(f"[dim]{step}[/dim]")
