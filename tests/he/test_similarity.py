from __future__ import annotations

import pickle
import secrets
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from encryption import OWN, keys_for, negacyclic, similarity_plan
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from hecf.errors import (
    HecfError,
    InvalidInput,
    LimitExceeded,
    MalformedMessage,
    Mismatch,
    ParameterError,
    ReleaseRefused,
)
from hecf.he import ckks
from hecf.he.clear import ClearDecryptor, ClearEncryptor, ClearEvaluator
from hecf.he.modular import digits_to_integers, recombine
from hecf.he.parameters import MODULUS_BITS_128, ParameterSet, largest_primes
from hecf.he.plan import LEFT, RIGHT
from hecf.he.similarity.decryptor import SimilarityDecryptor, recombine_centred
from hecf.he.similarity.encryptor import SecretRowEncryptor
from hecf.he.similarity.evaluator import SimilarityEvaluator, tile_rows
from hecf.he.similarity.matrices import EncryptedRows, EncryptedTile, TilePlace, tile_places
from hecf.he.similarity.plan import PUBLIC_KEY, SECRET_KEY, SimilarityPlan, normalise_rows
from hecf.he.similarity.planner import plan_similarity
from hecf.he.similarity.ring import add_words, coefficients, reduce_words, spectrum
from hecf.he.similarity.scores import Panel, similarity_matrix, top_similar
from hecf.privacy.policy import ReleasePolicy
from hecf.privacy.release import ReleaseGate

TOY = ParameterSet.with_data_primes(1024, 1, special=False)


def toy_plan(inner: int, left: int, right: int, **changes: Any) -> SimilarityPlan:
    """One prime in the ring of 1024: coarse, and quick."""
    sizes = {"inner": inner, "left": left, "right": right}
    scales = {"level": 1, "left_scale_bits": 11, "right_scale_bits": 10}
    return similarity_plan(**sizes, parameters=TOY, **{**scales, **changes})


def unit_rows(seed: int, rows: int, columns: int) -> np.ndarray:
    matrix = np.random.default_rng(seed).standard_normal((rows, columns))
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def encrypted(plan: SimilarityPlan, a: np.ndarray, b: np.ndarray) -> tuple[EncryptedRows, ...]:
    secret, public = keys_for(plan.parameters)
    if plan.encryption == SECRET_KEY:
        own = SecretRowEncryptor(secret, secrets.token_bytes)
        return own.encrypt(plan, LEFT, a), own.encrypt(plan, RIGHT, b)
    other = ckks.CkksEncryptor(public)
    return tuple(other.encrypt(other.encode(plan, s, m)) for s, m in ((LEFT, a), (RIGHT, b)))


def evaluator(plan: SimilarityPlan, **arguments: Any) -> SimilarityEvaluator:
    if not plan.concealed:
        return SimilarityEvaluator(**arguments)
    return SimilarityEvaluator(keys_for(plan.parameters)[1], secrets.token_bytes, **arguments)


@lru_cache(maxsize=8)
def decryptor(parameters: ParameterSet) -> SimilarityDecryptor:
    return SimilarityDecryptor(keys_for(parameters)[0])


def similarity(
    plan: SimilarityPlan, a: np.ndarray, b: np.ndarray, rows: int | None = None
) -> np.ndarray:
    tiles = evaluator(plan).evaluate(*encrypted(plan, a, b), rows=rows)
    return similarity_matrix(plan, decryptor(plan.parameters).panels(plan, tiles))


def raw_words(plan: SimilarityPlan, seed: int, *, fill: str = "uniform") -> list[EncryptedRows]:
    """Operands of chosen words, not of any encryption."""
    random = np.random.default_rng(seed)
    operands = []
    for side in (LEFT, RIGHT):
        shape = plan.operand_shape(side)
        words = np.zeros(shape, dtype=np.uint32)
        for index, prime in enumerate(plan.primes):
            if fill == "uniform":
                words[index] = random.integers(0, prime, shape[1:])
            elif fill == "extreme":
                words[index] = random.choice([prime // 2, prime // 2 + 1], shape[1:])
        operands.append(EncryptedRows(plan, side, words))
    return operands


def assembled(plan: SimilarityPlan, tiles: Iterable[EncryptedTile]) -> list[np.ndarray]:
    """Words of whole panels (L, N + rows, N + columns), in order."""
    panels: dict[tuple[int, int], list[np.ndarray]] = {}
    for tile in tiles:
        panels.setdefault((tile.place.row_block, tile.place.column_block), []).append(tile.words)
    return [np.concatenate(parts, axis=1) for parts in panels.values()]


# Correct products


@settings(max_examples=12, deadline=None)
@given(
    inner=st.integers(1, 40),
    left=st.integers(1, 2100),
    right=st.integers(1, 1300),
    rows=st.integers(100, 3000),
    seed=st.integers(0, 2**32 - 1),
)
def test_coarse_products_are_within_the_bound(
    inner: int, left: int, right: int, rows: int, seed: int
) -> None:
    plan = toy_plan(inner, left, right)
    a, b = unit_rows(seed, left, inner), unit_rows(seed + 1, right, inner)
    assert np.abs(similarity(plan, a, b, rows) - a @ b.T).max() <= plan.error_bound


@settings(max_examples=3, deadline=None)
@given(
    inner=st.integers(1, 300),
    left=st.integers(1, 300),
    right=st.sampled_from([1, 77, 2049]),
    seed=st.integers(0, 2**32 - 1),
)
def test_planned_products_are_within_bound_and_precision(
    inner: int, left: int, right: int, seed: int
) -> None:
    plan = plan_similarity(scheme="ckks", inner=inner, left=left, right=right, precision=1e-3)
    assert plan.parameters.ring_degree == 2048
    a, b = unit_rows(seed, left, inner), unit_rows(seed + 1, right, inner)
    error = np.abs(similarity(plan, a, b) - a @ b.T).max()
    assert error <= plan.error_bound <= 1e-3
    assert error < 2e-5


def adversarial(name: str, rows: int, inner: int) -> np.ndarray:
    if name == "equal":
        return np.full((rows, inner), 1 / np.sqrt(inner))
    if name == "opposite":
        return np.full((rows, inner), -1 / np.sqrt(inner))
    matrix = np.zeros((rows, inner))
    if name == "one-hot":
        matrix[np.arange(rows), np.arange(rows) % inner] = 1 + 9e-10
    return matrix


@pytest.mark.parametrize("left", ["equal", "one-hot", "zero"])
@pytest.mark.parametrize("right", ["equal", "opposite", "one-hot"])
def test_extreme_rows_neither_wrap_nor_miss_the_bound(left: str, right: str) -> None:
    plan = toy_plan(25, 60, 50, right_scale_bits=11)
    # No room is wasted: with one bit more the plan is refused.
    with pytest.raises(ParameterError):
        replace(plan, left_scale_bits=plan.left_scale_bits + 1)
    a, b = adversarial(left, 60, 25), adversarial(right, 50, 25)
    assert np.abs(similarity(plan, a, b) - a @ b.T).max() <= plan.error_bound


def test_the_clear_twin_gives_the_same() -> None:
    plan = toy_plan(5, 1030, 20)
    clear = replace(plan, scheme="clear")
    a, b = unit_rows(1, 1030, 5), unit_rows(2, 20, 5)
    twin = ClearEncryptor()
    tiles = ClearEvaluator().similarity(twin.encode(clear, LEFT, a), twin.encode(clear, RIGHT, b))
    exact = similarity_matrix(clear, ClearDecryptor().panels(clear, tiles))
    assert np.allclose(exact, a @ b.T, atol=1e-15)
    assert np.abs(similarity(plan, a, b) - exact).max() <= plan.error_bound


def test_the_clear_twin_refuses_what_the_scheme_refuses() -> None:
    clear = toy_plan(5, 3, 4, scheme="clear")
    rows, evaluate = ClearEncryptor(), ClearEvaluator().similarity
    left, right = (
        rows.encode(clear, LEFT, np.zeros((3, 5))),
        rows.encode(clear, RIGHT, np.zeros((4, 5))),
    )
    other = replace(clear, left_scale_bits=9)
    with pytest.raises(Mismatch):
        evaluate(right, right)
    with pytest.raises(Mismatch):
        list(ClearDecryptor().panels(other, evaluate(left, right)))
    with pytest.raises(Mismatch):
        rows.encode(toy_plan(5, 3, 4), LEFT, np.zeros((3, 5)))


def test_public_key_encryption() -> None:
    plan = plan_similarity(
        scheme="ckks", inner=4, left=5, right=7, precision=1e-3, encryption=PUBLIC_KEY
    )
    assert plan.parameters.special_prime is not None
    a, b = unit_rows(3, 5, 4), unit_rows(4, 7, 4)
    error = np.abs(similarity(plan, a, b) - a @ b.T).max()
    assert 0 < error <= plan.error_bound


@pytest.mark.parametrize("encryption", [SECRET_KEY, PUBLIC_KEY])
def test_a_column_opens_to_its_row_and_small_noise(encryption: str) -> None:
    """Schoolbook decryption of single columns, with integers only."""
    parameters = ParameterSet(2048, largest_primes(2048, 24, 1), largest_primes(2048, 29, 1)[0])
    plan = similarity_plan(
        parameters=parameters,
        level=1,
        encryption=encryption,
        left=2050,
        right=3,
        inner=2,
        left_scale_bits=8,
        right_scale_bits=8,
    )
    a = unit_rows(5, 2050, 2)
    words = encrypted(plan, a, np.zeros((3, 2)))[0].words[0].astype(np.int64)
    prime = plan.primes[0]
    secret = ckks.SealContext(parameters).secret_polynomial(keys_for(parameters)[0].expose())
    for column in range(2):
        for block, rows in ((0, 2048), (1, 2)):
            half = negacyclic(secret.astype(np.int64), words[block * 4096 :, column][:2048], prime)
            opened = (words[block * 4096 + 2048 :, column][:rows] + half[:rows]) % prime
            opened[opened > prime // 2] -= prime
            message = np.rint(a[block * 2048 :][:rows, column] * 2**8)
            noise = np.abs(opened - message).max()
            assert noise <= plan.fresh_noise_bound
            # The check can fail: without the secret half nothing is small.
            if rows > 2:
                assert noise > 0
                assert np.abs(words[4096:, column][:rows] - message).max() > 2**20


def test_a_scale_beyond_an_integer_of_64_bits_is_an_exact_factor() -> None:
    plan = similarity_plan(
        parameters=ParameterSet.with_data_primes(4096, 4, special=False),
        level=4,
        left_scale_bits=66,
        right_scale_bits=26,
        left=3,
        right=4,
    )
    a, b = unit_rows(1, 3, 6), unit_rows(2, 4, 6)
    assert np.abs(similarity(plan, a, b) - a @ b.T).max() <= plan.error_bound < 1e-5


def test_another_key_reads_garbage() -> None:
    plan = similarity_plan()
    a, b = unit_rows(1, 40, 6), unit_rows(2, 30, 6)
    tiles = list(evaluator(plan).evaluate(*encrypted(plan, a, b)))
    stranger = SimilarityDecryptor(ckks.generate_keys(plan.parameters)[0])
    garbage = similarity_matrix(plan, stranger.panels(plan, tiles))
    assert np.abs(garbage - a @ b.T).mean() > 0.5
    right = similarity_matrix(plan, decryptor(plan.parameters).panels(plan, tiles))
    assert np.abs(right - a @ b.T).max() < 1e-4


def test_normalised_rows_give_cosines() -> None:
    matrix = np.array([[3.0, 4.0], [0.0, 0.0], [-1e-300, 0.0], [1e300, 1e300]])
    half = np.sqrt(0.5)
    expected = [[0.6, 0.8], [0, 0], [-1, 0], [half, half]]
    assert np.allclose(normalise_rows(matrix), expected, atol=1e-15)
    with pytest.raises(InvalidInput):
        normalise_rows(np.array([[np.nan]]))
    with pytest.raises(InvalidInput):
        normalise_rows(np.zeros(3))


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


def panels_of(plan: SimilarityPlan, matrix: np.ndarray) -> list[Panel]:
    n = plan.parameters.ring_degree
    return [
        Panel(plan, x, y, matrix[x * n : (x + 1) * n, y * n : (y + 1) * n])
        for x in range(plan.blocks(LEFT))
        for y in range(plan.blocks(RIGHT))
    ]


@pytest.mark.parametrize("n", [1, 7, 2300])
def test_the_best_are_selected_while_panels_stream(n: int) -> None:
    plan = toy_plan(3, 1100, 2300)
    matrix = np.random.default_rng(5).standard_normal((1100, 2300))
    top = top_similar(plan, iter(panels_of(plan, matrix)), n)
    order = np.argsort(-matrix, axis=1)[:, :n]
    assert np.array_equal(top.columns, order)
    assert np.array_equal(top.scores, np.take_along_axis(matrix, order, axis=1))


def test_panels_must_be_complete_and_their_number_possible() -> None:
    plan = toy_plan(3, 1100, 2)
    panels = panels_of(plan, np.zeros((1100, 2)))
    for wrong in (panels[:1], panels[::-1], [*panels, panels[0]]):
        with pytest.raises(Mismatch):
            top_similar(plan, wrong, 1)
        with pytest.raises(Mismatch):
            similarity_matrix(plan, wrong)
    with pytest.raises(Mismatch):
        similarity_matrix(toy_plan(3, 1100, 2, left_scale_bits=9), panels)
    for n in (0, 3):
        with pytest.raises(InvalidInput):
            top_similar(plan, panels, n)


def test_a_release_is_flooded() -> None:
    plan = plan_similarity(scheme="ckks", inner=4, left=300, right=200, precision=1e-3, releases=4)
    assert plan.concealed
    exact = np.random.default_rng(6).uniform(-1, 1, (300, 200))
    panels = panels_of(plan, exact)
    for refuse in (similarity_matrix, lambda p, x: top_similar(p, x, 3)):
        with pytest.raises(ReleaseRefused):
            refuse(plan, panels)
    gate = ReleaseGate(ReleasePolicy(2, 200), secrets.token_bytes)
    top = gate.most_similar(plan, panels, 100)
    released = top.scores
    noise = released - np.take_along_axis(exact, top.columns, axis=1)
    assert abs(noise.std() / plan.flooding - 1) < 0.05
    assert abs(noise.mean()) < 5 * plan.flooding / np.sqrt(noise.size)
    assert np.array_equal(released * 2.0**plan.grid_bits % 1, np.zeros_like(released))
    own = toy_plan(4, 3, 2)
    with pytest.raises(ReleaseRefused, match="own-key"):
        gate.most_similar(own, panels_of(own, np.zeros((3, 2))), 1)


def test_exact_values_and_keys_do_not_pickle() -> None:
    plan = toy_plan(3, 2, 2)
    for value in (panels_of(plan, np.zeros((2, 2)))[0], decryptor(TOY)):
        with pytest.raises(TypeError):
            pickle.dumps(value)
    assert "0." not in repr(panels_of(plan, np.zeros((2, 2)))[0])


def test_own_key_scores_need_no_flood_and_find_the_neighbours() -> None:
    plan = similarity_plan(inner=20, left=50, right=400)
    a, b = unit_rows(1, 50, 20), unit_rows(2, 400, 20)
    tiles = evaluator(plan).evaluate(*encrypted(plan, a, b))
    top = top_similar(plan, decryptor(OWN).panels(plan, tiles), 5)
    assert np.abs(top.scores - np.sort(a @ b.T, axis=1)[:, :-6:-1]).max() <= plan.error_bound


# Plans


def test_plans_say_no_to_what_they_cannot_hold() -> None:
    plan = similarity_plan()
    wrong: list[dict[str, Any]] = [
        {"left_scale_bits": 24},
        {"left_scale_bits": 0},
        {"level": 0},
        {"level": 3},
        {"inner": 0},
        {"scheme": "none"},
        {"encryption": "none"},
        {"encryption": PUBLIC_KEY},
        {"releases": -1},
        {"statistical_bits": 0},
        {"releases": 1},
    ]
    for changes in wrong:
        with pytest.raises(ParameterError):
            replace(plan, **changes)


def test_every_field_is_in_the_fingerprint() -> None:
    plan = similarity_plan(releases=1, concealed=True, left_scale_bits=20, right_scale_bits=20)
    changes: list[dict[str, Any]] = [
        {"scheme": "clear"},
        {"inner": 7},
        {"left": 41},
        {"right": 31},
        {"parameters": ParameterSet.with_data_primes(2048, 2, special=False)},
        {"left_scale_bits": 19},
        {"right_scale_bits": 19},
        {"releases": 2},
        {"statistical_bits": 31},
        {"releases": 0},
        {"releases": 0, "concealed": False},
    ]
    prints = {replace(plan, **change).fingerprint for change in changes} | {plan.fingerprint}
    assert len(prints) == len(changes) + 1
    wide = ParameterSet.with_data_primes(4096, 3)
    chosen = replace(plan, parameters=wide)
    others = [replace(chosen, level=3), replace(chosen, encryption=PUBLIC_KEY)]
    assert len({chosen.fingerprint, *(other.fingerprint for other in others)}) == 3


@settings(max_examples=30, deadline=None)
@given(
    inner=st.integers(1, 5000),
    left=st.integers(1, 10**6),
    precision=st.sampled_from([0.5, 1e-2, 1e-4]),
    encryption=st.sampled_from([SECRET_KEY, PUBLIC_KEY]),
    releases=st.sampled_from([0, 1, 1024]),
)
def test_a_plan_reaches_its_precision_within_the_security_table(
    inner: int, left: int, precision: float, encryption: str, releases: int
) -> None:
    plan = plan_similarity(
        scheme="ckks",
        inner=inner,
        left=left,
        right=50,
        precision=precision,
        encryption=encryption,
        releases=releases,
    )
    assert plan.error_bound <= precision
    assert plan.flooding <= precision
    assert (plan.flooding > 0) == plan.concealed == (releases > 0)
    assert plan.parameters.modulus_bits <= MODULUS_BITS_128[plan.parameters.ring_degree]
    assert 2 * plan.result_bound < plan.modulus
    assert (plan.parameters.special_prime is not None) == (encryption == PUBLIC_KEY)


def test_the_planner_refuses_the_impossible_and_keeps_to_a_key() -> None:
    with pytest.raises(ParameterError, match="128-bit"):
        plan_similarity(scheme="ckks", inner=4, left=5, right=6, precision=1e-90)
    plan = plan_similarity(scheme="ckks", inner=4, left=5, right=6, precision=1e-3, parameters=OWN)
    assert plan.parameters is OWN
    with pytest.raises(ParameterError):
        plan_similarity(scheme="ckks", inner=4, left=5, right=6, precision=1e-9, parameters=OWN)


def test_bytes_are_what_the_plan_says() -> None:
    plan = toy_plan(3, 1030, 4)
    left, right = raw_words(plan, 3)
    assert len(left.to_bytes()) == 40 + plan.operand_bytes(LEFT)
    assert len(right.to_bytes()) == 40 + plan.operand_bytes(RIGHT)
    tiles = list(evaluator(plan).evaluate(left, right))
    assert sum(len(tile.to_bytes()) - 56 for tile in tiles) == plan.result_bytes


@pytest.mark.parametrize(
    "matrix",
    [np.zeros((40, 5)), np.full((40, 6), np.nan), np.full((40, 6), 0.41), np.full((40, 6), 1e200)],
)
def test_rows_that_a_plan_does_not_cover_are_refused(matrix: np.ndarray) -> None:
    with pytest.raises(InvalidInput):
        encrypted(similarity_plan(), matrix, np.zeros((30, 6)))


def test_encryptors_refuse_plans_of_others() -> None:
    plan = similarity_plan()
    secret, _ = keys_for(OWN)
    encryptor = SecretRowEncryptor(secret, secrets.token_bytes)
    wide = ParameterSet.with_data_primes(4096, 3)
    for other in (
        replace(plan, scheme="clear"),
        toy_plan(6, 40, 30),
        replace(plan, parameters=wide, encryption=PUBLIC_KEY),
    ):
        with pytest.raises(Mismatch):
            encryptor.encrypt(other, LEFT, np.zeros((40, 6)))


# Bytes


def test_bytes_come_back() -> None:
    plan = toy_plan(3, 1030, 4)
    left, right = raw_words(plan, 3)
    again = EncryptedRows.from_bytes(plan, LEFT, left.to_bytes())
    assert np.array_equal(again.words, left.words)
    for tile in evaluator(plan).evaluate(left, right, rows=400):
        copy = EncryptedTile.from_bytes(plan, tile.to_bytes())
        assert copy.place == tile.place
        assert np.array_equal(copy.words, tile.words)


def tile_bytes(plan: SimilarityPlan) -> bytes:
    tile = next(iter(evaluator(plan).evaluate(*raw_words(plan, 3), rows=2)))
    return tile.to_bytes()


def test_altered_bytes_are_refused() -> None:
    plan = toy_plan(3, 5, 4)
    other = toy_plan(3, 5, 4, left_scale_bits=9)
    rows, tile = raw_words(plan, 3)[0].to_bytes(), tile_bytes(plan)
    prime = plan.primes[0]
    for data, parse, first in (
        (rows, lambda p, x: EncryptedRows.from_bytes(p, LEFT, x), 40),
        (tile, EncryptedTile.from_bytes, 56),
    ):
        parse(plan, data)
        for wrong in (b"", data[:39], data[:41], data[:-1], data + b"\0", b"X" + data[1:]):
            with pytest.raises(MalformedMessage):
                parse(plan, wrong)
        with pytest.raises(Mismatch):
            parse(other, data)
        for value in (prime, (1 << 24) - 1):
            changed = data[:first] + value.to_bytes(3, "little") + data[first + 3 :]
            with pytest.raises(MalformedMessage, match="residue"):
                parse(plan, changed)
        largest = data[:first] + (prime - 1).to_bytes(3, "little") + data[first + 3 :]
        parse(plan, largest)
    with pytest.raises(HecfError):
        EncryptedRows.from_bytes(plan, RIGHT, rows)
    with pytest.raises(HecfError):
        EncryptedTile.from_bytes(plan, rows)


@pytest.mark.parametrize(
    "place", [(1, 0, 0, 2), (0, 1, 0, 2), (0, 0, 1028, 2), (0, 0, 0, 0), (2**31, 0, 0, 2**31)]
)
def test_tiles_outside_of_their_panel_are_refused(place: tuple[int, ...]) -> None:
    plan = toy_plan(3, 5, 4)
    data = tile_bytes(plan)
    forged = data[:40] + TilePlace(*place).to_bytes() + data[56:]
    with pytest.raises(MalformedMessage):
        EncryptedTile.from_bytes(plan, forged)


def test_words_of_another_shape_are_refused() -> None:
    plan = toy_plan(3, 5, 4)
    with pytest.raises(MalformedMessage):
        EncryptedRows(plan, LEFT, np.zeros((1, 2, 3), dtype=np.uint32))
    place = tile_places(plan, 4, range(1), range(1))[0]
    with pytest.raises(MalformedMessage):
        EncryptedTile(plan, place, np.zeros(place.shape(plan), dtype=np.int64))


# Arithmetic


@pytest.mark.parametrize("degree", [1024, 16384])
def test_products_by_fft_are_exact_on_extremes(degree: int) -> None:
    random = np.random.default_rng(degree)
    large = (1 << 24) - 1
    polynomials = np.stack([np.full(degree, large), random.integers(0, large + 1, degree)])
    for small in (np.ones(degree, dtype=np.int64), random.integers(-1, 2, degree)):
        factor = spectrum(small[np.newaxis])
        result = coefficients(spectrum(polynomials) * factor)
        for polynomial, product in zip(polynomials, result, strict=True):
            full = np.zeros(2 * degree, dtype=np.int64)
            # An exact convolution by two halves of 12 bits, whose float64 sums are far from 2**53.
            for shift in (0, 12):
                half = (polynomial >> shift) & 0xFFF
                rounded = np.rint(
                    np.fft.irfft(
                        np.fft.rfft(half, 2 * degree) * np.fft.rfft(small, 2 * degree), 2 * degree
                    )
                )
                full += rounded.astype(np.int64) << shift
            assert np.array_equal(product, full[:degree] - full[degree:])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-(2**52), 2**52), min_size=1, max_size=50))
def test_words_are_reduced_exactly(values: list[int]) -> None:
    prime = TOY.primes[0]
    edges = [0, prime, -prime, prime // 2, -(prime // 2) - 1, 2**52, -(2**52)]
    every = [*values, *edges]
    out = np.empty(len(every), dtype=np.uint32)
    reduce_words(np.array(every, dtype=np.float64), prime, out)
    assert out.tolist() == [value % prime for value in every]
    more = np.full(len(every), prime - 1, dtype=np.uint32)
    add_words(out, more, prime)
    assert out.tolist() == [(value - 1) % prime for value in every]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_recombination_is_the_exact_one(count: int) -> None:
    primes = largest_primes(4096, 24, count)
    random = np.random.default_rng(count)
    words = np.stack([random.integers(0, p, 500) for p in primes])
    words[:, 0], words[:, 1] = 0, [p // 2 for p in primes]
    words[:, 2] = [p // 2 + 1 for p in primes]
    centred = [
        np.where(w > p // 2, w - p, w).astype(np.float64)
        for w, p in zip(words, primes, strict=True)
    ]
    exact = digits_to_integers(recombine(words, primes), primes)
    result = recombine_centred(centred, primes, 1.0)
    expected = np.array([float(value) for value in exact])
    assert np.allclose(result, expected, rtol=1e-14, atol=0)
    assert count > 2 or np.array_equal(result, expected)
