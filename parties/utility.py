"""The body of ``hecf privacy-utility``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from parties.benchmarking import module


def measure(progress: Callable[[str], None], *, quick: bool) -> dict[str, Any]:
    """Measure recall by epsilon; see :mod:`benchmarks.privacy_utility`.

    Raises
    ------
    ConfigurationError
        If the benchmarks, the data or dp-accounting are not installed.
    """
    found: dict[str, Any] = module("privacy_utility").measure(progress, quick=quick)
    return found


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print mean recall by epsilon."""
    table = Table(title=f"recall@{found['k']} by epsilon at delta {found['delta']:g}")
    table.add_column("coalition")
    table.add_column("popular", justify="right")
    for point in found["coalitions"][0]["curve"]:
        table.add_column(f"{point['epsilon']:g}", justify="right")
    table.add_column("none", justify="right")
    for each in found["coalitions"]:
        recalls = [each["popularity"], *(point["recall"] for point in each["curve"])]
        table.add_row(
            f"{each['name']}, {each['shoppers']:,}",
            *(f"{recall:.3f}" for recall in (*recalls, each["without_privacy"])),
        )
    console.print(table)
    console.print(f"epsilon covers {found['covered']}")
