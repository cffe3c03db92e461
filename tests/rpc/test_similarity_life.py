"""Similarity tasks over both transports, beside NumPy's best rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from coalitions import Coalition, operand

from hecf.errors import (
    Conflict,
    InvalidInput,
    LimitExceeded,
    Mismatch,
    PermissionDenied,
    Replayed,
    UnknownTask,
)
from hecf.he.plan import LEFT, RIGHT
from hecf.he.similarity.plan import normalise_rows
from hecf.he.similarity.scores import TopSimilar
from hecf.protocol.computation import Computed
from hecf.protocol.contribution import digest_of
from hecf.protocol.state import Phase
from hecf.protocol.tasks import SimilarityTask
from hecf.rpc.identity import KEY_HOLDER
from hecf.rpc.key_holder import LocalReleaser

LABEL = "look-alikes"
COUNT = 4
Open = Callable[..., Coalition]
Rows = dict[str, np.ndarray]


def declared(
    coalition: Coalition, left: int = 7, right: int = 30, inner: int = 6
) -> tuple[SimilarityTask, Rows]:
    """A declared task of birch about the rows of cedar, and the rows of both."""
    task = SimilarityTask(coalition.terms, "birch", LABEL, "cedar", left, right, inner, COUNT)
    coalition.node("birch").declare(task)
    random = np.random.default_rng(8)
    rows = {
        LEFT: normalise_rows(random.standard_normal((left, inner))),
        RIGHT: normalise_rows(random.standard_normal((right, inner))),
    }
    return task, rows


def encrypted(coalition: Coalition, task: SimilarityTask, side: str, rows: Rows) -> bytes:
    """The contribution of one side."""
    return operand(coalition, task, side, task.operand(rows[side]))


def contribute(coalition: Coalition, task: SimilarityTask, rows: Rows) -> None:
    """Upload and commit both sides."""
    for name, side in task.parts:
        coalition.contribute(name, task, side, encrypted(coalition, task, side, rows))


def check(top: TopSimilar, task: SimilarityTask, exact: np.ndarray) -> None:
    """Compare released rows with the best of exact similarities."""
    plan = task.plan
    bound = plan.error_bound + 6 * plan.flooding + 2.0**-plan.grid_bits
    assert top.columns.shape == top.scores.shape == (task.left, task.count)
    for scores, found, released in zip(exact, top.columns, top.scores, strict=True):
        assert len(set(found.tolist())) == task.count
        np.testing.assert_allclose(released, scores[found], rtol=0, atol=bound)
        assert np.delete(scores, found).max() <= released.min() + bound


@pytest.mark.parametrize(
    ("start", "scheme"),
    [("memory", "clear"), ("grpc", "clear"), ("grpc", "ckks")],
    indirect=["start"],
)
def test_released_rows_are_numpys_best(start: Open, scheme: str) -> None:
    coalition = start(scheme=scheme)
    task, rows = declared(coalition)
    assert coalition.node("cedar").await_task(coalition.terms, task.name) == task
    contribute(coalition, task, rows)
    for name in ("alder", "cedar"):
        with pytest.raises(PermissionDenied, match="only its recipients"):
            coalition.key_holder(name).release_similar(task)
    top = coalition.key_holder("birch").release_similar(task)
    exact = rows[LEFT] @ rows[RIGHT].T
    check(top, task, exact)
    with pytest.raises(AssertionError):
        check(top, task, exact[::-1])
    assert coalition.debits == [(task.identifier, 1, 0.0)]
    assert coalition.node_service.state(task.identifier).phase is Phase.RELEASED
    # Kept: nothing is computed, debited or flooded again.
    again = coalition.key_holder("birch").release_similar(task)
    np.testing.assert_array_equal(again.scores, top.scores)
    assert len(coalition.debits) == 1


def test_only_those_of_the_task_take_part(start: Open) -> None:
    coalition = start()
    task, rows = declared(coalition)
    with pytest.raises(PermissionDenied, match="only its declarer"):
        coalition.node("cedar").declare(task)
    other = SimilarityTask(coalition.terms, "birch", LABEL, "cedar", 8, 30, 6, COUNT)
    with pytest.raises(Conflict, match="another task of this name"):
        coalition.node("birch").declare(other)
    data = encrypted(coalition, task, LEFT, rows)
    with pytest.raises(UnknownTask, match="no such task"):
        coalition.node("alder").contribute(task, LEFT, data)
    with pytest.raises(InvalidInput, match="cedar contributes no such part"):
        coalition.node("cedar").contribute(task, LEFT, data)
    with pytest.raises(Replayed):
        coalition.node("cedar").contribute(task, RIGHT, data)
    contribute(coalition, task, rows)
    for result in ("0/0/1", "1/0/0", "scores", ""):
        with pytest.raises(UnknownTask, match="no such task"):
            coalition.node(KEY_HOLDER).fetch(task, result)


def test_nothing_is_decrypted_of_swapped_rows(start: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    coalition = start()
    task, rows = declared(coalition)
    decrypted: list[str] = []
    similar = LocalReleaser.similar
    monkeypatch.setattr(
        LocalReleaser, "similar", lambda *job: (decrypted.append("similar"), similar(*job))[1]
    )
    for name, side in task.parts:
        data = encrypted(coalition, task, side, rows)
        coalition.node(name).contribute(task, side, data)
        mine = data if name == "birch" else data + b"another"
        coalition.key_holder(name).commit(task, side, digest_of(mine), coalition.key)
    with pytest.raises(Mismatch, match="dropped or swapped a contribution: got that of cedar"):
        coalition.key_holder("birch").release_similar(task)
    assert (decrypted, coalition.debits) == ([], [])


def test_nothing_is_decrypted_without_its_debit(start: Open) -> None:
    coalition = start()
    task, rows = declared(coalition)
    contribute(coalition, task, rows)
    coalition.debits.append(("others", coalition.terms.releases, 0.0))
    with pytest.raises(LimitExceeded, match="used up"):
        coalition.key_holder("birch").release_similar(task)
    del coalition.debits[0]
    exact = rows[LEFT] @ rows[RIGHT].T
    check(coalition.key_holder("birch").release_similar(task), task, exact)


def test_a_node_that_swaps_tiles_gets_nothing_released(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Too many to be packed; two panels, for one has 8192 rows.
    coalition = start()
    task, rows = declared(coalition, left=100, right=9000, inner=64)
    assert task.results == ["0/0/0", "0/1/0"]
    contribute(coalition, task, rows)
    fetch = coalition.node_service.fetch

    def swapped(party: object, identifier: str, result: str, *more: object) -> Computed:
        other = {"0/0/0": "0/1/0", "0/1/0": "0/0/0"}[result]
        return fetch(party, identifier, other, *more)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(coalition.node_service, "fetch", swapped)
        with pytest.raises(Mismatch, match="out of order"):
            coalition.key_holder("birch").release_similar(task)
    # The control: the honest node's panels pass, each a ciphertext of the budget; of the attempt
    # before nothing had left, so it counts as the same debit.
    top = coalition.key_holder("birch").release_similar(task)
    check(top, task, rows[LEFT] @ rows[RIGHT].T)
    assert coalition.debits == [(task.identifier, 2, 0.0)]
