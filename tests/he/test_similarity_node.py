"""What the node does for a similarity: exact words, bounded memory, concealed results."""

from __future__ import annotations

import secrets
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from encryption import keys_for, negacyclic, similarity_plan
from scipy.stats import chi2
from similarity_samples import (
    TOY,
    assembled,
    decryptor,
    encrypted,
    evaluator,
    raw_words,
    similarity,
    toy_plan,
    unit_rows,
)

from hecf.errors import (
    LimitExceeded,
    Mismatch,
)
from hecf.he import ckks
from hecf.he.similarity.evaluator import SimilarityEvaluator, tile_rows
from hecf.he.similarity.matrices import EncryptedRows
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.similarity.scores import similarity_matrix

# The node


@pytest.mark.parametrize("fill", ["uniform", "extreme"])
def test_the_node_multiplies_exactly_over_several_chunks(fill: str) -> None:
    plan = toy_plan(300, 3, 5, left_scale_bits=5, right_scale_bits=5)
    left, right = raw_words(plan, 7, fill=fill)
    (words,) = assembled(plan, evaluator(plan).evaluate(left, right))
    exact = left.words[0].astype(object) @ right.words[0].astype(object)[:40].T % plan.primes[0]
    assert np.array_equal(words[0][:, :40].astype(object), exact)


def test_tiles_of_any_size_hold_the_same_words() -> None:
    plan = toy_plan(4, 1100, 9)
    left, right = raw_words(plan, 8)
    whole = assembled(plan, evaluator(plan).evaluate(left, right))
    assert [panel.shape for panel in whole] == [(1, 2048, 1033), (1, 1100, 1033)]
    for rows in (1023, 1024, 333):
        tiles = list(evaluator(plan).evaluate(left, right, rows=rows))
        assert max(tile.place.count for tile in tiles) == rows
        parts = assembled(plan, tiles)
        assert all(np.array_equal(x, y) for x, y in zip(whole, parts, strict=True))


@pytest.mark.parametrize("concealed", [False, True])
def test_memory_stays_within_the_limit(concealed: bool) -> None:
    plan = similarity_plan(inner=64, left=2300, right=1500, concealed=concealed, left_scale_bits=20)
    left, right = raw_words(plan, 9)
    for memory in (1 << 27, 1 << 28):
        node = evaluator(plan, memory=memory)
        largest = tile_rows(plan, memory)
        tracemalloc.start()
        for tile in node.evaluate(left, right):
            assert tile.place.count <= largest
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= memory


def test_less_memory_than_a_row_is_refused() -> None:
    plan = similarity_plan()
    with pytest.raises(LimitExceeded, match="memory"):
        evaluator(plan, memory=1 << 16).evaluate(*raw_words(plan, 1))


def test_the_node_refuses_operands_that_do_not_belong() -> None:
    plan = similarity_plan()
    left, _ = raw_words(plan, 1)
    with pytest.raises(Mismatch):
        evaluator(plan).evaluate(left, left)
    with pytest.raises(Mismatch):
        evaluator(plan).evaluate(left, raw_words(similarity_plan(left=41), 1)[1])
    concealed = similarity_plan(concealed=True)
    with pytest.raises(Mismatch, match="public key"):
        SimilarityEvaluator().evaluate(*raw_words(concealed, 1))
    foreign = SimilarityEvaluator(keys_for(TOY)[1], secrets.token_bytes)
    with pytest.raises(Mismatch, match="parameters"):
        foreign.evaluate(*raw_words(concealed, 1))


def test_the_node_loads_no_encryption_library() -> None:
    code = "import sys, hecf.he.similarity.evaluator; sys.exit('tenseal' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Concealment


def test_a_concealed_result_is_within_its_bound() -> None:
    plan = similarity_plan(left=2100, right=30, concealed=True)
    a, b = unit_rows(1, 2100, 6), unit_rows(2, 30, 6)
    error = np.abs(similarity(plan, a, b, 700) - a @ b.T).max()
    assert error <= plan.error_bound


def test_every_score_gets_wide_noise() -> None:
    """With operands of zeros, the scores are the noise of concealment and nothing else."""
    plan = similarity_plan(left=300, right=200, concealed=True)
    tiles = evaluator(plan).evaluate(*raw_words(plan, 0, fill="zero"))
    panels = decryptor(plan.parameters).panels(plan, tiles)
    noise = similarity_matrix(plan, panels) * plan.scale
    assert abs(noise.std() / plan.wide_deviation - 1) < 0.05
    assert np.abs(noise).max() <= plan.noise_bound
    rows, columns = noise.mean(axis=1), noise.mean(axis=0)
    # No row or column shares its noise: their means are as small as independence makes them.
    assert np.abs(rows).max() < 6 * plan.wide_deviation / np.sqrt(200)
    assert np.abs(columns).max() < 6 * plan.wide_deviation / np.sqrt(300)


def chi_square(words: np.ndarray, prime: int) -> float:
    """Probability of residues at least as uneven as these if they were uniform."""
    cells = 256
    counts = np.bincount(words.ravel() * np.int64(cells) // prime, minlength=cells)
    expected = words.size / cells
    return float(chi2.sf(((counts - expected) ** 2).sum() / expected, cells - 1))


def test_the_parts_beside_the_scores_are_uniform() -> None:
    """With operands of zeros, a result is what concealment added and nothing else."""
    plan = similarity_plan(concealed=True)
    operands = raw_words(plan, 0, fill="zero")
    (panel,) = assembled(plan, evaluator(plan).evaluate(*operands))
    bare = similarity_plan()
    (raw,) = assembled(bare, evaluator(bare).evaluate(*raw_words(bare, 0, fill="zero")))
    for index, prime in enumerate(plan.primes):
        across, along = panel[index, :2048, 2048:], panel[index, 2048:, :2048]
        assert chi_square(across, prime) > 1e-6
        assert chi_square(along, prime) > 1e-6
        assert chi_square(raw[index, :2048, 2048:], prime) < 1e-100
        # Neighbours are not related: their differences are uniform as well.
        for part in (across, along):
            for axis in (0, 1):
                steps = np.diff(part.astype(np.int64), axis=axis) % prime
                assert chi_square(steps, prime) > 1e-6


def solved(plan: SimilarityPlan, panel: np.ndarray, right: EncryptedRows) -> np.ndarray:
    """What a key holder with B's upload computes of A: rows times 2 ** left_scale_bits.

    Of the rows ``b a' + s(X) a a' = S_A a'`` it takes d columns and inverts their a'.
    """
    prime, degree, d = plan.primes[0], plan.parameters.ring_degree, plan.inner
    secret = ckks.SealContext(plan.parameters).secret_polynomial(
        keys_for(plan.parameters)[0].expose()
    )
    opened = np.empty((plan.left, d), dtype=object)
    for column in range(d):
        upper = negacyclic(
            secret.astype(np.int64), panel[0, :degree, column].astype(np.int64), prime
        )
        lower = panel[0, degree:, column].astype(np.int64)
        opened[:, column] = (lower + upper[: plan.left]) % prime
    system = np.concatenate([right.words[0, :d].T.astype(object), opened], axis=0)
    # Column operations turn the first d rows, transposed a', to the identity and the rest to S_A.
    for pivot in range(d):
        other = next(c for c in range(pivot, d) if system[pivot, c] % prime)
        system[:, [pivot, other]] = system[:, [other, pivot]]
        system[:, pivot] = system[:, pivot] * pow(int(system[pivot, pivot]), -1, prime) % prime
        for c in range(d):
            if c != pivot:
                system[:, c] = (system[:, c] - system[pivot, c] * system[:, pivot]) % prime
    rows = system[d:].astype(np.int64)
    return np.where(rows > prime // 2, rows - prime, rows)


def test_an_upload_and_the_key_open_a_raw_result_but_no_concealed_one() -> None:
    a, b = unit_rows(1, 40, 6), unit_rows(2, 30, 6)
    errors = {}
    for concealed in (False, True):
        plan = similarity_plan(concealed=concealed)
        left, right = encrypted(plan, a, b)
        (panel,) = assembled(plan, evaluator(plan).evaluate(left, right))
        guess = solved(plan, panel, right) / 2.0**plan.left_scale_bits
        errors[concealed] = np.abs(guess - a).mean()
    assert errors[False] < 1e-4
    assert errors[True] > 0.5


def test_two_encryptions_and_two_concealments_differ() -> None:
    plan = similarity_plan(concealed=True)
    a, b = unit_rows(1, 40, 6), unit_rows(2, 30, 6)
    first, second = encrypted(plan, a, b), encrypted(plan, a, b)
    assert (first[0].words == second[0].words).mean() < 1e-4
    (one,), (two,) = (assembled(plan, evaluator(plan).evaluate(*first)) for _ in range(2))
    same = one == two
    assert same[:, :2048, :2048].all()
    assert same[:, 2048:].mean() < 1e-4
    assert same[:, :2048, 2048:].mean() < 1e-4


# Decryption, selection and release


def test_tiles_must_be_complete_and_in_order() -> None:
    plan = toy_plan(3, 1030, 4)
    tiles = list(evaluator(plan).evaluate(*raw_words(plan, 3), rows=1024))
    open_ = decryptor(TOY).panels
    assert len(list(open_(plan, tiles))) == 2
    wrong = [
        tiles[:-1],
        [*tiles, tiles[0]],
        [tiles[1], tiles[0], *tiles[2:]],
        [tiles[0], tiles[0], *tiles[1:]],
        [],
    ]
    for sequence in wrong:
        with pytest.raises(Mismatch):
            list(open_(plan, sequence))
    other = toy_plan(3, 1030, 4, left_scale_bits=9)
    with pytest.raises(Mismatch):
        list(open_(other, tiles))
    with pytest.raises(Mismatch):
        list(open_(similarity_plan(), tiles))
