"""Paillier key pairs: drawing them, and the gate that a modulus from elsewhere must pass."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache, cached_property

from hecf.errors import MalformedMessage
from hecf.he.keys import SecretBytes
from hecf.he.messages import Kind, header, open_header
from hecf.he.paillier.arithmetic import gmpy2, mpz
from hecf.he.paillier.parameters import CLASSIC, PaillierParameters
from hecf.he.sampling import RandomBytes

PRIMALITY_ROUNDS = 40
LARGEST_TRIAL_DIVISOR = 1 << 16
DISTANCE_BITS = 100
"""The primes differ in these upper bits at least (FIPS 186-5, appendix A.1.3)."""


@dataclass(frozen=True)
class PublicKey:
    """A Paillier modulus that passed the gate.

    Parameters
    ----------
    parameters : PaillierParameters
    modulus : int
        n, of exactly the bits that the parameters say.

    Raises
    ------
    MalformedMessage
        If n is even, prime, a perfect power, has a small factor or another size, or, unless the
        randomness is classic, cannot be a product of two primes that are 3 modulo 4.

    Notes
    -----
    That n has exactly two large factors cannot be seen from n. A key holder who cheats there harms
    only itself: it could read everything under its key anyway.
    """

    parameters: PaillierParameters
    modulus: int

    def __post_init__(self) -> None:
        n = mpz(self.modulus)
        bits = self.parameters.modulus_bits
        if n.bit_length() != bits or n < 0:
            raise MalformedMessage(
                "a Paillier modulus has another size",
                got=f"{n.bit_length()} bits",
                expected=f"{bits}",
            )
        if gmpy2.gcd(n, _small_primes()) != 1:
            raise MalformedMessage("a Paillier modulus has a small factor")
        if gmpy2.is_prime(n) or gmpy2.is_power(n):
            raise MalformedMessage("a Paillier modulus is a prime or a perfect power")
        if self.parameters.randomness != CLASSIC and n % 4 != 1:
            raise MalformedMessage(
                "a Paillier modulus is no product of two primes that are 3 modulo 4"
            )

    @cached_property
    def n(self) -> mpz:
        """The modulus as GMP's integer."""
        return mpz(self.modulus)

    @cached_property
    def n_squared(self) -> mpz:
        """Modulus of the ciphertexts."""
        return self.n * self.n

    def to_bytes(self) -> bytes:
        """Header and n, little-endian."""
        body = self.modulus.to_bytes(self.parameters.modulus_bytes, "little")
        return header(Kind.PAILLIER_PUBLIC_KEY, self.parameters.fingerprint) + body

    @classmethod
    def from_bytes(cls, parameters: PaillierParameters, data: bytes) -> PublicKey:
        """Parse and check.

        Raises
        ------
        Mismatch
            If the bytes belong to other parameters.
        MalformedMessage
            If version, kind or length differ, or n does not pass the gate.
        """
        body = open_header(
            data, Kind.PAILLIER_PUBLIC_KEY, parameters.fingerprint, parameters.modulus_bytes
        )
        return cls(parameters, int.from_bytes(body, "little"))

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of the bytes; it stands in every batch of ciphertexts."""
        return hashlib.sha256(self.to_bytes()).digest()

    def __repr__(self) -> str:
        return f"PublicKey({self.parameters.modulus_bits} bits, {self.fingerprint.hex()[:8]})"


class PaillierSecretKey(SecretBytes):
    """The two primes of a modulus: big-endian, of equal length, the smaller first.

    Security
    --------
    As for every :class:`hecf.he.keys.SecretBytes`.

    Raises
    ------
    MalformedMessage
        If the bytes are not two primes of the agreed size, with a product that passes the gate.
    """

    def __init__(self, parameters: PaillierParameters, data: bytes) -> None:
        super().__init__(data)
        self.parameters = parameters
        p, q = self.primes()
        prime = gmpy2.is_prime(p, PRIMALITY_ROUNDS) and gmpy2.is_prime(q, PRIMALITY_ROUNDS)
        if len(data) != parameters.modulus_bytes or not prime or not p < q:
            raise MalformedMessage("a Paillier secret key is not two primes of equal length")
        if parameters.randomness != CLASSIC and (p % 4, q % 4) != (3, 3):
            raise MalformedMessage("a Paillier secret key has a prime that is not 3 modulo 4")
        if gmpy2.gcd(p * q, (p - 1) * (q - 1)) != 1:
            raise MalformedMessage("a Paillier secret key does not decrypt")
        self.public_key = PublicKey(parameters, int(p * q))

    @classmethod
    def from_primes(
        cls, parameters: PaillierParameters, first: int, second: int
    ) -> PaillierSecretKey:
        """Put two primes in order."""
        width = parameters.modulus_bytes // 2
        try:
            ordered = [value.to_bytes(width, "big") for value in sorted((first, second))]
        except OverflowError:
            raise MalformedMessage(
                "a Paillier prime has another size", expected=f"{8 * width} bits"
            ) from None
        return cls(parameters, b"".join(ordered))

    def primes(self) -> tuple[mpz, mpz]:
        """Return the primes, for decryption and for export only."""
        data = self.expose()
        half = len(data) // 2
        return mpz.from_bytes(data[:half], "big"), mpz.from_bytes(data[half:], "big")


def generate_keys(
    parameters: PaillierParameters, random: RandomBytes
) -> tuple[PaillierSecretKey, PublicKey]:
    """Draw two primes that are 3 modulo 4, far from each other, with gcd(p - 1, q - 1) = 2."""
    bits = parameters.modulus_bits // 2
    distance = max(bits - DISTANCE_BITS, bits // 2)
    while True:
        p, q = _prime(bits, random), _prime(bits, random)
        if abs(p - q).bit_length() > distance and gmpy2.gcd(p - 1, q - 1) == 2:
            secret = PaillierSecretKey.from_primes(parameters, int(p), int(q))
            return secret, secret.public_key


def _prime(bits: int, random: RandomBytes) -> mpz:
    """Draw a uniform prime among those with the two upper and the two lower bits set."""
    fixed = (mpz(3) << (bits - 2)) | 3
    while True:
        candidate = mpz.from_bytes(random(bits // 8), "big") | fixed
        if gmpy2.is_prime(candidate, PRIMALITY_ROUNDS):
            return candidate


@cache
def _small_primes() -> mpz:
    return gmpy2.primorial(LARGEST_TRIAL_DIVISOR)
