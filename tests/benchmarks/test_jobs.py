"""Every benchmark job runs in quick mode and computes the right thing, at whatever speed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from benchmarks.coalition import training_grpc
from benchmarks.harness import Result, alternate
from parties import demo
from parties.benchmarking import MODULES
from parties.demo import DemoOptions

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
        "seconds": {"taking_part": seconds, "clear": 0.1},
        "bytes": {"grocer": {"sent": 100, "received": 200}},
        "agreement": {"max_abs_score_error": 1e-6},
        "parameters": {"ring_degree": 8192},
        "data": {"shoppers": options.shoppers},
        "targets": {},
    }


@pytest.fixture(autouse=True)
def demonstration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "run", of_a_demonstration)


def test_training_is_compared_with_the_same_in_memory():
    result = training_grpc(True)
    assert (result.ratio, result.met) == (1.25, True)
    assert result.details["seconds_grpc_in_clear"] == 0.25


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_quick_run_is_correct(job):
    result = job.run(True)
    assert result.job == job.name
    assert 0 <= result.error < 1e-2
    assert result.seconds > 0
    assert result.baseline_seconds > 0
    assert all(count > 0 for count in result.bytes.values())
    encoded = result.to_json()
    assert encoded["met"] == (encoded["mark"] is None or encoded["ratio"] <= encoded["mark"])


def test_a_missed_mark_is_reported_as_missed():
    fields = {"seconds": 1.0, "baseline": "b", "baseline_seconds": 1.0, "bytes": {}, "error": 0.0}
    made = [Result(job="j", ratio=ratio, mark=2.0, parameters={}, **fields) for ratio in (1.9, 2.1)]
    assert [result.met for result in made] == [True, False]


def test_both_sides_alternate_after_a_warm_up():
    calls = []
    alternate(lambda: calls.append("a"), lambda: calls.append("b"), 3)
    assert calls == ["a", "b"] * 4
