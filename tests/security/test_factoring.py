"""A Paillier key factored by one unguarded decryption."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from hecf.errors import MalformedMessage
from hecf.he.paillier.arithmetic import mpz
from hecf.he.paillier.gate import admit
from hecf.he.paillier.keys import PaillierSecretKey
from hecf.he.paillier.parameters import PaillierParameters
from hecf.privacy.attacks.factoring import experiment, factor, unguarded_decrypt


@pytest.fixture(scope="module")
def factors() -> tuple[int, int]:
    numbers = rsa.generate_private_key(65537, 3072).private_numbers()
    return numbers.p, numbers.q


def refuses(p: int, q: int) -> Callable[[int], int | None]:
    """A key holder that passes ciphertexts through the library's gate before it decrypts."""
    secret = PaillierSecretKey.from_primes(PaillierParameters(3072, "classic"), p, q)

    def decrypt(ciphertext: int) -> int | None:
        try:
            [admitted] = admit(secret.public_key, [mpz(ciphertext)])
        except MalformedMessage:
            return None
        return unguarded_decrypt(int(admitted), p, q)

    return decrypt


def test_the_unguarded_decryption_is_right_on_honest_ciphertexts(factors: tuple[int, int]) -> None:
    p, q = factors
    n = p * q
    for message in (12345, n - 1):
        unit = secrets.randbelow(n - 1) + 1
        ciphertext = (1 + message * n) * pow(unit, n, n * n) % (n * n)
        assert unguarded_decrypt(ciphertext, p, q) == message
        assert refuses(p, q)(ciphertext) == message


@pytest.mark.parametrize("multiple", [0, 1, 7])
def test_one_decryption_of_a_multiple_of_n_factors_it(
    factors: tuple[int, int], multiple: int
) -> None:
    p, q = factors
    found = factor(p * q, unguarded_decrypt(multiple * p * q, p, q))
    assert found is not None
    assert set(found) == {p, q}


def test_an_honest_plaintext_factors_nothing(factors: tuple[int, int]) -> None:
    p, q = factors
    assert all(factor(p * q, plaintext) is None for plaintext in (0, 1, 2, 99, p * q - 1, p))


def test_a_gate_that_looks_first_stops_the_attack(factors: tuple[int, int]) -> None:
    outcome = experiment(*factors, refuses(*factors), "units only")
    assert outcome.unprotected == 1.0
    assert outcome.protected == 0.0
    bare = experiment(*factors, lambda c: unguarded_decrypt(c, *factors), "nothing")
    assert bare.succeeded
