"""Run many schedules: ``python -m tests.simulation --schedules 100000 --seed 1``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

# The tests' modules import each other by name.
from simulation.processes import run_with_processes
from simulation.run import run


def main() -> int:
    """Run, and say how many schedules held and which seed did not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=0, help="schedules with real processes")
    arguments = parser.parse_args()
    for seed in range(arguments.seed, arguments.seed + arguments.processes):
        with tempfile.TemporaryDirectory() as folder:
            killed = run_with_processes(Path(folder), seed)
        sys.stdout.write(f"real processes, seed {seed}: {killed} killed, every sum is right\n")
    outcome = run(arguments.schedules, arguments.seed)
    sys.stdout.write(
        f"{outcome.schedules} schedules from seed {arguments.seed}: {outcome.deaths} deaths, "
        f"{outcome.broken_uploads} broken uploads, {outcome.releases} releases, "
        f"{outcome.slow_downloads} slow downloads, "
        f"{len(outcome.failures)} broke an invariant\n"
    )
    for seed, problem in outcome.failures[:10]:
        sys.stdout.write(f"seed {seed}: {problem}\n")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
