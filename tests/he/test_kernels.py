from __future__ import annotations

import secrets

import numpy as np
import pytest
import tenseal.sealapi as sealapi
from encryption import PARAMETERS, keys_for
from hypothesis import given, settings
from hypothesis import strategies as st
from seal_oracle import seal_ciphertext

from hecf.he import kernels
from hecf.he.modular import exact_terms
from hecf.he.parameters import largest_primes
from hecf.he.seal import SealContext, _saved
from hecf.he.zeros import PublicZeros

PRIMES = PARAMETERS.primes


def oracle(left: np.ndarray, right: np.ndarray, primes: tuple[int, ...]) -> np.ndarray:
    """Products of component polynomials at every position, with Python integers."""
    groups, blocks, x, levels, degree = left.shape
    others, _, y = right.shape[:3]
    out = np.zeros((groups, others, x + y - 1, levels, degree), dtype=object)
    for g, h, b, i, j in np.ndindex(groups, others, blocks, x, y):
        for index in range(levels):
            product = left[g, b, i, index].astype(object) * right[h, b, j, index].astype(object)
            out[g, h, i + j, index] += product
    for index, prime in enumerate(primes):
        out[:, :, :, index] %= prime
    return out


def random_words(
    random: np.random.Generator, shape: tuple[int, ...], primes: tuple[int, ...]
) -> np.ndarray:
    words = np.empty(shape, dtype=np.uint32)
    for index, prime in enumerate(primes):
        words[..., index, :] = random.integers(0, prime, (*shape[:-2], shape[-1]))
    return words


small = st.integers(1, 3)


@settings(max_examples=40, deadline=None)
@given(small, small, st.integers(1, 6), st.integers(1, 2), st.integers(1, 2), st.integers(0, 2**32))
def test_products_agree_with_python_integers(
    groups: int, others: int, blocks: int, x: int, y: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    left = random_words(random, (groups, blocks, x, 3, 16), PRIMES)
    right = random_words(random, (others, blocks, y, 3, 16), PRIMES)
    out = kernels.multiply(left, right, PRIMES)
    assert out.dtype == np.uint32
    assert np.array_equal(out.astype(object), oracle(left, right, PRIMES))


def test_worst_case_words_over_a_chunked_inner_dimension() -> None:
    primes = PRIMES[:2]
    blocks = 2 * exact_terms(min(primes)) + 3
    left = np.empty((1, blocks, 2, 2, 4), dtype=np.uint32)
    right = np.empty_like(left)
    for index, prime in enumerate(primes):
        # Centred, these are the largest odd residues and their negatives.
        left[:, :, 0, index], left[:, :, 1, index] = prime // 2 - 1, prime // 2 + 2
        right[:, :, 0, index], right[:, :, 1, index] = prime // 2 - 1, prime // 2 + 2
    out = kernels.multiply(left, right, primes)
    assert np.array_equal(out.astype(object), oracle(left, right, primes))
    # Without chunks the same sum is odd and over 2**53, so float64 cannot hold it.
    whole = np.full(blocks, float(primes[0] // 2 - 1))
    assert int(whole @ whole) != blocks * (primes[0] // 2 - 1) ** 2


@pytest.mark.parametrize("degree", [kernels.TILE - 1, kernels.TILE, kernels.TILE + 5])
def test_every_tile_is_written(degree: int) -> None:
    random = np.random.default_rng(3)
    left = random_words(random, (2, 3, 2, 1, degree), PRIMES[:1])
    right = random_words(random, (1, 3, 1, 1, degree), PRIMES[:1])
    out = kernels.multiply(left, right, PRIMES[:1])
    assert np.array_equal(out.astype(object), oracle(left, right, PRIMES[:1]))


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 700])
def test_sums_of_any_number_of_words_are_exact(count: int) -> None:
    largest = np.array([[prime - 1] * 2 for prime in PRIMES], dtype=np.uint32)
    total = kernels.add([largest] * count, PRIMES)
    expected = [[count * (prime - 1) % prime] * 2 for prime in PRIMES]
    assert total.tolist() == expected
    assert largest.tolist() == [[prime - 1] * 2 for prime in PRIMES]
    # Plain 32-bit sums of so many words are not.
    plain = np.sum([largest] * count, axis=0, dtype=np.uint32) % np.array(PRIMES)[:, None]
    assert (plain.tolist() == expected) == (count <= 256)


def test_a_small_prime_needs_no_chunks_and_is_exact() -> None:
    primes = (largest_primes(1024, 15, 1)[0],)
    random = np.random.default_rng(4)
    left = random_words(random, (2, 400, 2, 1, 8), primes)
    right = random_words(random, (2, 400, 2, 1, 8), primes)
    out = kernels.multiply(left, right, primes)
    assert np.array_equal(out.astype(object), oracle(left, right, primes))


def test_the_kernel_computes_what_seals_evaluator_computes() -> None:
    secret, public = keys_for(PARAMETERS)
    context = SealContext(PARAMETERS)
    zeros = PublicZeros(public, secrets.token_bytes)
    random = np.random.default_rng(6)
    shape = (2, 3, 2, 3, 4096)
    left, right = np.empty(shape, dtype=np.uint32), np.empty(shape, dtype=np.uint32)
    for operand in (left, right):
        for group, block in np.ndindex(2, 3):
            operand[group, block] = zeros.draw(1, 3)[0]
        message = random_words(random, (2, 3, 3, 4096), PRIMES)
        operand[:, :, 0] = kernels.add([operand[:, :, 0], message], PRIMES)
    out = kernels.multiply(left, right, PRIMES)
    seal = sealapi.Evaluator(context._context)
    for g, h in np.ndindex(2, 2):
        total = None
        for block in range(3):
            product = sealapi.Ciphertext()
            a = seal_ciphertext(context, left[g, block])
            b = seal_ciphertext(context, right[h, block])
            seal.multiply(a, b, product)
            if total is None:
                total = product
            else:
                added = sealapi.Ciphertext()
                seal.add(total, product, added)
                total = added
        words = context._ciphertext_words(_saved(total.save))
        assert np.array_equal(words, out[g, h].astype(np.uint64))
        decryptor = context.decryptor(secret.expose())
        assert np.array_equal(
            decryptor.decrypt(words.astype(np.uint32)), decryptor.decrypt(out[g, h])
        )
    # Another pair of groups gives other words.
    assert not np.array_equal(out[0, 0], out[0, 1])
