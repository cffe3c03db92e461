"""A thousand coalitions in which everything that can go wrong does, and bugs that are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from simulation import faults, world
from simulation.processes import KILLS, run_with_processes
from simulation.reader import SlowReader
from simulation.run import run

from hecf.protocol.computation import Computed
from hecf.protocol.state import Phase, TaskState
from hecf.protocol.tasks import Part, Task
from hecf.rpc import key_holder
from hecf.rpc.key_holder import KeyHolderService
from hecf.rpc.release_store import SqliteReleaseStore
from hecf.rpc.spool import Spool

SCHEDULES = 1000
PLANTED_SCHEDULES = 150
PROCESS_SCHEDULES = 1
"""Thirty and more run by ``python -m tests.simulation --processes 30``."""


def test_a_thousand_schedules_break_nothing() -> None:
    outcome = run(SCHEDULES)
    assert outcome.failures == []
    # The control: there were deaths, and there were releases all the same.
    assert outcome.deaths > SCHEDULES / 2
    assert outcome.releases > 2 * SCHEDULES
    assert outcome.broken_uploads > SCHEDULES / 10
    assert outcome.slow_downloads > 2 * SCHEDULES


@pytest.mark.parametrize("seed", range(PROCESS_SCHEDULES))
def test_real_processes_survive_being_killed(seed: int, tmp_path: Path) -> None:
    assert run_with_processes(tmp_path, seed) == KILLS


def test_a_seed_gives_the_same_run_again() -> None:
    assert run(20, 7) == run(20, 7)


def overwrite(state: TaskState, part: Part, digest: str) -> TaskState:
    taken = replace(
        state,
        phase=Phase.COLLECTING if state.open else state.phase,
        contributions=MappingProxyType({**state.contributions, part: digest}),
    )
    return taken if taken.missing or not taken.open else replace(taken, phase=Phase.COMPUTING)


def trust(service: KeyHolderService, task: Task, result: str, active: Any) -> Computed:
    return service._node.fetch(task, result)


@contextmanager
def forgetful(tasks: faults.DyingTasks) -> Iterator[Any]:
    """Say that everything is kept, and keep nothing of every other change to a task."""

    class Enough(Exception):
        pass

    try:
        with tasks._store.change() as content:
            before = content.all()
            yield content
            tasks.changes = getattr(tasks, "changes", 0) + (content.all() != before)
            if tasks.changes % 5 == 4:
                raise Enough
    except Enough:
        pass


def in_one_place(self: Any, number: int, offset: int, size: int) -> Iterator[bytes]:
    """Read on from where any reader was last."""
    self.place = offset
    while self.place < size:
        piece = next(SqliteReleaseStore._pieces(self, number, self.place, size))
        self.place += len(piece)
        yield piece


def from_the_beginning(self: SlowReader) -> None:
    begin(self)
    self._pieces = self._server.release(self._party, self.task).chunks(0)  # type: ignore[union-attr]


begin = SlowReader._begin


PLANTED: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "contributions are overwritten": (TaskState, "contribute", overwrite),
    "contributions are not bound": (
        world.ComputeNodeService,
        "_claim",
        lambda *arguments: None,
    ),
    "inputs are not compared": (KeyHolderService, "_fetch", trust),
    "readers share a place": (faults.DyingReleases, "_pieces", in_one_place),
    "downloads go on in another place": (
        SlowReader,
        "_begin",
        from_the_beginning,
    ),
    "releases are not kept": (faults.DyingReleases, "keep", lambda *arguments: None),
    "overlapping sums are released": (key_holder, "check_sums", lambda *arguments: None),
    "releases are not debited": (world.World, "_debit", lambda *arguments: None),
    "changes are not committed": (faults.DyingTasks, "change", forgetful),
    "uploads go on at the end": (
        Spool,
        "confirmed",
        lambda self, party, what, declared: declared.size - 1,
    ),
    "tasks do not end": (TaskState, "check_running", lambda state: None),
}


@pytest.mark.parametrize("bug", sorted(PLANTED))
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, broken = PLANTED[bug]
    monkeypatch.setattr(where, name, broken)
    assert run(PLANTED_SCHEDULES, stop_early=True).failures
