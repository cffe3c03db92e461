"""Arithmetic of whole polynomials, exact on extremes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from similarity_samples import (
    TOY,
)

from hecf.he.modular import digits_to_integers, recombine
from hecf.he.parameters import largest_primes
from hecf.he.similarity.decryptor import recombine_centred
from hecf.he.similarity.ring import add_words, coefficients, reduce_words, spectrum

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
