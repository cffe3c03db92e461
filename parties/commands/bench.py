"""``hecf bench``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from parties.commands.guard import check_target, guarded
from parties.lifetime import raise_on_signals


@guarded
def bench(
    jobs: Annotated[list[str] | None, typer.Argument(help="Jobs; all by default.")] = None,
    quick: Annotated[bool, typer.Option(help="Small sizes, to see that it runs.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write results here.")] = None,
) -> None:
    """Measure what encryption costs, beside baselines in the same run."""
    from parties import benchmarking
    from parties.files import write_public

    raise_on_signals()
    check_target(json_path)
    progress = Console(stderr=True)
    found = benchmarking.run(jobs or [], quick=quick, progress=progress.print)
    benchmarking.show(found, Console())
    if json_path is not None:
        write_public(json_path, (json.dumps(found, indent=1) + "\n").encode())
