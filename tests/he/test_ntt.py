from __future__ import annotations

import math
import secrets

import numpy as np
import pytest
import tenseal.sealapi as sealapi
from encryption import PARAMETERS, negacyclic
from hypothesis import given, settings
from hypothesis import strategies as st

from hecf.errors import ParameterError
from hecf.he import ntt
from hecf.he.ntt import Transform, minimal_root, transform
from hecf.he.parameters import ParameterSet, largest_primes
from hecf.he.seal import SealContext, _body, _saved

PRIME_24 = largest_primes(16384, 24, 1)[0]


def direct(coefficients: np.ndarray, step: Transform) -> list[int]:
    """Evaluate at the odd powers of the root in the documented order, with Python integers."""
    n, prime = step.ring_degree, step.prime
    out = []
    for k1 in range(step.rows):
        for k2 in range(step.columns):
            point = pow(step.root, 2 * (k1 + step.rows * k2) + 1, prime)
            value = 0
            for coefficient in reversed(coefficients.tolist()):
                value = (value * point + int(coefficient)) % prime
            out.append(value)
    assert len(out) == n
    return out


@pytest.mark.parametrize("degree", [4, 8, 64, 128])
def test_forward_is_evaluation_in_the_documented_order(degree: int) -> None:
    prime = largest_primes(degree, 24, 1)[0]
    step = Transform(degree, prime)
    random = np.random.default_rng(degree)
    coefficients = random.integers(-(prime // 2), prime // 2 + 1, degree).astype(np.float64)
    values = step.forward(coefficients)
    assert [int(v) % prime for v in values] == direct(coefficients, step)


@pytest.mark.parametrize(("degree", "bits"), [(1024, 24), (4096, 24), (8192, 23), (16384, 24)])
def test_inverse_undoes_forward_on_the_worst_case(degree: int, bits: int) -> None:
    prime = largest_primes(degree, bits, 1)[0]
    step = transform(degree, prime)
    extreme = prime // 2
    random = np.random.default_rng(1)
    rows = [
        np.full(degree, extreme),
        np.full(degree, -extreme),
        np.where(np.arange(degree) % 2, extreme, -extreme),
        # Signs of a row of the transform, which make its sums as large as they can be.
        np.where(step._second[1 % step.columns].repeat(step.rows) > 0, extreme, -extreme),
        np.tile(np.where(step._first[3] > 0, extreme, -extreme), step.columns)
        .reshape(step.columns, step.rows)
        .T.ravel(),
        random.integers(-extreme, extreme + 1, degree),
    ]
    polynomials = np.array(rows, dtype=np.float64)
    values = step.forward(polynomials)
    assert np.abs(values).max() <= (prime + 3) // 2
    back = step.inverse(values)
    assert np.array_equal((back - polynomials) % prime, np.zeros_like(back))


@pytest.mark.parametrize("degree", [64, 1024])
def test_pointwise_products_are_negacyclic_convolutions(degree: int) -> None:
    prime = largest_primes(degree, 24, 1)[0]
    step = transform(degree, prime)
    random = np.random.default_rng(2)
    for _ in range(3):
        a, b = random.integers(-(prime // 2), prime // 2 + 1, (2, degree))
        fa, fb = (step.forward(x.astype(np.float64)).astype(np.int64) for x in (a, b))
        product = fa * fb % prime
        product[product > prime // 2] -= prime
        out = step.inverse(product.astype(np.float64)).astype(np.int64) % prime
        assert np.array_equal(out, negacyclic(a, b, prime))
        # The same numbers under a cyclic convolution are something else.
        cyclic = np.rint(np.fft.ifft(np.fft.fft(a % 7) * np.fft.fft(b % 7)).real)
        wrapped = negacyclic(a % 7, b % 7, prime)
        assert not np.array_equal(cyclic.astype(np.int64) % prime, wrapped)


def test_multiplication_by_x_to_the_n_is_minus_one() -> None:
    step = transform(64, PRIME_24)
    x = np.zeros(64)
    x[1] = 1.0
    values = step.forward(x).astype(np.int64) % PRIME_24
    power = np.ones(64, dtype=np.int64)
    for _ in range(64):
        power = power * values % PRIME_24
    assert np.array_equal(power, np.full(64, PRIME_24 - 1))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(0, 2**32))
def test_batches_of_any_shape_are_transformed_row_by_row(a: int, b: int, seed: int) -> None:
    primes = PARAMETERS.primes
    random = np.random.default_rng(seed)
    values = random.integers(-1000, 1000, (a, b, 3, 256)).astype(np.float64)
    small = largest_primes(4096, 24, 3)
    assert small == primes
    out = ntt.forward(primes, values)
    for index, prime in enumerate(primes):
        one = transform(256, prime).forward(values[a - 1, b - 1, index])
        assert np.array_equal(out[a - 1, b - 1, index], one)
    assert np.array_equal(ntt.inverse(primes, out), values)


def test_the_root_is_primitive_and_minimal() -> None:
    prime = largest_primes(64, 15, 1)[0]
    order = 128
    roots = [r for r in range(2, prime) if pow(r, 64, prime) == prime - 1]
    assert len(roots) == order // 2
    assert minimal_root(64, prime) == min(roots)


def test_a_transform_that_would_not_be_exact_is_refused() -> None:
    prime = largest_primes(32768, 24, 1)[0]
    with pytest.raises(ParameterError, match="is not exact"):
        Transform(32768, prime)
    assert Transform(32768, largest_primes(32768, 23, 1)[0]).rows == 256


@pytest.mark.parametrize("degree", [2048, 4096, 8192])
def test_values_agree_with_seal(degree: int) -> None:
    """SEAL encodes a known polynomial; its NTT words must be hecf's in SEAL's order."""
    parameters = ParameterSet.with_data_primes(degree, 1 if degree == 2048 else 2)
    data = parameters.primes
    context = SealContext(parameters)
    coefficients = np.zeros(degree)
    encoder = sealapi.CKKSEncoder(context._context)
    plain = sealapi.Plaintext()
    slots = [complex(z) for z in np.arange(degree // 2) % 5 + 1j * (np.arange(degree // 2) % 3)]
    encoder.encode(slots, context.level_identifier(len(data)), 2.0**12, plain)
    body = _body(_saved(plain.save))
    count = len(data) * degree
    raw = np.frombuffer(body, "<u8", offset=len(body) - 8 * count).reshape(len(data), degree)
    # Undo the canonical embedding directly: coefficient k is a sum over conjugate slots.
    # Slot j is the value at zeta ** (3 ** j).
    exponents = np.array([pow(3, j, 2 * degree) for j in range(degree // 2)])
    for k in (0, 1, 2, 3, degree // 2, degree - 1):
        angles = np.exp(-1j * math.pi * (exponents * k % (2 * degree)) / degree)
        coefficients[k] = round(2.0**12 * 2 / degree * float((np.array(slots) * angles).real.sum()))
    for row, prime in zip(context._from_seal(raw), data, strict=True):
        centred = row.astype(np.float64) - (row > prime // 2) * float(prime)
        back = transform(degree, prime).inverse(centred)
        back = np.where(np.abs(back) > prime // 2, back - np.sign(back) * prime, back)
        for k in (0, 1, 2, 3, degree // 2, degree - 1):
            assert abs(back[k] - coefficients[k]) <= 1
        # Without the translation of the order the coefficients are noise.
        wrong = transform(degree, prime).inverse(
            raw[0].astype(np.float64) - (raw[0] > data[0] // 2) * float(data[0])
        )
        assert np.abs(wrong).max() > 2.0**20


def test_words_pass_through_seal_unchanged() -> None:
    secret, public = SealContext(PARAMETERS).generate_keys()
    context = SealContext(PARAMETERS)
    decryptor = context.decryptor(secret)
    # With c_1 = 0 a decryption is c_0, whatever the key.
    prime = PARAMETERS.primes
    words = np.zeros((2, 3, 4096), dtype=np.uint32)
    for index, p in enumerate(prime):
        words[0, index] = np.frombuffer(secrets.token_bytes(4 * 4096), dtype=np.uint32) % p
    assert np.array_equal(decryptor.decrypt(words), words[0])
    assert public.shape == (2, 4, 4096)
