"""Run two pieces of work in turn, and say how their costs compare.

Only ratios of one run mean anything on a shared machine, so both sides alternate after a warm-up
and medians are taken.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from hecf import __version__

Work = Callable[[], object]


@dataclass(frozen=True)
class Result:
    """Cost of a job beside its baseline.

    Parameters
    ----------
    job : str
    seconds, baseline_seconds : float
        Medians.
    baseline : str
        What the baseline is.
    ratio : float
        Cost of hecf over that of the baseline, in seconds, or bytes where the job says so.
    mark : float or None
        Largest ratio allowed.
    bytes : mapping of str to int
        What travels, by direction.
    error : float
        Largest absolute error against NumPy.
    parameters : mapping of str to object
    details : mapping of str to object
        Anything else that was measured.
    """

    job: str
    seconds: float
    baseline: str
    baseline_seconds: float
    ratio: float
    mark: float | None
    bytes: Mapping[str, int]
    error: float
    parameters: Mapping[str, object]
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether the ratio is within the mark."""
        return self.mark is None or self.ratio <= self.mark

    def to_json(self) -> dict[str, object]:
        """Every field, and `met`."""
        return {**asdict(self), "met": self.met}


@dataclass(frozen=True)
class Job:
    """A benchmark by name; `run(quick)` returns its result.

    With ``quick`` it runs on small sizes, to see that it works rather than what it costs.
    """

    name: str
    run: Callable[[bool], Result]


def alternate(
    ours: Work, baseline: Work, repetitions: int, *, burst: int = 1
) -> tuple[float, float]:
    """Time two pieces of work in turn after a warm-up; medians in seconds.

    With `burst`, each side runs that many times before the other does. The threads of a BLAS
    spin for tens of milliseconds after their work and take a core from whatever comes next, so
    work that is as short as that needs a burst of 3 or more for its median to be its own.
    """
    ours()
    baseline()
    mine, theirs = [], []
    for _ in range(repetitions):
        mine += [seconds(ours) for _ in range(burst)]
        theirs += [seconds(baseline) for _ in range(burst)]
    return statistics.median(mine), statistics.median(theirs)


def seconds(work: Work) -> float:
    """Wall-clock seconds of one run."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def machine() -> dict[str, Any]:
    """Where and with what a result was made."""
    packages = ("numpy", "scipy", "tenseal", "grpcio")
    return {
        "hecf": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "blas": [
            {"library": pool["internal_api"], "threads": pool["num_threads"]}
            for pool in threadpool_info()
        ],
        "packages": {name: metadata.version(name) for name in packages},
        "numpy_simd": _simd(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _simd() -> list[str]:
    found: list[str] = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return sorted(found)


def rng(seed: int = 0) -> np.random.Generator:
    """Return reproducible data for benchmarks; never for keys, masks or noise."""
    return np.random.default_rng(seed)
