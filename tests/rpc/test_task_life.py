"""What a coalition never does twice or by halves, on both transports (controls C16-C20, C29)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coalitions import Coalition, columns, make_terms, operand

from hecf.errors import Conflict, Mismatch, PartyMissing, PermissionDenied, Replayed, TaskEnded
from hecf.he.plan import LEFT
from hecf.protocol.computation import Computed
from hecf.protocol.contribution import digest_of
from hecf.protocol.state import Phase
from hecf.protocol.tasks import GramTask, ScoreTask, SumTask
from hecf.rpc.identity import KEY_HOLDER
from hecf.rpc.release_store import SqliteReleaseStore
from hecf.rpc.sqlite_tasks import SqliteTaskStore

Open = Callable[..., Coalition]


def one_hot(position: int) -> np.ndarray:
    return np.eye(4)[position]


def begin_sum(coalition: Coalition, label: str = "counts") -> SumTask:
    task = SumTask(coalition.terms, "alder", label, 4, 1.0)
    coalition.node("alder").declare(task)
    return task


def give(coalition: Coalition, task: SumTask, *names: str) -> None:
    for name in names:
        position = coalition.terms.retailers.index(name)
        coalition.contribute(name, task, LEFT, operand(coalition, task, LEFT, one_hot(position)))


def test_a_sum_without_one_contributor_is_released_and_says_so(start: Open) -> None:
    coalition = start()
    task = begin_sum(coalition)
    give(coalition, task, "alder", "cedar")
    with pytest.raises(PermissionDenied, match="only its declarer"):
        coalition.node("birch").close_task(task)
    coalition.node("alder").close_task(task)
    released = coalition.key_holder("birch").release_sum(task)
    assert released.values.tolist() == [1, 0, 1, 0]
    assert released.contributors == ("alder", "cedar")
    # Collected once: late input is refused, and everybody gets the stored bytes.
    with pytest.raises(Conflict, match="birch is late"):
        give(coalition, task, "birch")
    assert coalition.key_holder("cedar").release_sum(task).contributors == ("alder", "cedar")


def test_a_sum_below_the_minimum_ends_without_a_release(start: Open) -> None:
    coalition = start(minimum_contributors=3, retailers=("alder", "birch", "cedar", "dogwood"))
    task = begin_sum(coalition)
    give(coalition, task, "alder", "cedar")
    coalition.node("alder").close_task(task)
    with pytest.raises(TaskEnded, match="aborted: closed without birch, dogwood"):
        coalition.key_holder("alder").release_sum(task)
    with pytest.raises(TaskEnded):
        give(coalition, task, "birch")
    assert coalition.node_service.state(task.identifier).results == {}


def test_an_aborted_task_ends_for_everybody(start: Open) -> None:
    coalition = start()
    task = begin_sum(coalition)
    give(coalition, task, "alder", "birch", "cedar")
    with pytest.raises(PermissionDenied):
        coalition.node("birch").abort_task(task)
    coalition.node("alder").abort_task(task)
    coalition.node("alder").abort_task(task)
    with pytest.raises(TaskEnded, match="alder aborted it"):
        coalition.key_holder("birch").release_sum(task)
    other = begin_sum(coalition, "others")
    give(coalition, other, "alder", "birch", "cedar")
    coalition.key_holder("birch").release_sum(other)
    with pytest.raises(Conflict, match="handed out"):
        coalition.node("alder").abort_task(other)


def test_a_task_expires_at_its_deadline(tmp_path: Path) -> None:
    coalition = Coalition(make_terms(), tmp_path, patience=0.2)
    task = begin_sum(coalition)
    give(coalition, task, "alder")
    service: Any = coalition.node_service
    deadline = service.state(task.identifier).deadline
    service._tasks._clock = lambda: deadline - 1
    with pytest.raises(PartyMissing, match="birch, cedar did not act"):
        coalition.key_holder("alder").release_sum(task)
    service._tasks._clock = lambda: deadline
    with pytest.raises(TaskEnded, match="expired: birch, cedar did not contribute in time"):
        coalition.key_holder("alder").release_sum(task)


@pytest.mark.parametrize("scheme", ["clear", "ckks"])
def test_a_contribution_is_of_no_use_in_another_task(start: Open, scheme: str) -> None:
    coalition = start(scheme=scheme)
    # The two tasks have one plan, so that nothing but the binding tells their operands apart.
    first, second = begin_sum(coalition, "first"), begin_sum(coalition, "second")
    assert first.plan.fingerprint == second.plan.fingerprint
    data = operand(coalition, first, LEFT, one_hot(0))
    with pytest.raises(Replayed, match="made for another task"):
        coalition.node("birch").contribute(second, LEFT, data)
    coalition.node("birch").contribute(first, LEFT, data)
    with pytest.raises(Replayed, match="made for another task"):
        coalition.node("birch").contribute(second, LEFT, data)
    assert coalition.node("birch").contributed(second, LEFT) is None
    assert coalition.node("birch").contributed(first, LEFT) == digest_of(data)


def test_ciphertexts_of_another_party_or_task_are_refused(start: Open) -> None:
    coalition = start(scheme="ckks")
    first, second = begin_sum(coalition, "first"), begin_sum(coalition, "second")
    data = operand(coalition, first, LEFT, one_hot(0))
    coalition.node("birch").contribute(first, LEFT, data)
    # A copy under another name, and one that was bound to the other task afterwards.
    with pytest.raises(Replayed, match="were used before"):
        coalition.node("alder").contribute(first, LEFT, data)
    header = operand(coalition, second, LEFT, one_hot(0))[:40]
    with pytest.raises(Replayed, match="were used before"):
        coalition.node("birch").contribute(second, LEFT, header + data[40:])
    coalition.node("birch").contribute(first, LEFT, data)
    fresh = operand(coalition, first, LEFT, one_hot(0))
    coalition.node("alder").contribute(first, LEFT, fresh)


@pytest.mark.parametrize("trick", ["drop", "swap", "double", "strange"])
def test_the_key_holder_refuses_other_inputs_than_were_committed(
    tmp_path: Path, trick: str
) -> None:
    coalition = Coalition(make_terms(), tmp_path, patience=0.3)
    task = begin_sum(coalition)
    give(coalition, task, "alder", "birch", "cedar")
    real = coalition.node_service.fetch

    def malicious(*arguments: Any) -> Computed:
        computed = real(*arguments)
        used = dict(computed.used)
        if trick == "drop":
            del used["cedar", LEFT]
        elif trick == "swap":
            used["cedar", LEFT] = "0a" * 32
        elif trick == "double":
            used["cedar", LEFT] = used["birch", LEFT]
        else:
            used["cedar", "right"] = "0a" * 32
        return replace(computed, used=used)

    coalition.node_service.fetch = malicious  # type: ignore[method-assign]
    decrypted: list[object] = []
    releaser: Any = coalition.holder_service._releaser
    honest = releaser.sum
    releaser.sum = lambda *arguments: decrypted.append(arguments) or honest(*arguments)
    with pytest.raises(Mismatch, match=r"dropped or swapped|other contributions than"):
        coalition.key_holder("alder").release_sum(task)
    assert decrypted == []
    # The control: what was committed to is released.
    coalition.node_service.fetch = real  # type: ignore[method-assign]
    assert coalition.key_holder("alder").release_sum(task).values.tolist() == [1, 1, 1, 0]
    assert len(decrypted) == 1


def test_nothing_is_released_before_everybody_has_committed(start: Open) -> None:
    coalition = start(patience=0.3)
    task = begin_sum(coalition)
    give(coalition, task, "alder", "birch")
    data = operand(coalition, task, LEFT, one_hot(2))
    coalition.node("cedar").contribute(task, LEFT, data)
    with pytest.raises(PartyMissing, match=r"^cedar did not act"):
        coalition.key_holder("alder").release_sum(task)
    coalition.key_holder("cedar").commit(task, LEFT, digest_of(data), coalition.key)
    with pytest.raises(Conflict, match="cedar has committed to another"):
        coalition.key_holder("cedar").commit(task, LEFT, "0a" * 32, coalition.key)
    assert coalition.key_holder("alder").release_sum(task).values.tolist() == [1, 1, 1, 0]


def durable(folder: Path, **terms: Any) -> Coalition:
    """A coalition whose node and key holder keep their state in files."""
    made = make_terms(**terms)
    return Coalition(
        made,
        folder,
        patience=0.5,
        tasks=SqliteTaskStore(folder / "tasks.sqlite", made),
        releases=SqliteReleaseStore(folder / "releases.sqlite"),
    )


@pytest.mark.parametrize("scheme", ["clear", "ckks"])
def test_a_restart_goes_on_where_it_was(tmp_path: Path, scheme: str) -> None:
    before = durable(tmp_path, scheme=scheme)
    task, score = begin_sum(before), ScoreTask(before.terms, "cedar", (1, 2), 30)
    before.node("cedar").declare(score)
    data = operand(before, task, LEFT, one_hot(0))
    before.contribute("alder", task, LEFT, data)
    (before.blocks / ".left-by-a-crash").write_bytes(b"half")
    (before.blocks / ("0a" * 32)).write_bytes(b"never acknowledged")

    between = durable(tmp_path, scheme=scheme)
    assert between.stored() == 1
    assert between.node("birch").await_task(between.terms, "score/cedar") == score
    between.contribute("alder", task, LEFT, data)
    with pytest.raises(Conflict, match="alder has already contributed"):
        between.node("alder").contribute(task, LEFT, operand(between, task, LEFT, one_hot(3)))
    if scheme == "ckks":
        with pytest.raises(Replayed):
            between.node("birch").contribute(task, LEFT, data)
    give(between, task, "birch", "cedar")
    first = between.key_holder("birch").release_sum(task)
    spent = len(between.debits)

    after = durable(tmp_path, scheme=scheme)
    assert after.node_service.state(task.identifier).phase is Phase.RELEASED
    assert after.key_holder("cedar").release_sum(task).values.tolist() == [1, 1, 1, 0]
    assert first.values.tolist() == [1, 1, 1, 0]
    assert after.debits == []
    assert spent == len(between.debits)


def test_a_restarted_key_holder_serves_the_same_noise(tmp_path: Path) -> None:
    before = durable(tmp_path, scheme="ckks", retailers=("alder", "birch"))
    task = GramTask(before.terms)
    for seed, (name, side) in enumerate(task.parts):
        data = operand(before, task, side, columns(before.terms, seed))
        before.contribute(name, task, side, data)
    first = before.key_holder("alder").release_blocks(task).blocks["alder", "birch"]
    after = durable(tmp_path, scheme="ckks", retailers=("alder", "birch"))
    again = after.key_holder("birch").release_blocks(task).blocks["alder", "birch"]
    np.testing.assert_array_equal(first, again)
    # The control: without its store the key holder would draw fresh noise.
    forgetful = Coalition(before.terms, tmp_path, patience=0.5, tasks=after.tasks)
    for part in task.parts:
        digest = after.node(part[0]).contributed(task, part[1])
        assert digest is not None
        forgetful.key_holder(part[0]).commit(task, part[1], digest, after.key)
    fresh = forgetful.key_holder("birch").release_blocks(task).blocks["alder", "birch"]
    assert not np.array_equal(first, fresh)
    assert after.node(KEY_HOLDER).fetch(task, "alder/birch").data
