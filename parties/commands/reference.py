"""``hecf reference``, which the demonstration calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from parties.commands.guard import guarded
from parties.system.lifetime import die_with_parent


@guarded
def reference(
    kits: Annotated[Path, typer.Option(help="Folder of a demonstration's kits.")],
    example: Annotated[str, typer.Option(help="Retailer of the example.")],
    json_path: Annotated[Path, typer.Option("--json", help="Write results here.")],
    exit_with_parent: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Compute the clear twin of a demonstration."""
    from hecf.kits.files import write_private
    from hecf.kits.kit import Kit
    from parties.demonstrations.reference import compare

    if exit_with_parent:
        die_with_parent()
    retailers = Kit.load(kits / example / "party.toml").terms.retailers
    loaded = {name: Kit.load(kits / name / "party.toml") for name in retailers}
    write_private(json_path, json.dumps(compare(loaded, retailers, example)).encode())
