"""``hecf serve``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from parties.commands.guard import guarded


class Role(StrEnum):
    """What a party is."""

    compute_node = "compute-node"
    key_holder = "key-holder"
    retailer = "retailer"


@guarded
def serve(
    role: Annotated[Role, typer.Argument(help="What this party is.")],
    config: Annotated[Path, typer.Option(help="The kit's party.toml.")],
    exit_with_parent: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run one party until SIGTERM."""
    from parties.processes import serve as serving

    serving.serve(role.value, config, exit_with_parent=exit_with_parent)
