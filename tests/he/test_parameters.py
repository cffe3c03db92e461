from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import tenseal.sealapi as sealapi
from encryption import PARAMETERS

from hecf.errors import ParameterError
from hecf.he.parameters import (
    ERROR_BOUND,
    MODULUS_BITS_128,
    ParameterSet,
    is_prime,
    largest_primes,
)
from hecf.he.seal import SealContext

FIVE = largest_primes(4096, 24, 5)


def trial_division(candidate: int) -> bool:
    return candidate > 1 and all(candidate % d for d in range(2, math.isqrt(candidate) + 1))


def chain_of(bits: int, degree: int) -> tuple[tuple[int, ...], int]:
    """Data primes and a special prime whose product has exactly that many bits."""
    data = largest_primes(degree, 24, 6) + largest_primes(degree, 18, 3)
    special = ((1 << bits) - 1) // math.prod(data)
    special -= (special - 1) % (2 * degree)
    while not is_prime(special) or special in data:
        special -= 2 * degree
    assert (math.prod(data) * special).bit_length() == bits
    return data, special


def seal_accepts(primes: tuple[int, ...], special: int, degree: int) -> bool:
    literal = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.CKKS)
    literal.set_poly_modulus_degree(degree)
    literal.set_coeff_modulus([sealapi.Modulus(prime) for prime in (*primes, special)])
    return sealapi.SEALContext(literal, True, sealapi.SEC_LEVEL_TYPE.TC128).parameters_set()


@pytest.mark.parametrize("bits", [215, 216, 217, 218])
def test_a_modulus_that_seal_accepts_and_the_guidelines_do_not_is_refused(bits: int) -> None:
    primes, special = chain_of(bits, 8192)
    assert seal_accepts(primes, special, 8192)
    with pytest.raises(ParameterError, match=f"got {bits} bits, expected at most 214"):
        ParameterSet(8192, primes, special)


def test_the_largest_modulus_of_the_guidelines_is_accepted() -> None:
    primes, special = largest_primes(8192, 24, 8), largest_primes(8192, 22, 1)[0]
    parameters = ParameterSet(8192, primes, special)
    assert parameters.modulus_bits == 214
    assert parameters.security_bits == 128
    assert not seal_accepts(*chain_of(219, 8192), 8192)


def test_the_table_is_the_guidelines() -> None:
    # Bossuat et al. 2025, table for classical 128-bit security and ternary secrets.
    guidelines = {4096: 106, 8192: 214, 16384: 430, 32768: 868}
    assert {degree: MODULUS_BITS_128[degree] for degree in guidelines} == guidelines
    # SEAL's own limits are higher for every degree, so the gate is what decides.
    seal = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
    assert all(MODULUS_BITS_128[degree] < limit for degree, limit in seal.items())


@pytest.mark.parametrize(
    ("degree", "primes", "special", "sentence"),
    [
        (3000, PARAMETERS.primes, PARAMETERS.special_prime, "not in the security table"),
        (512, PARAMETERS.primes, PARAMETERS.special_prime, "not in the security table"),
        (4096, (), PARAMETERS.special_prime, "at least one data prime"),
        (4096, PARAMETERS.primes[:1] * 2, PARAMETERS.special_prime, "must differ"),
        (4096, PARAMETERS.primes, PARAMETERS.primes[1], "must differ"),
        (4096, (8192 * 9 + 1,), PARAMETERS.special_prime, "a modulus is unsuitable"),
        (4096, (PARAMETERS.primes[0],), PARAMETERS.primes[1] * 40961, "a modulus is unsuitable"),
        (4096, (1,), PARAMETERS.special_prime, "a modulus is unsuitable"),
        (4096, (-8191,), PARAMETERS.special_prime, "a modulus is unsuitable"),
        (4096, largest_primes(4096, 25, 1), PARAMETERS.special_prime, "too large for exact"),
        (4096, PARAMETERS.primes[:1], largest_primes(4096, 25, 1)[0], "too large for exact"),
        (4096, FIVE[:4], PARAMETERS.special_prime, "must differ"),
        (4096, FIVE[:4], FIVE[4], "too large for 128-bit"),
    ],
)
def test_unsuitable_literals_are_refused(
    degree: int, primes: tuple[int, ...], special: int, sentence: str
) -> None:
    with pytest.raises(ParameterError, match=sentence):
        ParameterSet(degree, primes, special)


def test_a_prime_of_another_ring_is_refused() -> None:
    prime = next(p for p in largest_primes(1024, 24, 50) if p % 8192 != 1)
    assert trial_division(prime)
    with pytest.raises(ParameterError, match="1 modulo 8192"):
        ParameterSet(4096, (prime,), PARAMETERS.special_prime)


@pytest.mark.parametrize("count", [0, 4])
def test_counts_that_do_not_fit_are_refused(count: int) -> None:
    with pytest.raises(ParameterError):
        ParameterSet.with_data_primes(4096, count)


def test_an_unknown_degree_is_refused_before_primes_are_searched() -> None:
    with pytest.raises(ParameterError, match="security table"):
        ParameterSet.with_data_primes(6144, 2)
    with pytest.raises(ParameterError, match="too few primes"):
        largest_primes(32768, 17, 3)


def test_primality_agrees_with_trial_division() -> None:
    assert [n for n in range(-3, 20_000) if is_prime(n)] == [
        n for n in range(-3, 20_000) if trial_division(n)
    ]
    # Strong pseudoprimes to several small bases, and a Carmichael number.
    for composite in (3_215_031_751, 3_474_749_660_383, 341_550_071_728_321, 561):
        assert not is_prime(composite)
    assert is_prime((1 << 61) - 1)


def test_the_largest_primes_are_the_largest() -> None:
    found = largest_primes(4096, 24, 4)
    expected = [n for n in range((1 << 24) - 8191, 0, -8192) if trial_division(n)][:4]
    assert list(found) == expected
    assert all(p.bit_length() == 24 and p % 8192 == 1 for p in found)


def test_the_fingerprint_changes_with_every_field() -> None:
    other = ParameterSet(8192, largest_primes(8192, 24, 3), largest_primes(8192, 24, 4)[3])
    sets = [
        PARAMETERS,
        ParameterSet(8192, other.primes, other.special_prime),
        replace(PARAMETERS, primes=PARAMETERS.primes[:2]),
        replace(PARAMETERS, primes=PARAMETERS.primes[::-1]),
        replace(PARAMETERS, special_prime=largest_primes(4096, 24, 5)[4]),
    ]
    assert len({each.fingerprint for each in sets}) == len(sets)
    assert ParameterSet.with_data_primes(4096, 3).fingerprint == PARAMETERS.fingerprint
    assert len(PARAMETERS.fingerprint) == 32


def test_noise_bounds_are_the_worst_case_of_the_encryption() -> None:
    n = 4096
    worst = ERROR_BOUND * n + ERROR_BOUND + ERROR_BOUND * n
    assert PARAMETERS.zero_noise_bound == worst
    assert PARAMETERS.fresh_noise_bound >= worst / PARAMETERS.special_prime + (n + 1) / 2
    # A lower level is encrypted by dividing by the next data prime, however small it is.
    small = largest_primes(n, 17, 1)[0]
    chain = ParameterSet(n, (PARAMETERS.primes[0], small), PARAMETERS.special_prime)
    assert chain.fresh_noise_bound >= worst / small + (n + 1) / 2


def test_seal_gives_every_level_its_own_identifier() -> None:
    context = SealContext(PARAMETERS)
    levels = {tuple(context.level_identifier(level)) for level in (1, 2, 3)}
    assert len(levels) == 3
    assert np.array_equal(np.sort(context._order), np.arange(4096))
