"""Many schedules, one after the other."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from simulation.schedule import Schedule

_MEMORY = Path("/dev/shm")


@dataclass
class Outcome:
    """What a run has seen."""

    schedules: int = 0
    deaths: int = 0
    releases: int = 0
    broken_uploads: int = 0
    slow_downloads: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)


def run(schedules: int, first_seed: int = 0, *, stop_early: bool = False) -> Outcome:
    """Run schedules of consecutive seeds."""
    outcome = Outcome()
    for seed in range(first_seed, first_seed + schedules):
        where = _MEMORY if _MEMORY.is_dir() else None
        with tempfile.TemporaryDirectory(dir=where) as folder:
            schedule = Schedule(Path(folder), seed)
            try:
                schedule.run()
            except Exception as error:
                outcome.failures.append((seed, f"{type(error).__name__}: {error}"))
                schedule.world.close()
        outcome.schedules += 1
        outcome.deaths += schedule.world.deaths
        outcome.broken_uploads += schedule.world.network.cut
        outcome.slow_downloads += schedule.read
        outcome.releases += len(schedule.released)
        if outcome.failures and stop_early:
            break
    return outcome
