"""How cost grows with the work, beside what the planner expects on this machine.

The machine is calibrated first, as ``hecf doctor --calibrate`` does, so that both sides are of one
run. Every point is measured in a process of its own, whose memory is watched.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.costs import PARTIES, Cost, Operation, Scoring, Summing, Training
from benchmarks.machine import machine
from benchmarks.memory import resident, restart_peak
from hecf.he.work import Calibration
from parties import calibration

REPETITIONS, ENOUGH_SECONDS = 3, 2.0
"""Runs of a point whose medians are taken; fewer once they took that long together."""


@dataclass(frozen=True)
class Curve:
    """An operation whose work grows by one size.

    Parameters
    ----------
    name : str
    by : str
        Parameter of `operation` that grows.
    operation : callable
        Makes an :class:`~benchmarks.costs.Operation` from sizes by name.
    sizes, quick_sizes : tuple of int
        From small to large.
    fixed : mapping of str to int
        The other sizes.
    """

    name: str
    by: str
    operation: Callable[..., Operation]
    sizes: tuple[int, ...]
    quick_sizes: tuple[int, ...]
    fixed: Mapping[str, int] = field(default_factory=dict)


CURVES = (
    Curve(
        "gram",
        "shoppers",
        Training,
        (10_000, 30_000, 100_000, 300_000, 1_000_000),
        (500, 2000),
        {"factors": 8, "retailers": 2},
    ),
    Curve(
        "score",
        "items",
        Scoring,
        (1_000, 10_000, 100_000, 1_000_000),
        (100, 1000),
        {"shoppers": 4, "factors": 16, "retailers": 2},
    ),
    Curve("sum", "retailers", Summing, (2, 4, 8, 16), (2, 3), {"values": 65_536}),
    Curve(
        "training", "retailers", Training, (2, 4, 8, 16), (2, 3), {"shoppers": 2467, "factors": 8}
    ),
)


def measure(progress: Callable[[str], None], *, quick: bool = False) -> dict[str, Any]:
    """Measure every curve.

    Parameters
    ----------
    progress : callable
        Called with what is being worked on.
    quick : bool
        Small sizes only, to see that it works rather than what it costs.

    Returns
    -------
    dict
        JSON-like: ``growth``, a list of curves whose points have seconds and promised seconds by
        party, bytes up and down beside those promised, what the process grew by at its peak, in
        bytes, and the error.
    """
    progress("calibrating")
    rates = calibration.measure()
    return {
        "machine": machine(),
        "quick": quick,
        "calibration": asdict(rates),
        "growth": [_measured(curve, rates, progress, quick) for curve in CURVES],
    }


def _measured(
    curve: Curve, rates: Calibration, progress: Callable[[str], None], quick: bool
) -> dict[str, Any]:
    points = []
    for size in curve.quick_sizes if quick else curve.sizes:
        progress(f"{curve.name}, {size:,} {curve.by}")
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            points.append(pool.submit(point, curve, size, rates).result())
    return {
        "operation": curve.name,
        "by": curve.by,
        "parameters": dict(curve.fixed),
        "points": points,
    }


def point(curve: Curve, size: int, rates: Calibration) -> dict[str, Any]:
    """Measure one size of a curve in this process."""
    before = resident("VmRSS")
    restart_peak()
    operation = curve.operation(**{curve.by: size}, **curve.fixed)
    costs: list[Cost] = []
    start = time.perf_counter()
    while len(costs) < REPETITIONS and time.perf_counter() - start < ENOUGH_SECONDS:
        with tempfile.TemporaryDirectory(prefix="hecf-bench-") as folder:
            costs.append(operation.run(Path(folder)))
    promise = operation.promise
    return {
        "size": size,
        "seconds": {
            name: statistics.median(cost.watch.seconds[name] for cost in costs) for name in PARTIES
        },
        "promised_seconds": promise.seconds(rates),
        "bytes": {"up": costs[0].up, "down": costs[0].down},
        "promised_bytes": {"up": promise.up, "down": promise.down},
        "peak_bytes": resident("VmHWM") - before,
        "error": max(cost.error for cost in costs),
        "repetitions": len(costs),
    }
