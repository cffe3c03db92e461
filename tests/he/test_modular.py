from __future__ import annotations

import math

import numpy as np
import pytest
from encryption import PARAMETERS
from hypothesis import given, settings
from hypothesis import strategies as st

from hecf.he import loops
from hecf.he.kernels import _exact_matmul
from hecf.he.modular import (
    centre,
    digits_to_float,
    digits_to_integers,
    exact_terms,
    recombine,
    reduce_centred,
    residues,
    to_words,
)
from hecf.he.parameters import largest_primes

PRIMES = PARAMETERS.primes
EVERY_SIZE = [largest_primes(1024, bits, 1)[0] for bits in (15, 18, 20, 22, 23, 24)]


def dot(terms: int, first: int, second: int) -> float:
    """A float64 dot product of constant vectors, as the kernel computes it."""
    rows, columns = np.full((1, 1, terms), float(first)), np.full((1, terms, 1), float(second))
    return float(np.matmul(rows, columns)[0, 0, 0])


@pytest.mark.parametrize("prime", EVERY_SIZE)
def test_worst_case_sums_at_the_bound_are_exact(prime: int) -> None:
    terms = exact_terms(prime)
    # One more than a centred residue can be, so that the reduction's near-ties are covered.
    extreme = (prime + 3) // 2
    for sign in (1, -1):
        total = dot(min(terms, 1 << 20), extreme, sign * extreme)
        exact = min(terms, 1 << 20) * extreme * sign * extreme
        assert int(total) == exact
        reduced = reduce_centred(np.array([total]), prime)[0]
        assert int(reduced) % prime == exact % prime
        assert abs(reduced) <= extreme


@pytest.mark.parametrize("prime", [p for p in EVERY_SIZE if p.bit_length() >= 22])
def test_one_term_over_the_bound_is_inexact(prime: int) -> None:
    terms = exact_terms(prime) + 1
    extreme = (prime + 3) // 2
    wrong_sums = wrong_residues = 0
    for less in range(40):
        rows = np.full((1, 1, terms), float(extreme))
        columns = np.full((1, terms, 1), float(extreme))
        columns[0, 0, 0] -= less
        rows[0, 0, 0] -= less % 3
        exact = sum(int(a) * int(b) for a, b in zip(rows[0, 0], columns[0, :, 0], strict=True))
        assert exact > 2**53 - prime
        total = np.matmul(rows, columns)[0, 0, 0]
        wrong_sums += int(total) != exact
        reduced = reduce_centred(np.array([total]), prime)[0]
        wrong_residues += int(reduced) % prime != exact % prime
    assert wrong_sums > 0
    assert wrong_residues > 0


@pytest.mark.parametrize("prime", [EVERY_SIZE[-1], EVERY_SIZE[-2]])
@pytest.mark.parametrize("inner", [1, "bound - 1", "bound", "bound + 1", "3 bounds + 5"])
def test_the_kernel_chunks_an_inner_dimension_of_any_length(prime: int, inner: object) -> None:
    bound = exact_terms(prime)
    sizes = {"bound - 1": bound - 1, "bound": bound, "bound + 1": bound + 1}
    length = {**sizes, 1: 1, "3 bounds + 5": 3 * bound + 5}[inner]
    extreme = float(prime // 2)
    rows = np.full((1, 2, length), extreme)
    rows[0, 1] = -extreme
    columns = np.full((1, length, 1), extreme)
    columns[0, 0] -= 1
    product = _exact_matmul(rows, columns, prime)
    half = prime // 2
    exact = (length - 1) * half * half + half * (half - 1)
    assert [int(value) % prime for value in product[0, :, 0]] == [exact % prime, -exact % prime]


LARGEST = 2**53 - max(EVERY_SIZE)


@given(st.lists(st.integers(-LARGEST, LARGEST), min_size=1, max_size=50))
def test_reduction_keeps_the_residue_and_centres(values: list[int]) -> None:
    for prime in EVERY_SIZE:
        reduced = reduce_centred(np.array(values, dtype=np.float64), prime)
        assert [int(r) % prime for r in reduced] == [v % prime for v in values]
        assert np.abs(reduced).max() <= (prime + 3) // 2


def test_reduction_above_its_bound_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    # Processors that multiply and add with one rounding get away with it.
    monkeypatch.setattr(loops, "LIBRARY", None)
    # Below 2**53, but the odd multiple of the prime that is nearest is above it.
    prime, value = 8_380_417, 9_007_199_252_640_642
    assert prime in EVERY_SIZE
    assert value < 2**53
    reduced = reduce_centred(np.array([float(value)]), prime)[0]
    assert int(reduced) % prime != value % prime


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30))
def test_residues_of_any_signed_integer(values: list[int]) -> None:
    out = residues(np.array(values, dtype=np.int64), PRIMES)
    assert out.shape == (len(PRIMES), len(values))
    for row, prime in zip(out, PRIMES, strict=True):
        assert [int(r) % prime for r in row] == [v % prime for v in values]
        assert np.abs(row).max() <= prime // 2


@pytest.mark.parametrize("prime", EVERY_SIZE)
def test_words_and_centred_residues_are_inverse(prime: int) -> None:
    edges = [0, 1, prime // 2 - 1, prime // 2, prime // 2 + 1, prime - 1]
    words = np.array(edges, dtype=np.uint32)
    centred = centre(words, prime)
    assert [int(c) for c in centred] == [w if w <= prime // 2 else w - prime for w in edges]
    assert to_words(centred, prime).tolist() == edges
    # A residue that the reduction left just over the half still becomes its word.
    over = np.array([(prime + 3) // 2, -((prime + 3) // 2)], dtype=np.float64)
    assert to_words(over, prime).tolist() == [int(v) % prime for v in over]


HALF = (math.prod(PRIMES) - 1) // 2
EXTREMES = [0, 1, -1, HALF, -HALF, HALF - 1, PRIMES[0] // 2, PRIMES[0] // 2 + 1, -PRIMES[0]]


@settings(max_examples=200)
@given(st.lists(st.integers(-HALF, HALF) | st.sampled_from(EXTREMES), min_size=1, max_size=20))
def test_recombination_is_the_chinese_remainder_theorem(integers: list[int]) -> None:
    words = np.array([[v % p for v in integers] for p in PRIMES], dtype=np.int64)
    digits = recombine(words, PRIMES)
    assert digits_to_integers(digits, PRIMES) == integers
    for digit, prime in zip(digits, PRIMES, strict=True):
        assert np.abs(digit).max() <= prime // 2
    # Centred residues are as good as words.
    centred = np.where(words > np.array(PRIMES)[:, np.newaxis] // 2, words, words)
    centred = centred - np.array(PRIMES)[:, np.newaxis] * (words % 2)
    assert digits_to_integers(recombine(centred, PRIMES), PRIMES) == integers


@given(st.integers(HALF + 1, 2 * HALF))
def test_an_integer_over_half_the_modulus_wraps(integer: int) -> None:
    words = np.array([[integer % p] for p in PRIMES], dtype=np.int64)
    assert digits_to_integers(recombine(words, PRIMES), PRIMES) == [integer - math.prod(PRIMES)]


@given(st.integers(-HALF, HALF), st.integers(0, 70))
def test_float_evaluation_keeps_its_relative_precision(integer: int, shift: int) -> None:
    small = integer >> shift
    words = np.array([[small % p] for p in PRIMES], dtype=np.int64)
    value = digits_to_float(recombine(words, PRIMES), PRIMES, 2.0**40)[0]
    assert abs(value * 2.0**40 - small) <= 8 * 2.0**-53 * abs(small)
