"""Every benchmark job runs in quick mode and computes the right thing, at whatever speed."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from benchmarks.coalition import training_grpc
from benchmarks.harness import STAGES, Job, Result, Timing, alternate, measured
from hecf.errors import InvalidInput
from hecf.measure import STAGES as PARTY_STAGES
from parties.benchmarking import MODULES
from parties.demonstrations import loyalty_programme
from parties.demonstrations.loyalty_programme import DemoOptions

JOBS = [job for name in MODULES for job in import_module(f"benchmarks.{name}").JOBS]
NAMES = {
    "score-batch",
    "score-single",
    "score-apple",
    "gram",
    "similarity-1k",
    "similarity-10k",
    "sum-seconds",
    "sum-bytes",
    "encrypt-public",
    "encrypt-secret",
    "training-grpc",
    "node-memory",
    "paillier-encrypt",
    "paillier-sum",
    "compare-sum",
    "compare-gram",
    "compare-counts",
    "compare-similarity",
    "compare-score",
}


def test_the_jobs_are_the_documented_ones():
    assert {job.name for job in JOBS} == NAMES
    assert len(JOBS) == len(NAMES)


def of_a_demonstration(options: DemoOptions, progress: object) -> dict[str, Any]:
    """Results of six processes, which ``tests/integration`` starts and judges."""
    seconds = {"memory": 2.0, "grpc": 2.5}[options.transport]
    if options.scheme == "clear":
        seconds /= 10
    return {
        "seconds": {"taking_part": seconds, "clear": 0.1, **dict.fromkeys(PARTY_STAGES, 0.5)},
        "bytes": {"grocer": {"sent": 100, "received": 200}},
        "agreement": {"max_abs_score_error": 1e-6},
        "parameters": {"ring_degree": 8192},
        "data": {"shoppers": options.shoppers, "retailers": {"grocer": {}}},
        "targets": {},
    }


@pytest.fixture(autouse=True)
def demonstration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loyalty_programme, "run", of_a_demonstration)


def test_training_is_compared_with_the_same_in_memory():
    result = training_grpc(True)
    assert (result.ratio, result.met) == (1.25, True)
    assert result.details["seconds_grpc_in_clear"] == 0.25


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_quick_run_is_correct(job):
    result = job.run(True)
    assert result.job == job.name
    assert 0 <= result.error < 1e-2
    assert result.timing.median > 0
    assert result.baseline_timing.median > 0
    assert all(count > 0 for count in result.bytes.values())
    assert set(result.split) <= set(STAGES)
    assert all(spent >= 0 for spent in result.split.values())
    assert result.split["encrypt" if "encrypt" in job.name else "compute"] > 0
    assert result.up > 0


def made(**changes: Any) -> Result:
    fields: dict[str, Any] = {
        "job": "j",
        "timing": Timing((3.0, 1.0, 2.0), warm_ups=1),
        "baseline": "b",
        "baseline_timing": Timing((4.0,)),
        "ratio": 0.5,
        "mark": None,
        "bytes": {"query": 7},
        "up": 7,
        "down": 9,
        "error": 0.0,
        "parameters": {},
        "split": {"compute": 1.0},
    }
    return Result(**fields | changes)


@pytest.mark.parametrize(
    ("ratio", "mark", "met"), [(1.9, 2.0, True), (2.1, 2.0, False), (1.9, None, None)]
)
def test_a_mark_is_reached_or_missed_or_there_is_none(ratio, mark, met):
    encoded = made(ratio=ratio, mark=mark).to_json()
    assert encoded["met"] is met
    assert encoded["mark"] == mark


def test_results_have_the_documented_names():
    encoded = measured(Job("j", lambda quick: made()), quick=True)
    names = [
        "job",
        "seconds",
        "baseline",
        "baseline_seconds",
        "ratio",
        "mark",
        "met",
        "bytes",
        "error",
        "parameters",
    ]
    assert list(encoded)[: len(names)] == names
    assert (encoded["seconds"], encoded["baseline_seconds"]) == (2.0, 4.0)
    assert encoded["bytes_each_way"] == {"up": 7, "down": 9}
    assert encoded["spread"]["hecf"] == {
        "minimum": 1.0,
        "median": 2.0,
        "maximum": 3.0,
        "repetitions": 3,
        "warm_ups": 1,
    }


def test_memory_is_watched_here_and_in_processes_that_are_started():
    program = "import time; kept = bytearray(200 << 20); time.sleep(0.6)"

    def run(quick: bool) -> Result:
        kept = np.ones(100 << 20, dtype=np.uint8)
        # As parties are started: by the path of their kit.
        subprocess.run([sys.executable, "-c", program, "/kits/grocer/party.toml"], check=True)
        subprocess.run([sys.executable, "-c", program], check=True)
        assert kept[-1] == 1
        return made()

    before = measured(Job("j", lambda quick: made()), quick=True)["peak_bytes"]
    peaks = measured(Job("j", run), quick=True)["peak_bytes"]
    assert set(before) == {"this process"}
    assert set(peaks) == {"this process", "grocer", "largest worker process"}
    assert peaks["this process"] > before["this process"] + (90 << 20)
    for name in ("grocer", "largest worker process"):
        assert 200 << 20 < peaks[name] < 300 << 20


def test_a_sample_is_scaled_with_its_spread():
    assert Timing((1.0, 3.0, 2.0), 1).scaled(10) == Timing((10.0, 30.0, 20.0), 1)
    with pytest.raises(InvalidInput):
        Timing(())


def test_both_sides_alternate_after_a_warm_up():
    calls = []
    ours, theirs = alternate(lambda: calls.append("a"), lambda: calls.append("b"), 3)
    assert calls == ["a", "b"] * 4
    assert [len(timing.seconds) for timing in (ours, theirs)] == [3, 3]
    assert ours.warm_ups == 1
