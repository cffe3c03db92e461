"""Run two pieces of work in turn, and say how their costs compare.

Only ratios of one run mean anything on a shared machine, so both sides alternate after a warm-up
and medians are taken.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.memory import PeakMemory
from hecf.errors import InvalidInput
from hecf.measure import Measurements

Work = Callable[[], object]

STAGES = ("encode", "encrypt", "serialise", "transfer", "compute", "decrypt", "release")
"""Stages into which a job is split; a party counts serialising with what it serialises."""


@dataclass(frozen=True)
class Timing:
    """Wall-clock seconds of the repetitions of one piece of work.

    Parameters
    ----------
    seconds : tuple of float
        One for every repetition that counts.
    warm_ups : int
        Runs before them, which do not count.

    Raises
    ------
    InvalidInput
        If there is no repetition.
    """

    seconds: tuple[float, ...]
    warm_ups: int = 0

    def __post_init__(self) -> None:
        if not self.seconds:
            raise InvalidInput("a timing has no repetition", got=0, expected="at least 1")

    @property
    def median(self) -> float:
        """The cost of the work."""
        return statistics.median(self.seconds)

    def scaled(self, factor: float) -> Timing:
        """Return the timing of work that was measured on a sample."""
        return replace(self, seconds=tuple(factor * each for each in self.seconds))

    def to_json(self) -> dict[str, float]:
        """Return the spread of the repetitions, in seconds, and their number."""
        return {
            "minimum": min(self.seconds),
            "median": self.median,
            "maximum": max(self.seconds),
            "repetitions": len(self.seconds),
            "warm_ups": self.warm_ups,
        }


@dataclass(frozen=True)
class Result:
    """Cost of a job beside its baseline.

    Parameters
    ----------
    job : str
    timing, baseline_timing : Timing
    baseline : str
        What the baseline is.
    ratio : float
        Cost of hecf over that of the baseline: medians of seconds, or bytes where the job says so.
    mark : float or None
        Largest ratio allowed.
    bytes : mapping of str to int
        Sizes of what travels or is kept.
    up, down : int
        Bytes that travel to whoever computes, and back.
    error : float
        Largest absolute error against NumPy.
    parameters : mapping of str to object
    split : mapping of str to float
        Seconds of one run by stage, of the stages that the job has; see :data:`STAGES`. They need
        not add up to the job's seconds, which may count one stage only.
    details : mapping of str to object
        Anything else that was measured.
    """

    job: str
    timing: Timing
    baseline: str
    baseline_timing: Timing
    ratio: float
    mark: float | None
    bytes: Mapping[str, int]
    up: int
    down: int
    error: float
    parameters: Mapping[str, object]
    split: Mapping[str, float]
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the ratio is within the mark; None where there is none."""
        return None if self.mark is None else self.ratio <= self.mark

    def to_json(self) -> dict[str, object]:
        """Every figure, with medians as seconds."""
        return {
            "job": self.job,
            "seconds": self.timing.median,
            "baseline": self.baseline,
            "baseline_seconds": self.baseline_timing.median,
            "ratio": self.ratio,
            "mark": self.mark,
            "met": self.met,
            "bytes": dict(self.bytes),
            "error": self.error,
            "parameters": dict(self.parameters),
            "split": dict(self.split),
            "bytes_each_way": {"up": self.up, "down": self.down},
            "spread": {"hecf": self.timing.to_json(), "baseline": self.baseline_timing.to_json()},
            "details": dict(self.details),
        }


@dataclass(frozen=True)
class Job:
    """A benchmark by name; `run(quick)` returns its result.

    With ``quick`` it runs on small sizes, to see that it works rather than what it costs.
    """

    name: str
    run: Callable[[bool], Result]


def measured(job: Job, quick: bool) -> dict[str, object]:
    """Run a job, watch its memory, and return its result as JSON.

    ``peak_bytes`` is the largest resident memory of this process, of every party that the job
    started, and of the largest of the other processes that it started.
    """
    with PeakMemory() as memory:
        result = job.run(quick)
    return {**result.to_json(), "peak_bytes": memory.peaks}


def alternate(
    ours: Work, baseline: Work, repetitions: int, *, burst: int = 1
) -> tuple[Timing, Timing]:
    """Time two pieces of work in turn after a warm-up.

    With `burst`, each side runs that many times before the other does. The threads of a BLAS
    spin for tens of milliseconds after their work and take a core from whatever comes next, so
    work that is as short as that needs a burst of 3 or more for its median to be its own.
    """
    ours()
    baseline()
    mine: list[float] = []
    theirs: list[float] = []
    for _ in range(repetitions):
        mine += [seconds(ours) for _ in range(burst)]
        theirs += [seconds(baseline) for _ in range(burst)]
    return Timing(tuple(mine), warm_ups=1), Timing(tuple(theirs), warm_ups=1)


def stopwatch() -> Measurements:
    """Return a count of seconds for the stages of a job."""
    return Measurements(STAGES)


def split(watch: Measurements) -> dict[str, float]:
    """Seconds of the stages that took place."""
    return {stage: spent for stage, spent in watch.seconds.items() if spent > 0}


def seconds(work: Work) -> float:
    """Wall-clock seconds of one run."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rng(seed: int = 0) -> np.random.Generator:
    """Return reproducible data for benchmarks; never for keys, masks or noise."""
    return np.random.default_rng(seed)
