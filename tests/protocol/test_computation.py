from __future__ import annotations

import io
import secrets
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from encryption import keys_for

from hecf.errors import (
    HecfError,
    InvalidInput,
    LimitExceeded,
    MalformedMessage,
    Mismatch,
    ReleaseRefused,
    UnknownTask,
)
from hecf.he.blinding import BlindedDecryption, BlindedProduct, BlindedResult
from hecf.he.clear_matrices import ClearProduct
from hecf.he.keys import Decrypted
from hecf.he.matrices import EncryptedMatrix, EncryptedProduct
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.item_model import ItemModel
from hecf.he.scheme import Evaluator, Scheme, scheme_by_name, streaming_scheme
from hecf.he.streams import COPIES
from hecf.privacy.release import ReleaseGate, TopScores
from hecf.protocol.computation import Masked, check_part, compute
from hecf.protocol.released import (
    ReleasedBlocks,
    scores_from_bytes,
    scores_to_bytes,
    top_scores_from_bytes,
    top_scores_to_bytes,
)
from hecf.protocol.tasks import MODEL, SCORES, TOTAL, GramTask, Part, ScoreTask, SumTask
from hecf.protocol.terms import BLINDED, COALITION_KEY, Terms

TERMS = Terms(
    coalition="loyal",
    identifier="0" * 32,
    scheme="clear",
    retailers=("grocer", "butcher", "florist"),
    shoppers=300,
    directory="1" * 64,
    factors=4,
    top_k=5,
    topology=COALITION_KEY,
)
GRAM = GramTask(TERMS)
ROWS = (3, 50, 51, 299)
SCORE = ScoreTask(TERMS, "butcher", ROWS, 25)
SCHEME: Scheme = scheme_by_name("clear")


@pytest.fixture
def embeddings() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {name: np.linalg.qr(random.standard_normal((300, 4)))[0] for name in TERMS.retailers}


@pytest.fixture
def evaluator() -> Evaluator:
    return SCHEME.evaluator(GRAM.plan.parameters, b"", secrets.token_bytes)


def uploads(
    task: GramTask | ScoreTask | SumTask, matrices: dict[Part, np.ndarray]
) -> Callable[[Part], list[bytes]]:
    encryptor = SCHEME.encryptor(task.plan.parameters, b"")
    data = {
        part: [encryptor.encrypt(encryptor.encode(task.plan, part[1], matrix)).to_bytes()]
        for part, matrix in matrices.items()
    }
    return data.__getitem__


def test_blocks_are_numpys(embeddings: dict[str, np.ndarray], evaluator: Evaluator) -> None:
    read = uploads(GRAM, {part: embeddings[part[0]] for part in GRAM.parts})
    for (first, second), result in zip(GRAM.pairs, GRAM.results, strict=True):
        product = compute(GRAM, result, GRAM.parts, read, SCHEME, evaluator, secrets.token_bytes)
        assert isinstance(product, ClearProduct)
        expected = np.einsum("ni,nj->ij", embeddings[first], embeddings[second])
        assert np.allclose(product.values, expected, atol=1e-14)
        # The order of the pair matters: the transposed block is another matrix.
        assert not np.allclose(product.values, expected.T, atol=1e-3)


def test_blocks_pass_through_little_memory() -> None:
    """Contributions of which no half fits the memory: bytes of a block decide, not of the data."""
    terms = replace(TERMS, scheme="ckks", retailers=("grocer", "butcher"), shoppers=100_000)
    task = GramTask(terms)
    plan = task.plan
    scheme = streaming_scheme("ckks")
    secret, public = keys_for(plan.parameters)
    evaluator = scheme.evaluator(plan.parameters, public.to_bytes(), secrets.token_bytes)
    encryptor = scheme.encryptor(plan.parameters, public.to_bytes())
    random = np.random.default_rng(6)
    rows = np.linalg.qr(random.standard_normal((100_000, 4)))[0]
    data = {
        part: encryptor.encrypt(encryptor.encode(plan, part[1], rows)).to_bytes()
        for part in task.parts
    }
    assert plan.stripes(LEFT).count > 10
    memory = 2 * COPIES * EncryptedMatrix.body_bytes(plan, LEFT, 0, 1)

    def run(allowed: int) -> EncryptedProduct:
        def read(part: Part) -> Iterator[bytes]:
            whole = data[part]
            return (whole[start : start + 10_000] for start in range(0, len(whole), 10_000))

        made = compute(
            task,
            task.results[0],
            task.parts,
            read,
            scheme,
            evaluator,
            secrets.token_bytes,
            memory=allowed,
        )
        assert isinstance(made, EncryptedProduct)
        return made

    def peak(allowed: int) -> tuple[int, EncryptedProduct]:
        tracemalloc.start()
        try:
            made = run(allowed)
            return tracemalloc.get_traced_memory()[1], made
        finally:
            tracemalloc.stop()

    small, product = peak(memory)
    values = scheme.decryptor(secret).decrypt(product).unwrap()
    assert np.abs(values - np.eye(4)).max() <= plan.error_bound + 1e-12
    whole, _ = peak(1 << 30)
    # What is left is the result while it is concealed.
    assert small < memory + 10 * plan.result_bytes < whole
    with pytest.raises(LimitExceeded, match="the memory is too small"):
        run(memory - 2)


def test_sums_in_blocks_are_exact_with_and_without_everybody(evaluator: Evaluator) -> None:
    terms = replace(TERMS, minimum_contributors=2)
    task = SumTask(terms, "grocer", "counts", values=500, value_bound=9.0, weights=(1, -2, 3))
    vectors = np.random.default_rng(7).integers(-9, 10, (3, 500)).astype(float)
    parts = task.parts
    read = uploads(task, dict(zip(parts, vectors, strict=True)))
    decryptor = SCHEME.decryptor(SCHEME.generate_keys(task.plan.parameters)[0])
    for present in (parts, parts[1:], parts[:2]):
        total = compute(task, TOTAL, present, read, SCHEME, evaluator, secrets.token_bytes)
        weights = np.array([w for p, w in zip(parts, (1, -2, 3), strict=True) if p in present])
        there = vectors[[part in present for part in parts]]
        found = decryptor.decrypt_sum(task.plan, total).unwrap()
        assert np.array_equal(found, weights @ there)
    with pytest.raises(Mismatch):
        compute(task, TOTAL, [], read, SCHEME, evaluator, secrets.token_bytes)


def test_scores_are_numpys(evaluator: Evaluator) -> None:
    random = np.random.default_rng(2)
    shares = {name: random.uniform(-1, 1, (4, 4)) for name in SCORE.sources}
    items, bias = random.standard_normal((4, 25)), random.standard_normal(25)
    model, unit = ItemModel.scaled(items, bias)
    operands = uploads(SCORE, {(name, LEFT): share for name, share in shares.items()})

    def read(part: Part) -> list[bytes]:
        return [model.to_bytes(SCORE.plan)] if part == ("butcher", MODEL) else operands(part)

    product = compute(SCORE, SCORES, SCORE.parts, read, SCHEME, evaluator, secrets.token_bytes)
    assert isinstance(product, ClearProduct)
    expected = [
        [
            bias[item] + sum(shares[n][k, row] * items[k, item] for n in shares for k in range(4))
            for item in range(25)
        ]
        for row in range(len(ROWS))
    ]
    assert np.allclose(product.values * unit, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("task", "result"),
    [(GRAM, "butcher/grocer"), (GRAM, "grocer/grocer"), (GRAM, SCORES), (GRAM, ""), (SCORE, "a/b")],
)
def test_results_that_a_task_does_not_have_are_refused(
    task: GramTask | ScoreTask, result: str, evaluator: Evaluator
) -> None:
    def never(part: Part) -> list[bytes]:
        raise AssertionError("nothing may be read")

    with pytest.raises(UnknownTask, match="no such result"):
        compute(task, result, task.parts, never, SCHEME, evaluator, secrets.token_bytes)


def test_blinded_scores_are_kept_in_one_piece_with_their_seed(evaluator: Evaluator) -> None:
    task = ScoreTask(replace(TERMS, topology=BLINDED), "butcher", ROWS, 25)
    assert task.blinded
    assert task.identifier != SCORE.identifier
    items = np.zeros((4, 25))
    items[0] = 0.5
    model = ItemModel(items, np.zeros(25)).to_bytes(task.plan)
    operands = uploads(task, {(name, LEFT): np.full((4, 4), 0.25) for name in task.sources})

    def read(part: Part) -> list[bytes]:
        return [model] if part[1] == MODEL else operands(part)

    made = [
        compute(task, SCORES, task.parts, read, SCHEME, evaluator, secrets.token_bytes)
        for _ in range(2)
    ]
    assert all(isinstance(one, Masked) for one in made)
    # Computed again it is masked again: no seed meets two results.
    assert made[0].to_bytes()[:32] != made[1].to_bytes()[:32]
    kept = made[0]
    assert Masked.seed_of(kept.to_bytes()).data == kept.to_bytes()[:32] == kept.seed.data
    decryptor = SCHEME.decryptor(SCHEME.generate_keys(task.plan.parameters)[0])
    opened = decryptor.decrypt_blinded(BlindedProduct.from_bytes(task.plan, kept.product))
    gate = ReleaseGate(task.terms.release_policy, secrets.token_bytes)
    released = scores_from_bytes(task, scores_to_bytes(task, gate.blinded(opened)))
    assert isinstance(released, BlindedResult)
    assert np.allclose(released.unblind(kept.seed), 2 * 0.25 * 0.5, atol=1e-12)
    # Neither the seed nor the ciphertext is printed.
    assert kept.seed.data.hex() not in repr(kept)
    assert len(repr(kept)) < 100


def test_a_coalition_that_blinds_releases_no_readable_scores() -> None:
    blinded = replace(TERMS, topology=BLINDED).release_policy
    plan = SCORE.plan
    exact = Decrypted(plan, np.zeros((plan.left, plan.right)))
    masked = BlindedDecryption(plan, np.zeros(plan.constant_shape, dtype=np.uint32))
    with pytest.raises(ReleaseRefused, match="under a mask"):
        ReleaseGate(blinded, secrets.token_bytes).top_scores(exact)
    with pytest.raises(ReleaseRefused, match="best items"):
        ReleaseGate(TERMS.release_policy, secrets.token_bytes).blinded(masked)


def test_parts_are_checked_before_they_are_stored() -> None:
    good = uploads(GRAM, {("grocer", LEFT): np.zeros((300, 4))})(("grocer", LEFT))[0]
    check_part(GRAM, ("grocer", LEFT), [good], SCHEME)
    model = ItemModel(np.zeros((4, 25)), np.zeros(25)).to_bytes(SCORE.plan)
    check_part(SCORE, ("butcher", MODEL), io.BytesIO(model), SCHEME)
    large = np.full(4 * 25 + 25, 0.9).astype("<f8").tobytes()
    for task, part, data, error in (
        (GRAM, ("butcher", RIGHT), good, MalformedMessage),
        (SCORE, ("grocer", LEFT), good, Mismatch),
        (SCORE, ("butcher", MODEL), good, MalformedMessage),
        (SCORE, ("grocer", LEFT), model, MalformedMessage),
        (GRAM, ("grocer", LEFT), good[:-1], MalformedMessage),
        (GRAM, ("grocer", LEFT), b"", MalformedMessage),
        (SCORE, ("butcher", MODEL), model[:40] + large, InvalidInput),
    ):
        with pytest.raises(error) as caught:
            check_part(task, part, [data], SCHEME)
        assert isinstance(caught.value, HecfError)


def test_released_blocks_survive_their_bytes() -> None:
    random = np.random.default_rng(3)
    blocks = ReleasedBlocks({pair: random.standard_normal((4, 4)) for pair in GRAM.pairs})
    back = ReleasedBlocks.from_bytes(GRAM, blocks.to_bytes(GRAM))
    assert list(back.blocks) == GRAM.pairs
    for pair in GRAM.pairs:
        assert np.array_equal(back.blocks[pair], blocks.blocks[pair])
    # Transposed or exchanged blocks would be noticed.
    assert not np.array_equal(back.blocks[GRAM.pairs[0]], blocks.blocks[GRAM.pairs[0]].T)
    assert not np.array_equal(back.blocks[GRAM.pairs[0]], blocks.blocks[GRAM.pairs[1]])
    infinite = ReleasedBlocks({pair: np.full((4, 4), np.inf) for pair in GRAM.pairs})
    with pytest.raises(MalformedMessage, match="not finite"):
        ReleasedBlocks.from_bytes(GRAM, infinite.to_bytes(GRAM))


def top_scores(items: np.ndarray | None = None) -> TopScores:
    random = np.random.default_rng(4)
    chosen = random.permuted(np.tile(np.arange(25), (4, 1)), axis=1)[:, :5].astype(np.int32)
    return TopScores(chosen if items is None else items, random.standard_normal((4, 5)))


def test_released_scores_survive_their_bytes() -> None:
    top = top_scores()
    back = top_scores_from_bytes(SCORE, top_scores_to_bytes(SCORE, top))
    assert np.array_equal(back.items, top.items)
    assert np.array_equal(back.scores, top.scores)
    assert back.items.dtype == np.int32


@pytest.mark.parametrize("position", [-1, 25, 2**31 - 1, -(2**31)])
def test_released_positions_outside_the_catalogue_are_refused(position: int) -> None:
    items = top_scores().items
    items[2, 3] = position
    with pytest.raises(MalformedMessage, match="do not fit the catalogue"):
        top_scores_from_bytes(SCORE, top_scores_to_bytes(SCORE, top_scores(items)))


def test_results_of_another_task_with_the_same_plan_are_refused() -> None:
    other = ScoreTask(TERMS, "butcher", (3, 50, 51, 298), 25)
    assert other.plan.fingerprint == SCORE.plan.fingerprint
    data = top_scores_to_bytes(SCORE, top_scores())
    with pytest.raises(Mismatch):
        top_scores_from_bytes(other, data)
    with pytest.raises(Mismatch):
        top_scores_from_bytes(ScoreTask(TERMS, "florist", ROWS, 25), data)
    royal = GramTask(Terms.from_json(TERMS.to_json().replace("loyal", "royal")))
    assert royal.plan.fingerprint == GRAM.plan.fingerprint
    blocks = ReleasedBlocks({pair: np.zeros((4, 4)) for pair in GRAM.pairs})
    with pytest.raises(Mismatch):
        ReleasedBlocks.from_bytes(royal, blocks.to_bytes(GRAM))
