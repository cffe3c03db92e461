"""``hecf provision``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parties.commands.guard import guarded
from parties.system.lifetime import raise_on_signals


@guarded
def provision(
    configuration: Annotated[Path, typer.Argument(help="The coalition's TOML file.")],
    out: Annotated[Path, typer.Option(help="Folder for the kits; must be new or empty.")],
    validity_days: Annotated[int, typer.Option(help="Days until certificates expire.")] = 365,
) -> None:
    """Write a start-up kit for every party of a coalition."""
    from parties.provisioning import provision as provisioning
    from parties.provisioning.configuration import CoalitionConfiguration

    raise_on_signals()
    loaded = CoalitionConfiguration.load(configuration)
    made = provisioning.provision(loaded, out, validity_days=validity_days)
    typer.echo(f"coalition {made.terms.coalition} {made.identifier}")
    for name, folder in made.kits.items():
        typer.echo(f"{name}: {folder}")
