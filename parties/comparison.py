"""The body of ``hecf bench compare``: which jobs became cheaper or dearer between two runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hecf.errors import ConfigurationError
from hecf.kits.files import read_limited

_LARGEST_FILE = 16 << 20
NOTABLE = 1.2
"""Change of a ratio that is more than the noise of a shared machine."""


@dataclass(frozen=True)
class Change:
    """Ratio of a job to its baseline in two runs; None where a run did not have the job."""

    job: str
    first: float | None
    second: float | None

    @property
    def verdict(self) -> str:
        """What became of the job, in one word."""
        if self.first is None:
            return "new"
        if self.second is None:
            return "gone"
        if self.second > NOTABLE * self.first:
            return "dearer"
        return "cheaper" if self.first > NOTABLE * self.second else "same"


def compare(first: Path, second: Path) -> list[Change]:
    """Compare two files that ``hecf bench --json`` wrote, by ratios only.

    Raises
    ------
    ConfigurationError
        If a file cannot be read or is none of benchmark results, or only one is of a quick run.
    """
    runs = [_read(path) for path in (first, second)]
    quick = [bool(run["quick"]) for run in runs]
    if quick[0] != quick[1]:
        raise ConfigurationError(
            "a quick run cannot be compared with a whole one",
            got=str(first if quick[0] else second),
            expected="two of one kind",
        )
    ratios = [{each["job"]: float(each["ratio"]) for each in run["results"]} for run in runs]
    return [Change(job, ratios[0].get(job), ratios[1].get(job)) for job in ratios[0] | ratios[1]]


def show(changes: list[Change], console: Console) -> None:
    """Print changes as a table."""
    table = Table(title="cost over the baseline's, before and after")
    for column in ("job", "before", "after", "change"):
        table.add_column(column, justify="left" if column == "job" else "right")
    for change in changes:
        before, after = (
            "" if ratio is None else f"{ratio:.3g}" for ratio in (change.first, change.second)
        )
        table.add_row(change.job, before, after, change.verdict)
    console.print(table)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content: Mapping[str, Any] = json.loads(read_limited(path, _LARGEST_FILE))
        for result in content["results"]:
            str(result["job"]), float(result["ratio"])
        bool(content["quick"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ConfigurationError(
            f"{path} holds no benchmark results", expected="a file of `hecf bench --json`"
        ) from None
    return content
