"""A key that replaces another while the node keeps its state, on both transports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coalitions import Coalition, make_terms, operand

from hecf.errors import Conflict, Mismatch, PartyMissing, PermissionDenied, Replayed
from hecf.he.blinding import BlindedResult
from hecf.he.plan import LEFT
from hecf.he.product.item_model import ItemModel
from hecf.protocol import contribution
from hecf.protocol.contribution import digest_of
from hecf.protocol.state import Phase
from hecf.protocol.tasks import MODEL, ScoreTask, SumTask
from hecf.recipes.contribution import Contributor
from hecf.rpc.identity import KEY_HOLDER
from hecf.rpc.sqlite_tasks import SqliteTaskStore

Open = Callable[..., Coalition]


def declared(coalition: Coalition, label: str) -> SumTask:
    task = SumTask(coalition.terms, "alder", label, 3, 1.0)
    coalition.node("alder").declare(task)
    return task


def give(coalition: Coalition, task: SumTask, *names: str) -> None:
    for name in names:
        one_hot = np.eye(3)[coalition.terms.retailers.index(name)]
        coalition.contribute(name, task, LEFT, operand(coalition, task, LEFT, one_hot))


def total(coalition: Coalition, task: SumTask, name: str = "alder") -> list[float]:
    values: list[float] = coalition.key_holder(name).release_sum(task).values.tolist()
    return values


def test_what_was_released_stays_and_what_was_not_is_collected_again(start: Open) -> None:
    coalition = start(scheme="ckks", patience=0.3)
    finished, begun = declared(coalition, "finished"), declared(coalition, "begun")
    give(coalition, finished, *coalition.terms.retailers)
    assert total(coalition, finished) == [1, 1, 1]
    debits = len(coalition.debits)
    give(coalition, begun, "alder", "birch")
    coalition.rotate()
    assert total(coalition, finished, "birch") == [1, 1, 1]
    assert len(coalition.debits) == debits
    assert coalition.node("alder").contributed(begun, LEFT) is None
    with pytest.raises(PartyMissing, match=r"^alder, birch, cedar did not act"):
        total(coalition, begun)
    give(coalition, begun, *coalition.terms.retailers)
    assert total(coalition, begun) == [1, 1, 1]


def test_nothing_under_a_replaced_key_is_taken(start: Open) -> None:
    coalition = start(scheme="ckks")
    task, former = declared(coalition, "counts"), coalition.public_key
    data, key = operand(coalition, task, LEFT, np.ones(3)), coalition.key
    coalition.node("alder").contribute(task, LEFT, data)
    coalition.rotate()
    with pytest.raises(Mismatch, match="under a public key that was replaced"):
        coalition.node("alder").contribute(task, LEFT, data)
    with pytest.raises(Mismatch, match="under another public key"):
        coalition.key_holder("alder").commit(task, LEFT, digest_of(data), key)
    with pytest.raises(Replayed, match="was replaced by another"):
        coalition.node(KEY_HOLDER).publish_key(coalition.terms, former)
    assert coalition.node("alder").contributed(task, LEFT) is None
    # The same contribution under the present key is taken.
    give(coalition, task, *coalition.terms.retailers)
    assert total(coalition, task) == [1, 1, 1]


def test_nobody_but_the_key_holder_replaces_the_key(start: Open) -> None:
    coalition = start(scheme="ckks")
    task = declared(coalition, "counts")
    give(coalition, task, *coalition.terms.retailers)
    former = coalition.public_key
    other = start(scheme="ckks")
    other.rotate()
    for name in coalition.terms.retailers:
        with pytest.raises(PermissionDenied):
            coalition.node(name).publish_key(coalition.terms, other.public_key)
    with coalition.tasks.change() as tasks:
        assert tasks.public_key() == former
    assert total(coalition, task) == [1, 1, 1]


def test_what_was_handed_out_and_not_released_is_collected_again(start: Open) -> None:
    coalition = start(scheme="ckks", patience=0.3)
    task = declared(coalition, "counts")
    give(coalition, task, *coalition.terms.retailers)
    coalition.node(KEY_HOLDER).fetch(task, "total")
    assert coalition.node_service.state(task.identifier).phase is Phase.RELEASED
    coalition.rotate()
    with pytest.raises(PartyMissing):
        total(coalition, task)
    give(coalition, task, *coalition.terms.retailers)
    assert total(coalition, task) == [1, 1, 1]


def test_the_mask_of_released_scores_outlives_the_key(start: Open) -> None:
    coalition = start(scheme="ckks", topology="coalition-key-blinded")
    random = np.random.default_rng(3)
    task = ScoreTask(coalition.terms, "birch", (0, 7), 20)
    coalition.node("birch").declare(task)
    shares = {name: random.uniform(-0.4, 0.4, (4, 2)) for name in task.sources}
    items = random.uniform(-0.25, 0.25, (4, 20))
    model = ItemModel(items, np.zeros(20)).to_bytes(task.plan)
    model = contribution.bound(task, MODEL, model, coalition.key)
    coalition.contribute("birch", task, MODEL, model)
    for name, share in shares.items():
        coalition.contribute(name, task, LEFT, operand(coalition, task, LEFT, share))
    coalition.key_holder("birch").release_scores(task)
    coalition.rotate()
    released = coalition.key_holder("birch").release_scores(task)
    assert isinstance(released, BlindedResult)
    scores = released.unblind(coalition.node("birch").fetch_mask(task))
    np.testing.assert_allclose(scores, sum(shares.values()).T @ items, atol=1e-4)


def test_a_retailer_goes_on_with_its_journal(start: Open) -> None:
    coalition = start(scheme="ckks")
    finished, begun = declared(coalition, "finished"), declared(coalition, "begun")
    journals: dict[str, dict[str, str]] = {name: {} for name in coalition.terms.retailers}
    made: list[str] = []

    def contribute(task: SumTask) -> None:
        for place, name in enumerate(coalition.terms.retailers):
            node, holder = coalition.node(name), coalition.key_holder(name)
            contributor = Contributor(node, holder, journals[name])
            public_key = contributor.public_key(coalition.terms)
            assert public_key == coalition.public_key

            def operand_of() -> bytes:
                made.append(task.label)
                return operand(coalition, task, LEFT, np.eye(3)[place])[40:]  # noqa: B023

            contributor.contribute(task, LEFT, operand_of)

    contribute(finished)
    assert total(coalition, finished) == [1, 1, 1]
    contribute(begun)
    coalition.rotate()
    for task in (finished, begun):
        contribute(task)
        assert total(coalition, task) == [1, 1, 1]
    assert made == ["finished"] * 3 + ["begun"] * 6


def test_a_restarted_node_knows_which_keys_were_replaced(tmp_path: Path) -> None:
    terms = make_terms(scheme="ckks")

    def start(**options: Any) -> Coalition:
        store = SqliteTaskStore(tmp_path / "tasks.sqlite", terms)
        return Coalition(terms, tmp_path, patience=0.3, tasks=store, **options)

    first = start()
    task = declared(first, "counts")
    data = operand(first, task, LEFT, np.ones(3))
    first.rotate()
    again = start(published=False)
    with pytest.raises(Mismatch, match="under a public key that was replaced"):
        again.node("alder").contribute(task, LEFT, data)
    with pytest.raises(Replayed):
        again.publish()
    again.rotate()
    give(again, task, *terms.retailers)
    assert total(again, task) == [1, 1, 1]
    with pytest.raises(Conflict, match="handed out"):
        again.node("alder").abort_task(task)
