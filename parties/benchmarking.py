"""The body of ``hecf bench``: run benchmark jobs and print their ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.table import Table

from hecf.errors import ConfigurationError

MODULES = (
    "score",
    "gram",
    "similarity",
    "summation",
    "encryption",
    "coalition",
    "paillier",
    "schemes",
)
"""Modules of the package ``benchmarks`` that define jobs."""

_MET = {None: "", True: "yes", False: "NO"}


def run(names: Sequence[str], *, quick: bool, progress: Callable[[str], None]) -> dict[str, Any]:
    """Run jobs by name, or all of them.

    Raises
    ------
    ConfigurationError
        If there is no job of a name, or the benchmarks are not installed.
    """
    try:
        jobs = {job.name: job for name in MODULES for job in _module(name).JOBS}
        harness, machine = _module("harness"), _module("machine")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "the benchmarks cannot be loaded", got=f"no module {error.name}", expected="a checkout"
        ) from None
    unknown = [name for name in names if name not in jobs]
    if unknown:
        raise ConfigurationError("unknown job", got=", ".join(unknown), expected=" or ".join(jobs))
    results = []
    for name in names or jobs:
        progress(name)
        results.append(harness.measured(jobs[name], quick))
    return {"machine": machine.machine(), "quick": quick, "results": results}


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print results as a table."""
    title = "cost of encryption" + (" (quick: sizes too small to judge)" if found["quick"] else "")
    table = Table(title=title)
    for column in ("job", "hecf", "baseline", "ratio", "mark", "met", "error"):
        table.add_column(column, justify="left" if column == "job" else "right")
    for result in found["results"]:
        table.add_row(
            result["job"],
            _seconds(result["seconds"]),
            _seconds(result["baseline_seconds"]),
            f"{result['ratio']:.3g}",
            "" if result["mark"] is None else f"{result['mark']:.3g}",
            _MET[None if found["quick"] else result["met"]],
            f"{result['error']:.1e}",
        )
    console.print(table)


def _module(name: str) -> Any:
    return import_module(f"benchmarks.{name}")


def _seconds(value: float) -> str:
    return f"{1e3 * value:.2f} ms" if value < 1 else f"{value:.2f} s"
