"""One contract for both transports: in memory, and gRPC over mutual TLS with real servers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from coalitions import RETAILERS, Coalition, columns, make_terms, operand, unchecked_task
from encryption import unit_item_model

from hecf.errors import (
    Conflict,
    InvalidInput,
    LimitExceeded,
    MalformedMessage,
    Mismatch,
    PartyMissing,
    PermissionDenied,
    Replayed,
    Unavailable,
    UnknownTask,
)
from hecf.he.blinding import BlindedProduct, BlindedResult, MaskSeed
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.item_model import ItemModel
from hecf.he.product.plan import ProductPlan
from hecf.protocol import contribution
from hecf.protocol.contribution import Declared
from hecf.protocol.tasks import MODEL, SCORES, GramTask, ScoreTask, SumTask
from hecf.rpc.identity import KEY_HOLDER
from hecf.rpc.key_holder import LocalReleaser

ROWS = tuple(range(0, 40, 4))
ITEMS = 30
CLEAR_TOLERANCE = 1e-9
"""Released clear values are rounded to multiples of 2 ** -40."""

Open = Callable[..., Coalition]


def tolerance(plan: ProductPlan) -> float:
    """Largest error of a release: the plan's bound, six deviations of flooding, the grid."""
    if plan.scheme == "clear":
        return CLEAR_TOLERANCE
    return plan.error_bound + 6 * plan.flooding + 2.0 ** -(plan.grid_bits + 1)


def test_join_agrees_on_equal_terms_with_node_and_key_holder(coalition: Coalition) -> None:
    for name in (*RETAILERS, KEY_HOLDER):
        coalition.node(name).join(coalition.terms)
    for name in RETAILERS:
        coalition.key_holder(name).join(make_terms())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"coalition": "royal"}, "coalition"),
        ({"identifier": "ab" * 16}, "identifier of the coalition"),
        ({"shoppers": 151}, "length of the member directory"),
        ({"directory": "d2" * 32}, "fingerprint of the member directory"),
        ({"factors": 5}, "fingerprint of the parameters"),
        ({"scheme": "ckks"}, "fingerprint of the parameters"),
        ({"statistical_bits": 29}, "fingerprint of the parameters"),
        ({"ridge": 0.2}, "fingerprint of the terms"),
        ({"decay": 0.25}, "fingerprint of the terms"),
        ({"top_k": 6}, "fingerprint of the terms"),
        ({"minimum_shoppers": 99}, "fingerprint of the terms"),
        ({"retailers": RETAILERS[::-1]}, "fingerprint of the terms"),
    ],
)
def test_join_names_the_first_difference(
    coalition: Coalition, change: dict[str, Any], named: str
) -> None:
    other = make_terms(**change)
    for link in (coalition.node("birch"), coalition.key_holder("birch")):
        with pytest.raises(Mismatch, match=f"^birch has another {named}: got .*, expected ") as got:
            link.join(other)
        assert "\n" not in str(got.value)


def test_a_key_is_checked_and_published_before_anything_is_contributed(start: Open) -> None:
    coalition = start(scheme="ckks", published=False)
    task, link = GramTask(coalition.terms), coalition.node(KEY_HOLDER)
    data = operand(coalition, task, LEFT, columns(coalition.terms, 1))
    with pytest.raises(Unavailable, match="has not published the public key"):
        coalition.node_service.contribute(
            coalition.party("alder"), task.identifier, LEFT, Declared.of(data), 0, [data]
        )
    with pytest.raises((MalformedMessage, Mismatch, Replayed)):
        link.publish_key(coalition.terms, coalition.public_key[:-1])
    for _ in range(2):
        link.publish_key(coalition.terms, coalition.public_key)
        coalition.node("alder").contribute(task, LEFT, data)
    assert coalition.key_holder("alder").public_key(coalition.terms) == coalition.public_key


def test_a_contribution_is_idempotent_and_other_bytes_are_refused(coalition: Coalition) -> None:
    task = GramTask(coalition.terms)
    node = coalition.node("birch")
    first, second = (operand(coalition, task, LEFT, columns(coalition.terms, n)) for n in (1, 2))
    for _ in range(3):
        node.contribute(task, LEFT, first)
    assert coalition.stored() == 1
    with pytest.raises(Conflict, match="birch has already contributed"):
        node.contribute(task, LEFT, second)
    assert coalition.stored() == 1
    node.contribute(task, RIGHT, operand(coalition, task, RIGHT, columns(coalition.terms, 2)))
    assert coalition.stored() == 2


def test_a_hundred_equal_uploads_at_once_have_one_effect(coalition: Coalition) -> None:
    task = GramTask(coalition.terms)
    node = coalition.node("birch")
    data = operand(coalition, task, LEFT, columns(coalition.terms, 1))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: node.contribute(task, LEFT, data), range(100)))
    assert coalition.stored() == 1


def test_another_side_is_refused(coalition: Coalition) -> None:
    # In the agreed order the first retailer is left only and the last right only.
    task = GramTask(coalition.terms)
    for name, side in (("alder", RIGHT), ("cedar", LEFT)):
        data = operand(coalition, task, side, columns(coalition.terms, 1))
        with pytest.raises(InvalidInput, match=f"{name} contributes no such part"):
            coalition.node(name).contribute(task, side, data)
    with pytest.raises(InvalidInput, match="no such part"):
        coalition.node("alder").contribute(task, MODEL, b"anything")
    assert coalition.stored() == 0


@pytest.mark.parametrize("scheme", ["clear", "ckks"])
def test_a_mutated_contribution_is_refused_and_not_stored(start: Open, scheme: str) -> None:
    coalition = start(scheme=scheme)
    task = GramTask(coalition.terms)
    node = coalition.node("alder")
    data = operand(coalition, task, LEFT, columns(coalition.terms, 1))
    mutated = {
        "cut": data[:-1],
        "longer": data + b"\0",
        "empty": b"",
        "another header": bytes([data[0] ^ 1]) + data[1:],
        # Not a number in clear, and above every prime of 24 bits under encryption.
        "out of range": data[:-8] + b"\xff" * 8,
        "the other side": operand(coalition, task, RIGHT, columns(coalition.terms, 1)),
    }
    for what, content in mutated.items():
        with pytest.raises((MalformedMessage, Mismatch, Replayed)):
            node.contribute(task, LEFT, content)
        assert coalition.stored() == 0, what
    # Nothing was recorded either, so the right bytes are not in conflict with the wrong ones.
    node.contribute(task, LEFT, data)
    assert coalition.stored() == 1


def test_a_full_disk_leaves_the_contribution_missing(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    coalition = start(retailers=("alder", "birch"), patience=0.5)
    task = GramTask(coalition.terms)
    parts = {
        name: operand(coalition, task, side, columns(coalition.terms, 1))
        for name, side in task.parts
    }
    coalition.node("alder").contribute(task, LEFT, parts["alder"])

    def full(*arguments: Any) -> None:
        raise LimitExceeded("a block cannot be stored", got="No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("hecf.rpc.store.BlockStore.adopt", full)
        with pytest.raises(LimitExceeded, match="No space left"):
            coalition.node("birch").contribute(task, RIGHT, parts["birch"])
    with pytest.raises(PartyMissing, match="birch did not act"):
        coalition.node(KEY_HOLDER).fetch(task, "alder/birch")
    coalition.node("birch").contribute(task, RIGHT, parts["birch"])
    assert coalition.node(KEY_HOLDER).fetch(task, "alder/birch").data


def test_only_its_target_declares_a_score_task(coalition: Coalition) -> None:
    task = ScoreTask(coalition.terms, "cedar", ROWS, ITEMS)
    with pytest.raises(PermissionDenied, match="only its declarer declares"):
        coalition.node("alder").declare(task)
    coalition.node("cedar").declare(task)
    coalition.node("cedar").declare(task)
    with pytest.raises(Conflict, match="another task of this name was declared: got score/cedar"):
        coalition.node("cedar").declare(ScoreTask(coalition.terms, "cedar", ROWS[1:], ITEMS))
    assert coalition.node("alder").await_task(coalition.terms, "score/cedar") == task


@pytest.mark.parametrize(
    ("target", "rows", "items", "problem"),
    [
        ("cedar", (4, 3), ITEMS, "ascending positions below 150"),
        ("cedar", (3, 3), ITEMS, "ascending positions below 150"),
        ("cedar", (0, 150), ITEMS, "ascending positions below 150"),
        ("cedar", (), ITEMS, "names no shopper"),
        ("cedar", ROWS, 4, "the catalogue has an unsuitable size: got 4"),
        ("cedar", ROWS, 1 << 30, "the catalogue has an unsuitable size"),
        ("dogwood", ROWS, ITEMS, "unknown retailer: got dogwood, expected alder or birch or cedar"),
    ],
)
def test_unsuitable_score_tasks_are_refused(
    coalition: Coalition, target: str, rows: tuple[int, ...], items: int, problem: str
) -> None:
    forged = unchecked_task(coalition.terms, target, rows, items)
    with pytest.raises(InvalidInput, match=problem):
        coalition.node("cedar").declare(forged)
    with pytest.raises(InvalidInput, match=problem):
        coalition.key_holder("cedar").release_scores(forged)


def test_a_release_goes_to_the_target_only(coalition: Coalition) -> None:
    task = ScoreTask(coalition.terms, "cedar", ROWS, ITEMS)
    coalition.node("cedar").declare(task)
    for name in ("alder", "birch"):
        with pytest.raises(PermissionDenied, match="only its recipients receive"):
            coalition.key_holder(name).release_scores(task)
    assert coalition.debits == []


def test_every_unknown_task_is_answered_alike(coalition: Coalition) -> None:
    foreign = GramTask(make_terms(ridge=0.2))
    undeclared = ScoreTask(coalition.terms, "cedar", ROWS, ITEMS)
    coalition.node("alder").declare(ScoreTask(coalition.terms, "alder", ROWS, ITEMS))
    calls: list[Callable[[], object]] = [
        lambda: coalition.node("alder").contribute(foreign, LEFT, b"x"),
        lambda: coalition.node("alder").contribute(undeclared, LEFT, b"x"),
        lambda: coalition.node(KEY_HOLDER).fetch(foreign, "alder/birch"),
        lambda: coalition.node(KEY_HOLDER).fetch(undeclared, SCORES),
        lambda: coalition.node(KEY_HOLDER).fetch(GramTask(coalition.terms), "alder/alder"),
        lambda: coalition.node("alder").await_task(coalition.terms, "score/dogwood"),
        lambda: coalition.key_holder("alder").release_blocks(foreign),
        lambda: coalition.key_holder("cedar").release_scores(undeclared),
    ]
    for call in calls:
        with pytest.raises(UnknownTask) as got:
            call()
        assert str(got.value) == "no such task"


@pytest.mark.parametrize("scheme", ["clear", "ckks"])
def test_released_blocks_equal_the_clear_twin(start: Open, scheme: str) -> None:
    coalition = start(scheme=scheme)
    task = GramTask(coalition.terms)
    matrices = {name: columns(coalition.terms, n) for n, name in enumerate(RETAILERS)}
    for name, side in task.parts:
        data = operand(coalition, task, side, matrices[name])
        coalition.contribute(name, task, side, data)
    received = {name: coalition.key_holder(name).release_blocks(task) for name in RETAILERS}
    bound = tolerance(task.plan)
    for (first, second), block in received["alder"].blocks.items():
        for i in range(coalition.terms.factors):
            for j in range(coalition.terms.factors):
                exact = sum(
                    float(a) * float(b)
                    for a, b in zip(matrices[first][:, i], matrices[second][:, j], strict=True)
                )
                assert abs(block[i, j] - exact) <= bound
        # The control: the blocks of other matrices are far away.
        assert np.abs(block - matrices[second].T @ matrices[first]).max() > 100 * bound
    # Released once: everybody has the same numbers, and the budget was charged for them once.
    for blocks in received.values():
        for pair, block in blocks.blocks.items():
            np.testing.assert_array_equal(block, received["alder"].blocks[pair])
    groups = int(np.prod(task.plan.constant_shape[:2]))
    assert coalition.debits == [(task.identifier, len(task.pairs) * groups, 0.0)]


@pytest.mark.parametrize("scheme", ["clear", "ckks"])
def test_released_scores_equal_the_clear_twin(start: Open, scheme: str) -> None:
    coalition = start(scheme=scheme)
    random = np.random.default_rng(5)
    task = ScoreTask(coalition.terms, "birch", ROWS, ITEMS)
    shares = {name: random.uniform(-0.4, 0.4, (4, len(ROWS))) for name in task.sources}
    items, bias = unit_item_model(random, 4, ITEMS)
    coalition.node("birch").declare(task)
    model = contribution.bound(
        task, MODEL, ItemModel(items, bias).to_bytes(task.plan), coalition.key
    )
    coalition.contribute("birch", task, MODEL, model)
    for name, share in shares.items():
        received = coalition.node(name).await_task(coalition.terms, "score/birch")
        data = operand(coalition, received, LEFT, share)
        coalition.contribute(name, received, LEFT, data)
    top = coalition.key_holder("birch").release_scores(task)
    exact = (shares["alder"] + shares["cedar"]).T @ items + bias
    bound = tolerance(task.plan)
    assert top.items.shape == (len(ROWS), coalition.terms.top_k)
    for row, (chosen, scores) in enumerate(zip(top.items, top.scores, strict=True)):
        assert len(set(chosen.tolist())) == coalition.terms.top_k
        np.testing.assert_allclose(scores, exact[row, chosen], rtol=0, atol=bound)
        assert np.delete(exact[row], chosen).max() <= scores.min() + bound
        assert list(scores) == sorted(scores, reverse=True)
    without = shares["alder"].T @ items + bias
    chosen = np.take_along_axis(without, top.items.astype(np.int64), axis=1)
    assert np.abs(top.scores - chosen).max() > 100 * bound
    again = coalition.key_holder("birch").release_scores(task)
    np.testing.assert_array_equal(again.scores, top.scores)
    assert [debit[0] for debit in coalition.debits] == [task.identifier]


def blinded_scores(coalition: Coalition) -> tuple[ScoreTask, np.ndarray]:
    """A complete score task of a coalition that blinds, and its scores in clear."""
    random = np.random.default_rng(6)
    task = ScoreTask(coalition.terms, "birch", ROWS, ITEMS)
    shares = {name: random.uniform(-0.4, 0.4, (4, len(ROWS))) for name in task.sources}
    items, bias = unit_item_model(random, 4, ITEMS)
    coalition.node("birch").declare(task)
    model = contribution.bound(
        task, MODEL, ItemModel(items, bias).to_bytes(task.plan), coalition.key
    )
    coalition.contribute("birch", task, MODEL, model)
    for name, share in shares.items():
        coalition.contribute(name, task, LEFT, operand(coalition, task, LEFT, share))
    return task, sum(shares.values()).T @ items + bias


@pytest.mark.parametrize("scheme", ["clear", "ckks"])
def test_blinded_scores_are_read_by_their_target_only(start: Open, scheme: str) -> None:
    coalition = start(scheme=scheme, topology="coalition-key-blinded")
    task, exact = blinded_scores(coalition)
    released = coalition.key_holder("birch").release_scores(task)
    assert isinstance(released, BlindedResult)
    seed = coalition.node("birch").fetch_mask(task)
    bound = task.plan.error_bound + 9 * task.plan.flooding + CLEAR_TOLERANCE
    assert np.abs(released.unblind(seed) - exact).max() <= bound
    # What the key holder has and hands on is not the scores.
    unread = released.unblind(MaskSeed(bytes(32)))
    assert np.abs(unread - exact).max() > 1
    assert abs(np.corrcoef(unread.ravel(), exact.ravel())[0, 1]) < 5 / exact.size**0.5
    # The same bytes and the same mask again, and one charge of the budget.
    again = coalition.key_holder("birch").release_scores(task)
    assert isinstance(again, BlindedResult)
    np.testing.assert_array_equal(again.words, released.words)
    assert coalition.node("birch").fetch_mask(task) == seed
    assert [debit[0] for debit in coalition.debits] == [task.identifier]
    # Nobody else gets the mask, the key holder least of all, or the scores.
    for name in ("alder", "cedar"):
        with pytest.raises(UnknownTask, match="no such task"):
            coalition.node(name).fetch_mask(task)
        with pytest.raises(PermissionDenied):
            coalition.key_holder(name).release_scores(task)
    with pytest.raises(PermissionDenied):
        coalition.node(KEY_HOLDER).fetch_mask(task)


def test_the_key_holder_is_sent_no_mask(start: Open) -> None:
    """What it fetches is the masked product, and nothing of the seed is in it."""
    coalition = start(topology="coalition-key-blinded")
    task, exact = blinded_scores(coalition)
    seed = coalition.node("birch").fetch_mask(task)
    fetched = coalition.node(KEY_HOLDER).fetch(task, SCORES).data
    product = BlindedProduct.from_bytes(task.plan, fetched)
    assert seed.data not in fetched
    # The scheme is clear, so without its mask the product would be readable.
    bare = BlindedResult(task.plan, product.constant)
    assert np.abs(bare.unblind(seed) - exact).max() < CLEAR_TOLERANCE
    assert np.abs(bare.unblind(MaskSeed(bytes(32))) - exact).max() > 1


def test_there_is_no_mask_where_nothing_is_blinded(coalition: Coalition) -> None:
    task = ScoreTask(coalition.terms, "cedar", ROWS, ITEMS)
    coalition.node("cedar").declare(task)
    with pytest.raises(UnknownTask, match="no such task"):
        coalition.node("cedar").fetch_mask(task)
    blinding = make_terms(topology="coalition-key-blinded")
    with pytest.raises(UnknownTask, match="no such task"):
        coalition.node("cedar").fetch_mask(ScoreTask(blinding, "cedar", ROWS, ITEMS))


@pytest.mark.parametrize("scheme", ["clear", "ckks"])
def test_a_released_sum_is_exact(start: Open, scheme: str) -> None:
    coalition = start(scheme=scheme)
    task = SumTask(
        coalition.terms,
        "birch",
        "item-counts",
        300,
        value_bound=50.0,
        fraction_bits=3,
        contributors=("alder", "cedar"),
        recipients=("alder", "birch"),
        weights=(2, -3),
    )
    with pytest.raises(PermissionDenied, match="only its declarer"):
        coalition.node("alder").declare(task)
    coalition.node("birch").declare(task)
    random = np.random.default_rng(9)
    eighths = {name: random.integers(-400, 401, 300) for name in task.contributors}
    for name, vector in eighths.items():
        received = coalition.node(name).await_task(coalition.terms, "sum/birch/item-counts")
        assert received == task
        data = operand(coalition, received, LEFT, vector / 8)
        coalition.contribute(name, received, LEFT, data)
    with pytest.raises(InvalidInput, match="birch contributes no such part"):
        coalition.node("birch").contribute(task, LEFT, b"anything")
    exact = 2 * eighths["alder"] - 3 * eighths["cedar"]
    for name in task.recipients:
        released = coalition.key_holder(name).release_sum(task)
        np.testing.assert_array_equal(released.values * 8, exact)
        assert released.contributors == task.contributors
    assert coalition.debits == [(task.identifier, 0, 0.0)]
    assert not np.array_equal(exact, eighths["alder"] - eighths["cedar"])
    with pytest.raises(PermissionDenied, match="only its recipients"):
        coalition.key_holder("cedar").release_sum(task)
    with pytest.raises(Conflict, match="another task of this name"):
        coalition.node("birch").declare(
            SumTask(coalition.terms, "birch", "item-counts", 301, value_bound=50.0)
        )


def test_the_task_that_the_terms_define_is_not_declared(coalition: Coalition) -> None:
    with pytest.raises(InvalidInput, match="the terms define this task"):
        coalition.node("alder").declare(GramTask(coalition.terms))  # type: ignore[arg-type]


def test_nothing_is_decrypted_without_its_debit(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    coalition = start(releases=2)
    order: list[str] = []
    debit, gram = coalition.debit, LocalReleaser.gram
    monkeypatch.setattr(
        coalition.holder_service, "_debit", lambda *spent: (order.append("debit"), debit(*spent))
    )
    monkeypatch.setattr(
        LocalReleaser, "gram", lambda *job: (order.append("decrypt"), gram(*job))[1]
    )
    task = GramTask(coalition.terms)
    for name, side in task.parts:
        matrix = columns(coalition.terms, 1)
        coalition.contribute(name, task, side, operand(coalition, task, side, matrix))
    with pytest.raises(LimitExceeded, match="the releases under this key are used up"):
        coalition.key_holder("alder").release_blocks(task)
    assert coalition.debits == []
    assert order == ["debit"]
    # The control: with one release more, one debit goes before all three decryptions.
    coalition.debits.append(("", -1, 0.0))
    coalition.key_holder("alder").release_blocks(task)
    assert order == ["debit", "debit", *["decrypt"] * 3]


def test_waiting_ends_by_naming_who_is_missing(start: Open) -> None:
    coalition = start(patience=0.4)
    task = GramTask(coalition.terms)
    data = operand(coalition, task, LEFT, columns(coalition.terms, 1))
    coalition.contribute("alder", task, LEFT, data)
    with pytest.raises(PartyMissing, match=r"^birch, cedar did not act: got nothing in 0.4 sec"):
        coalition.key_holder("alder").release_blocks(task)
    for name, side in task.parts:
        if name != "alder":
            matrix = columns(coalition.terms, 1)
            coalition.contribute(name, task, side, operand(coalition, task, side, matrix))
    with pytest.raises(PartyMissing, match=r"^cedar did not act"):
        coalition.node("alder").await_task(coalition.terms, "score/cedar")
    assert coalition.key_holder("alder").release_blocks(task).blocks.keys() == set(task.pairs)


def test_a_retailer_outside_the_terms_is_denied(coalition: Coalition) -> None:
    for link in (coalition.node("dogwood"), coalition.key_holder("dogwood")):
        with pytest.raises(PermissionDenied, match="not in the coalition's terms"):
            link.join(coalition.terms)
