"""Sums that overlap: refused by key holder and retailers, on both transports (control C20)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coalitions import Coalition, make_terms, operand

from hecf.errors import ReleaseRefused
from hecf.he.plan import LEFT
from hecf.privacy.accounting import noise_multiplier
from hecf.protocol.tasks import SumTask
from hecf.recipes.contribution import Contributor
from hecf.rpc.release_store import SqliteReleaseStore
from hecf.rpc.sqlite_tasks import SqliteTaskStore

Open = Callable[..., Coalition]
VECTORS = {"alder": [3.0, 1, 4], "birch": [1.0, 5, 9], "cedar": [2.0, 6, 5]}
"""What the retailers have; that of cedar is what the others are after."""
BOTH = ("alder", "birch")


def declared(coalition: Coalition, label: str, **options: Any) -> SumTask:
    task = SumTask(coalition.terms, "alder", label, 3, 64.0, **options)
    coalition.node("alder").declare(task)
    return task


def give(coalition: Coalition, task: SumTask, *names: str) -> None:
    for name in names:
        data = operand(coalition, task, LEFT, np.array(VECTORS[name]))
        coalition.contribute(name, task, LEFT, data)


def collected(coalition: Coalition, label: str, **options: Any) -> SumTask:
    task = declared(coalition, label, **options)
    give(coalition, task, *task.contributors)
    return task


def total(coalition: Coalition, task: SumTask) -> np.ndarray:
    return coalition.key_holder("alder").release_sum(task).values


def never(*arguments: object) -> None:
    """In place of the comparison."""


def test_a_vector_is_the_difference_of_two_sums_and_the_second_is_refused(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    coalition = start()
    first = total(coalition, collected(coalition, "all"))
    second = collected(coalition, "two", contributors=BOTH)
    decrypted: list[object] = []
    releaser: Any = coalition.holder_service._releaser
    honest = releaser.sum
    releaser.sum = lambda *arguments: decrypted.append(arguments) or honest(*arguments)
    debits = len(coalition.debits)
    for _ in range(2):
        with pytest.raises(ReleaseRefused, match="single out too few contributors: got cedar"):
            total(coalition, second)
    assert decrypted == []
    assert len(coalition.debits) == debits
    # The control: where nobody compares, the attack works.
    monkeypatch.setattr("hecf.rpc.key_holder.check_sums", never)
    assert (first - total(coalition, second)).tolist() == VECTORS["cedar"]


def test_who_dropped_out_is_not_made_up_for_by_a_second_sum(start: Open) -> None:
    coalition = start()
    task = declared(coalition, "counts")
    give(coalition, task, *BOTH)
    coalition.node("alder").close_task(task)
    assert total(coalition, task).tolist() == [4, 6, 13]
    with pytest.raises(ReleaseRefused, match="got cedar"):
        total(coalition, collected(coalition, "again"))
    # Without who is missing in the first, nobody is singled out.
    assert total(coalition, collected(coalition, "two", contributors=BOTH)).tolist() == [4, 6, 13]


def test_another_weight_is_refused_and_the_same_sum_again_is_not(start: Open) -> None:
    coalition = start()
    for label in ("first", "second"):
        assert total(coalition, collected(coalition, label)).tolist() == [6, 12, 18]
    with pytest.raises(ReleaseRefused, match="got cedar"):
        total(coalition, collected(coalition, "weighted", weights=(1, 1, 2)))


def test_differential_privacy_covers_overlaps(start: Open) -> None:
    agreed = {"epsilon": 4.0, "delta": 1e-5, "sum_clip": 1.0, "sums": 2}
    coalition = start(**agreed, noise_multiplier=noise_multiplier(4.0, 1e-5, 2))
    for label, names in (("all", tuple(VECTORS)), ("two", BOTH)):
        released = total(coalition, collected(coalition, label, contributors=names))
        assert np.isfinite(released).all()


def test_a_restarted_key_holder_remembers_what_it_released(tmp_path: Path) -> None:
    terms = make_terms()

    def begin() -> Coalition:
        tasks = SqliteTaskStore(tmp_path / "tasks.sqlite", terms)
        releases = SqliteReleaseStore(tmp_path / "releases.sqlite")
        return Coalition(terms, tmp_path, tasks=tasks, releases=releases)

    before = begin()
    total(before, collected(before, "all"))
    after = begin()
    with pytest.raises(ReleaseRefused, match="got cedar"):
        total(after, collected(after, "two", contributors=BOTH))


def test_a_retailer_refuses_before_it_uploads(start: Open) -> None:
    coalition = start()
    journal: dict[str, str] = {}
    made: list[str] = []

    def contribute(label: str, **options: Any) -> None:
        task = declared(coalition, label, **options)
        contributor = Contributor(coalition.node("alder"), coalition.key_holder("alder"), journal)
        contributor.public_key(coalition.terms)

        def make() -> bytes:
            made.append(label)
            return operand(coalition, task, LEFT, np.array(VECTORS["alder"]))[40:]

        contributor.contribute(task, LEFT, make)

    contribute("all")
    contribute("more")
    with pytest.raises(ReleaseRefused, match="got cedar"):
        contribute("two", contributors=BOTH)
    assert made == ["all", "more"]
