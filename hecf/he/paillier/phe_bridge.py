"""Keys and ciphertexts to and from ``phe``: the one module that imports it.

``phe`` (python-paillier) is licensed under the GPL, version 3, and is needed for nothing else. Its
ciphertexts are ordinary, but its numbers carry an exponent each, which tells their magnitude and
can be set by a sender to stop the receiver; here one exponent holds for a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hecf.errors import ConfigurationError, MalformedMessage, Mismatch
from hecf.he.paillier.arithmetic import from_octets, mpz, to_octets
from hecf.he.paillier.gate import admit
from hecf.he.paillier.keys import PaillierSecretKey, PublicKey
from hecf.he.paillier.matrices import CiphertextBatch, PaillierMatrix
from hecf.he.paillier.parameters import CLASSIC, HALF, PaillierParameters
from hecf.he.paillier.plan import PaillierSumPlan

try:
    from phe import paillier
except ImportError:
    raise ConfigurationError(
        "the package phe is needed to exchange keys with it; install it with "
        "pip install 'hecf[paillier]'"
    ) from None

EXPONENT = 0
"""Of every number that is exported: its plaintext is the packed integer itself."""


def import_public_key(
    key: paillier.PaillierPublicKey, *, insecure_for_tests: bool = False
) -> PublicKey:
    """Take over a public key of ``phe``.

    Its randomness is classic: that both primes are 3 modulo 4 cannot be seen from n, and ``phe``
    does not draw them so.

    Raises
    ------
    ParameterError
        If n has fewer than 3072 bits or no multiple of 16; ``phe`` accepts any size.
    MalformedMessage
        If n does not pass the gate.
    """
    bits = int(key.n).bit_length()
    return PublicKey(_parameters(bits, CLASSIC, insecure_for_tests), int(key.n))


def import_secret_key(
    key: paillier.PaillierPrivateKey, *, insecure_for_tests: bool = False
) -> PaillierSecretKey:
    """Take over a key pair of ``phe``; with fast randomness where its primes allow it.

    Raises
    ------
    ParameterError, MalformedMessage
        As for :func:`import_public_key`.
    """
    p, q = int(key.p), int(key.q)
    randomness = HALF if p % 4 == q % 4 == 3 else CLASSIC
    parameters = _parameters((p * q).bit_length(), randomness, insecure_for_tests)
    return PaillierSecretKey.from_primes(parameters, p, q)


def export_public_key(key: PublicKey) -> paillier.PaillierPublicKey:
    """Hand over a public key to ``phe``."""
    return paillier.PaillierPublicKey(key.modulus)


def export_secret_key(key: PaillierSecretKey) -> paillier.PaillierPrivateKey:
    """Hand over a key pair to ``phe``.

    Security
    --------
    The result prints, compares and pickles like any object; ``phe`` decrypts without a gate.
    """
    p, q = key.primes()
    return paillier.PaillierPrivateKey(export_public_key(key.public_key), int(p), int(q))


def export_ciphertexts(key: PublicKey, batch: CiphertextBatch) -> list[paillier.EncryptedNumber]:
    """Hand over ciphertexts as numbers of ``phe`` with exponent 0: packed integers."""
    exported = export_public_key(key)
    return [
        paillier.EncryptedNumber(exported, int(ciphertext), EXPONENT)
        for ciphertext in from_octets(batch.octets, key.parameters.ciphertext_bytes)
    ]


def import_ciphertexts(
    key: PublicKey, plan: PaillierSumPlan, numbers: Sequence[paillier.EncryptedNumber]
) -> PaillierMatrix:
    """Take over the ciphertexts of one packed vector.

    Raises
    ------
    Mismatch
        If a number has another key or exponent, which is looked at before any arithmetic, or
        their count is not the plan's.
    MalformedMessage
        If a ciphertext does not pass the gate.
    """
    if len(numbers) != plan.ciphertexts:
        raise Mismatch(
            "a vector has another number of ciphertexts",
            got=len(numbers),
            expected=plan.ciphertexts,
        )
    if any(number.exponent != EXPONENT for number in numbers):
        raise Mismatch("a number of phe has another exponent than the task", expected=EXPONENT)
    if any(number.public_key.n != key.modulus for number in numbers):
        raise Mismatch("a number of phe is encrypted under another key")
    # Blinding here would be phe's: an unblinded number fails the gate instead.
    ciphertexts = admit(key, [_integer(number.ciphertext(be_secure=False)) for number in numbers])
    octets = to_octets(ciphertexts, key.parameters.ciphertext_bytes)
    return PaillierMatrix(plan, key.fingerprint, octets)


def _integer(value: Any) -> mpz:
    if not isinstance(value, int):
        raise MalformedMessage("a ciphertext of phe is no integer", got=type(value).__name__)
    return mpz(value)


def _parameters(bits: int, randomness: str, insecure: bool) -> PaillierParameters:
    if insecure:
        return PaillierParameters.insecure_for_tests(bits, randomness)
    return PaillierParameters(bits, randomness)
