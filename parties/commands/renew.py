"""``hecf renew``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parties.commands.guard import guarded


@guarded
def renew(
    party: Annotated[str, typer.Argument(help="Name of the party, for example a retailer.")],
    kits: Annotated[Path, typer.Option(help="The folder that hecf provision made.")],
    overlap_hours: Annotated[
        float, typer.Option(help="How long the old certificate still counts.")
    ] = 24.0,
) -> None:
    """Issue a new certificate to a party; running servers notice by themselves."""
    from parties.provisioning import renewal

    made = renewal.renew(kits, party, overlap_hours=overlap_hours)
    typer.echo(f"{party}: certificate {made.fingerprint}")
    typer.echo(f"its other certificates count until {made.until:%Y-%m-%d %H:%M:%S} UTC")
    for path in made.files:
        typer.echo(f"hand over: {path}")
