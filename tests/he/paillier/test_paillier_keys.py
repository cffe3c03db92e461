"""Keys, their gate, and their storage; Python's integers and trial division are the oracle."""

from __future__ import annotations

import copy
import math
import pickle
import random
import secrets
from collections.abc import Callable

import pytest
from paillier_party import Party

from hecf.errors import HecfError, MalformedMessage, Mismatch, ParameterError
from hecf.he.paillier.keys import PaillierSecretKey, PublicKey, generate_keys
from hecf.he.paillier.parameters import CLASSIC, SHORT, PaillierParameters
from hecf.he.paillier.storage import seal, unseal

SMALL = PaillierParameters.insecure_for_tests(512)


def is_prime(candidate: int) -> bool:
    """Fermat and Miller-Rabin in plain Python."""
    odd, twos = candidate - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29):
        power = pow(base, odd, candidate)
        if power in (1, candidate - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % candidate
            if power == candidate - 1:
                break
        else:
            return False
    return True


def test_a_default_key_has_the_size_and_form_that_it_promises(large: Party) -> None:
    p, q = (int(prime) for prime in large.secret.primes())
    assert large.public.modulus == p * q
    assert large.public.modulus.bit_length() == 3072
    assert p.bit_length() == q.bit_length() == 1536
    assert (p % 4, q % 4) == (3, 3)
    assert math.gcd(p - 1, q - 1) == 2
    assert abs(p - q).bit_length() > 1536 - 100
    assert is_prime(p)
    assert is_prime(q)
    assert large.parameters.security_bits == 128


@pytest.mark.parametrize("bits", [15, 1024, 2048, 3056, 3064, 3080, 1 << 20])
def test_other_sizes_are_refused(bits: int) -> None:
    with pytest.raises(ParameterError, match="another size"):
        PaillierParameters(bits)


def test_small_keys_are_another_kind_of_key() -> None:
    assert SMALL.security_bits == 0
    assert (
        PaillierParameters.insecure_for_tests(3072).fingerprint != PaillierParameters().fingerprint
    )
    assert PaillierParameters(randomness=SHORT).fingerprint != PaillierParameters().fingerprint
    with pytest.raises(ParameterError, match="randomness"):
        PaillierParameters(randomness="none")


def is_refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except MalformedMessage:
        return True
    return False


def test_a_modulus_passes_its_gate_only_as_a_product_of_large_primes(large: Party) -> None:
    n = large.public.modulus
    p, _ = (int(value) for value in large.secret.primes())
    refused = {
        "15": 15,
        "even": n - 1,
        "too short": n >> 1 | 1,
        "too long": n << 1 | 1,
        "negative": -n,
        "zero": 0,
        "small factor": 65521 * (n // 65521),
        "square": p * p,
        "3 modulo 4": n + 2,
    }
    for name, modulus in refused.items():
        assert is_refused(lambda n=modulus: PublicKey(PaillierParameters(), n)), name
    assert PublicKey(PaillierParameters(), n) == large.public


def test_a_prime_is_no_modulus() -> None:
    prime = (1 << 527) + 1
    while not is_prime(prime):
        prime += 2
    with pytest.raises(MalformedMessage, match="prime"):
        PublicKey(PaillierParameters.insecure_for_tests(528, CLASSIC), prime)


def test_secret_keys_are_two_primes_that_fit(small: Party) -> None:
    p, q = (int(prime) for prime in small.secret.primes())
    again = PaillierSecretKey.from_primes(SMALL, q, p)
    assert again.public_key == small.public
    for first, second in ((p, p), (p, q + 2), (p, q << 8), (3, 7)):
        with pytest.raises(MalformedMessage):
            PaillierSecretKey.from_primes(SMALL, first, second)
    with pytest.raises(MalformedMessage):
        PaillierSecretKey(SMALL, b"")


def test_secret_keys_show_and_pickle_nothing(small: Party) -> None:
    for shown in (repr(small.secret), str(small.secret), repr(small.decryptor)):
        assert not any(str(int(prime))[:12] in shown for prime in small.secret.primes())
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(small.secret)


def test_public_keys_travel_in_one_form(small: Party) -> None:
    data = small.public.to_bytes()
    assert PublicKey.from_bytes(SMALL, data) == small.public
    source = random.Random(1)
    refused = 0
    for _ in range(2000):
        changed = bytearray(data)
        changed[source.randrange(len(data))] ^= 1 << source.randrange(8)
        try:
            key = PublicKey.from_bytes(SMALL, bytes(changed))
        except HecfError:
            refused += 1
            continue
        assert key.to_bytes() == changed
    # About half of the header, and every even, short or smooth modulus.
    assert refused > 800
    for length in (0, 39, len(data) - 1, len(data) + 1):
        with pytest.raises(MalformedMessage):
            PublicKey.from_bytes(SMALL, (data + b"\0")[:length])
    with pytest.raises(Mismatch):
        PublicKey.from_bytes(PaillierParameters(), data)


def test_stored_keys_open_with_their_storage_key_only(small: Party) -> None:
    storage_key = secrets.token_bytes(32)
    sealed = seal(small.secret, storage_key, secrets.token_bytes)
    assert unseal(small.public, sealed, storage_key).expose() == small.secret.expose()
    p, q = (prime.to_bytes(32, "big") for prime in small.secret.primes())
    assert p not in sealed
    assert q not in sealed
    assert seal(small.secret, storage_key, secrets.token_bytes) != sealed
    with pytest.raises(MalformedMessage, match="does not open"):
        unseal(small.public, sealed, secrets.token_bytes(32))
    with pytest.raises(ParameterError, match="storage key"):
        seal(small.secret, b"short", secrets.token_bytes)
    other = generate_keys(SMALL, secrets.token_bytes)[1]
    with pytest.raises(Mismatch):
        unseal(other, sealed, storage_key)
    for position in range(0, len(sealed), 7):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises((MalformedMessage, Mismatch)):
            unseal(small.public, bytes(changed), storage_key)
