"""The body of ``hecf bench growth``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from parties.benchmarking import module
from parties.report import figures
from parties.report.growth import PARTIES


def measure(progress: Callable[[str], None], *, quick: bool) -> dict[str, Any]:
    """Measure how cost grows with the work; see :mod:`benchmarks.growth`.

    Raises
    ------
    ConfigurationError
        If the benchmarks are not installed.
    """
    found: dict[str, Any] = module("growth").measure(progress, quick=quick)
    return found


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print measured seconds with their ratio to those expected."""
    table = Table(title="seconds, and their ratio to what the planner expects")
    table.add_column("work")
    for title in (*PARTIES.values(), "Up", "Down", "Peak memory"):
        table.add_column(title.lower(), justify="right")
    for curve in found["growth"]:
        for point in curve["points"]:
            seconds, promised = point["seconds"], point["promised_seconds"]
            table.add_row(
                f"{curve['operation']}, {point['size']:,} {curve['by']}",
                *(
                    f"{figures.duration(seconds[party])} "
                    f"({figures.ratio(seconds[party] / promised[party])})"
                    for party in PARTIES
                ),
                *(figures.size(point["bytes"][way]) for way in ("up", "down")),
                figures.size(point["peak_bytes"]),
            )
    console.print(table)
