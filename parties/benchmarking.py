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


def run(
    names: Sequence[str],
    *,
    quick: bool,
    progress: Callable[[str], None],
    preset: str | None = None,
) -> dict[str, Any]:
    """Run jobs by name, those of a preset, or all jobs that are in no preset only.

    Raises
    ------
    ConfigurationError
        If there is no job or preset of a name, both are given, or the benchmarks are not installed.
    """
    if preset is not None and names:
        raise ConfigurationError("a preset chooses its jobs itself", got=", ".join(names))
    jobs = {job.name: job for name in MODULES for job in module(name).JOBS}
    harness, machine = module("harness"), module("machine")
    presets = module("presets").PRESETS
    if preset is not None:
        if preset not in presets:
            raise ConfigurationError("unknown preset", got=preset, expected=" or ".join(presets))
        jobs = {job.name: job for job in presets[preset]}
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
    for result in found["results"]:
        if "published" in result["details"]:
            published = result["details"]["published"]
            console.print(f"{result['job']}: {published['figure']}", soft_wrap=True, markup=False)
            if "source" in published:
                line = f"  {published['source']}; {published['hardware']}. {published['beside']}"
                console.print(line, soft_wrap=True, markup=False)


def module(name: str) -> Any:
    """Return a module of the benchmarks, which are no part of the library.

    Raises
    ------
    ConfigurationError
        If it or what it needs is not installed.
    """
    try:
        return import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "the benchmarks cannot be loaded", got=f"no module {error.name}", expected="a checkout"
        ) from None


def _seconds(value: float) -> str:
    return f"{1e3 * value:.2f} ms" if value < 1 else f"{value:.2f} s"
