"""``hecf bench``, and its commands ``growth`` and ``compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from parties.commands.guard import check_target, guarded, write_json
from parties.system.lifetime import raise_on_signals


class _RunByDefault(TyperGroup):
    """Takes jobs where other groups want the name of a command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `run` in front of what names no command."""
        if not args or args[0] not in {*self.commands, "--help"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


bench = typer.Typer(
    cls=_RunByDefault,
    help="Measure what encryption costs, beside baselines in the same run.",
)


@bench.command()
@guarded
def run(
    jobs: Annotated[list[str] | None, typer.Argument(help="Jobs; all by default.")] = None,
    quick: Annotated[bool, typer.Option(help="Small sizes, to see that it runs.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write results here.")] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Sizes of published work: apple, fedmf, fetch-by-similarity or fhe-recommender."
        ),
    ] = None,
) -> None:
    """Measure what encryption costs, beside baselines in the same run."""
    from parties import benchmarking

    raise_on_signals()
    check_target(json_path)
    progress = Console(stderr=True)
    found = benchmarking.run(jobs or [], quick=quick, progress=progress.print, preset=preset)
    benchmarking.show(found, Console())
    write_json(json_path, found)


@bench.command()
@guarded
def growth(
    quick: Annotated[bool, typer.Option(help="Small sizes, to see that it runs.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write results here.")] = None,
) -> None:
    """Measure how cost grows with shoppers, items and retailers, beside the planner's figures."""
    from parties import growth as growing

    raise_on_signals()
    check_target(json_path)
    progress = Console(stderr=True)
    found = growing.measure(progress.print, quick=quick)
    growing.show(found, Console())
    write_json(json_path, found)


@bench.command()
@guarded
def compare(
    first: Annotated[Path, typer.Argument(help="Results of a run, by --json.")],
    second: Annotated[Path, typer.Argument(help="Results of a later run.")],
) -> None:
    """Say which jobs became cheaper or dearer, by their ratios to the baselines."""
    from parties import comparison

    comparison.show(comparison.compare(first, second), Console())
