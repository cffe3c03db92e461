"""Encrypted similarity from end to end, within its bound, beside clear NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from encryption import keys_for, negacyclic, similarity_plan
from hypothesis import given, settings
from hypothesis import strategies as st
from similarity_samples import (
    adversarial,
    decryptor,
    encrypted,
    evaluator,
    similarity,
    toy_plan,
    unit_rows,
)

from hecf.errors import (
    InvalidInput,
    Mismatch,
    ParameterError,
)
from hecf.he import ckks
from hecf.he.clear import ClearDecryptor, ClearEncryptor, ClearEvaluator
from hecf.he.parameters import ParameterSet
from hecf.he.plan import LEFT, RIGHT
from hecf.he.similarity.decryptor import SimilarityDecryptor
from hecf.he.similarity.plan import PUBLIC_KEY, SECRET_KEY, normalise_rows
from hecf.he.similarity.planner import plan_similarity
from hecf.he.similarity.scores import similarity_matrix

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
    parameters = ParameterSet.with_data_primes(2048, 1)
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
