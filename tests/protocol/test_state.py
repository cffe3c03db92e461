"""The life of a task, step by step; the simulator tries thousands of orders of these steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hecf.errors import Conflict, InvalidInput, TaskEnded
from hecf.he.plan import LEFT, RIGHT
from hecf.protocol.state import ENDED, OPEN, Phase, TaskState
from hecf.protocol.tasks import MODEL, GramTask, ScoreTask, SumTask, Task
from hecf.protocol.terms import Terms

TERMS = Terms(
    coalition="loyal",
    identifier="0" * 32,
    scheme="clear",
    retailers=("grocer", "butcher", "florist", "drugstore"),
    shoppers=500,
    directory="1" * 64,
    factors=4,
    top_k=5,
    minimum_contributors=3,
)
GRAM = GramTask(TERMS)
SCORE = ScoreTask(TERMS, "florist", (0, 17, 499), 40)
SUM = SumTask(TERMS, "grocer", "counts", 10, 1.0)
TASKS = [GRAM, SCORE, SUM]
DEADLINE = 1000.0


def begin(task: Task) -> TaskState:
    return TaskState(task, DEADLINE)


def filled(task: Task, count: int | None = None) -> TaskState:
    state = begin(task)
    for number, part in enumerate(task.parts[:count]):
        state = state.contribute(part, f"digest {number}")
    return state


@pytest.mark.parametrize("task", TASKS)
def test_a_task_goes_through_its_phases(task: Task) -> None:
    state = begin(task)
    seen = [state.phase]
    for name in dict.fromkeys(name for name, _ in task.parts):
        state = state.join(name)
        seen.append(state.phase)
    for number, part in enumerate(task.parts):
        state = state.contribute(part, f"digest {number}")
        seen.append(state.phase)
    for result in task.results:
        state = state.computed(result, f"digest of {result}")
        seen.append(state.phase)
    for result in task.results:
        state = state.hand_out(result)
        seen.append(state.phase)
    assert list(dict.fromkeys(seen)) == [
        Phase.DECLARED,
        Phase.JOINED,
        Phase.COLLECTING,
        Phase.COMPUTING,
        Phase.READY,
        Phase.RELEASED,
    ]
    # Once released it stays so, whatever comes.
    assert state.at(DEADLINE * 2) == state.close() == state.join("grocer") == state
    with pytest.raises(Conflict, match="handed out"):
        state.abort("too late")


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_collected_again_under_another_key(task: Task) -> None:
    empty = begin(task).under("key 1", 0.0)
    assert (empty.key, empty.deadline, empty.contributions) == ("key 1", DEADLINE, {})
    full = replace(filled(task), key="key 1")
    ready = full
    for result in task.results:
        ready = ready.computed(result, f"digest of {result}")
    for state in (full, ready, ready.hand_out(task.results[0]) if len(task.results) > 1 else full):
        assert state.under("key 1", 5000.0) is state
        again = state.under("key 2", 5000.0)
        assert (again.key, again.deadline, again.phase) == ("key 2", 5000.0, Phase.JOINED)
        assert again.contributions == again.results == {}
        assert again.handed_out == frozenset()
        # What was computed before counts no more.
        with pytest.raises(Conflict, match="takes contributions"):
            again.computed(task.results[0], "digest")
        with pytest.raises(Conflict, match="no such result"):
            again.hand_out(task.results[0])
    released = ready
    for result in task.results:
        released = released.hand_out(result)
    assert released.under("key 2", 5000.0) is released
    assert released.under("key 2", 5000.0, unreleased=True).contributions == {}
    ended = full.abort("no reason")
    assert ended.under("key 2", 5000.0, unreleased=True) is ended


def test_a_stranger_does_not_join() -> None:
    assert begin(SCORE).join("baker") == begin(SCORE)
    part = replace(SUM, contributors=TERMS.retailers[1:], weights=())
    assert begin(part).join("grocer") == begin(part)


@pytest.mark.parametrize("task", TASKS)
def test_contributions_are_idempotent_however_late(task: Task) -> None:
    state = begin(task)
    assert set(state.missing) == {name for name, _ in task.parts}
    for number, part in enumerate(task.parts):
        after = state.contribute(part, f"digest {number}")
        assert after != state
        assert after.contribute(part, f"digest {number}") is after
        with pytest.raises(Conflict, match="has already contributed"):
            after.contribute(part, "other bytes")
        state = after
    assert state.missing == ()
    aborted = state.abort("no reason")
    assert aborted.contribute(task.parts[0], "digest 0") is aborted
    with pytest.raises(TaskEnded, match="the task is aborted: no reason"):
        aborted.contribute(task.parts[0], "other bytes")


@given(st.lists(st.tuples(st.sampled_from(GRAM.parts), st.sampled_from("ab")), max_size=40))
def test_any_sequence_of_contributions_keeps_the_first(
    sequence: list[tuple[tuple[str, str], str]],
) -> None:
    state, model = begin(GRAM), dict[tuple[str, str], str]()
    for part, digest in sequence:
        if model.setdefault(part, digest) != digest:
            with pytest.raises(Conflict):
                state.contribute(part, digest)
        else:
            state = state.contribute(part, digest)
    assert dict(state.contributions) == model


@pytest.mark.parametrize(
    ("task", "part"),
    [
        (GRAM, ("grocer", RIGHT)),
        (GRAM, ("drugstore", LEFT)),
        (GRAM, ("grocer", MODEL)),
        (GRAM, ("baker", LEFT)),
        (SCORE, ("florist", LEFT)),
        (SCORE, ("grocer", MODEL)),
        (SUM, ("grocer", RIGHT)),
    ],
)
def test_parts_that_a_task_does_not_have_are_refused(task: Task, part: tuple[str, str]) -> None:
    with pytest.raises(InvalidInput, match="contributes no such part"):
        begin(task).contribute(part, "digest")


@pytest.mark.parametrize("task", TASKS)
def test_what_is_incomplete_expires_at_its_deadline_and_not_before(task: Task) -> None:
    state = filled(task, 2)
    assert state.at(DEADLINE - 0.001) is state
    expired = state.at(DEADLINE)
    assert expired.phase is Phase.EXPIRED
    assert all(name in expired.reason for name in state.missing)
    for step in (expired.close, expired.check_running, lambda: expired.computed("x", "digest")):
        with pytest.raises(TaskEnded, match="the task is expired"):
            step()
    complete = filled(task)
    assert complete.at(DEADLINE * 2) is complete


@pytest.mark.parametrize("end", [lambda state: state.at(DEADLINE), lambda state: state.close()])
@pytest.mark.parametrize(("count", "phase"), [(3, Phase.COMPUTING), (4, Phase.COMPUTING)])
def test_a_sum_of_enough_contributors_goes_on_without_the_rest(
    end: Callable[[TaskState], TaskState], count: int, phase: Phase
) -> None:
    state = end(filled(SUM, count))
    assert state.phase is phase
    assert list(state.used("total")) == SUM.parts[:count]
    if count == 3:
        # Collected once: who comes late is told so (control C20).
        with pytest.raises(Conflict, match="drugstore is late"):
            state.contribute(SUM.parts[3], "digest 3")


def test_below_the_minimum_a_closed_sum_is_aborted() -> None:
    state = filled(SUM, 2).close()
    assert state.phase is Phase.ABORTED
    assert state.reason == "closed without florist, drugstore"
    # The others are never computed from fewer than all.
    assert filled(SCORE, 3).close().phase is Phase.ABORTED
    assert filled(GRAM, 5).close().phase is Phase.ABORTED


def test_open_and_ended_phases_are_different() -> None:
    assert not OPEN & ENDED
    assert {phase for phase in Phase if phase not in OPEN | ENDED} == {
        Phase.COMPUTING,
        Phase.READY,
        Phase.RELEASED,
    }
