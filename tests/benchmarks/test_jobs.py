"""Every benchmark job runs in quick mode and computes the right thing, at whatever speed."""

from __future__ import annotations

from importlib import import_module

import pytest

from benchmarks.harness import Result, alternate
from parties.benchmarking import MODULES

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
}


def test_the_jobs_are_the_documented_ones():
    assert {job.name for job in JOBS} == NAMES
    assert len(JOBS) == len(NAMES)


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
