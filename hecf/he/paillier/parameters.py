"""Size of a Paillier key and the way its ciphertexts are made random."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from hecf.errors import ParameterError

MODULUS_BITS_FLOOR = 3072
"""Smallest modulus: 128-bit security of factoring (NIST SP 800-57 part 1 rev. 5, table 2)."""
LARGEST_MODULUS_BITS = 16_384
SHORT_EXPONENT_BITS = 512
WINDOW_BITS = 9
"""Bits of a digit of an exponent. One more makes a power a tenth faster, and doubles its table."""

HALF = "half"
SHORT = "short"
CLASSIC = "classic"
RANDOMNESS = (HALF, SHORT, CLASSIC)


@dataclass(frozen=True)
class PaillierParameters:
    """Length of the modulus and kind of randomness.

    Parameters
    ----------
    modulus_bits : int
        Bits of n: a multiple of 16, at least 3072.
    randomness : {"half", "short", "classic"}
        How the factor that hides a plaintext is drawn:

        ``half``
            A power of a fixed n-th residue with an exponent of half the bits of n (Damgård, Jurik
            and Nielsen, Int. J. Inf. Secur. 9, 2010, section 4.2). Beyond the scheme's own
            assumption it needs that such powers look like any; for products of two primes that are
            3 modulo 4 this follows from the hardness of factoring (Goldreich and Rosen, J.
            Cryptology 16, 2003).
        ``short``
            The same with exponents of 512 bits: three times faster at 3072 bits. It **assumes in
            addition** that powers with such short exponents cannot be told from others modulo n^2,
            which no hardness of factoring is known to imply.
        ``classic``
            The n-th power of a uniform unit (Paillier, EUROCRYPT 1999): no assumption beyond the
            scheme's own, right for every modulus, about fifteen times slower.

    Raises
    ------
    ParameterError
        If the modulus is too short or the randomness unknown.
    """

    modulus_bits: int = MODULUS_BITS_FLOOR
    randomness: str = HALF
    insecure: bool = False

    def __post_init__(self) -> None:
        floor = 128 if self.insecure else MODULUS_BITS_FLOOR
        if not floor <= self.modulus_bits <= LARGEST_MODULUS_BITS or self.modulus_bits % 16:
            raise ParameterError(
                "a Paillier modulus has another size",
                got=f"{self.modulus_bits} bits",
                expected=f"a multiple of 16, {floor} to {LARGEST_MODULUS_BITS}",
            )
        if self.randomness not in RANDOMNESS:
            raise ParameterError(
                "unknown Paillier randomness",
                got=self.randomness,
                expected=" or ".join(RANDOMNESS),
            )

    @classmethod
    def insecure_for_tests(
        cls, modulus_bits: int = 512, randomness: str = HALF
    ) -> PaillierParameters:
        """Allow a modulus that anybody can factor.

        Security
        --------
        Nothing under such a key is secret. The fingerprint differs from that of every secure set,
        so no message of one is accepted for the other.
        """
        return cls(modulus_bits, randomness, insecure=True)

    @property
    def security_bits(self) -> int:
        """Classical security level of the gate that the parameters passed; 0 for tests."""
        return 0 if self.insecure else 128

    @property
    def exponent_bits(self) -> int:
        """Bits of the random exponents, for randomness from a fixed base."""
        half = self.modulus_bits // 2
        return min(SHORT_EXPONENT_BITS, half) if self.randomness == SHORT else half

    @property
    def exponent_digits(self) -> int:
        """Digits of the random exponents, each of which costs a product."""
        return -(-self.exponent_bits // WINDOW_BITS)

    @property
    def modulus_bytes(self) -> int:
        """Bytes of n."""
        return self.modulus_bits // 8

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of a ciphertext, a number below n^2."""
        return 2 * self.modulus_bytes

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 over every field, 32 bytes."""
        fields = (self.modulus_bits, self.randomness, self.insecure)
        return hashlib.sha256(repr(("hecf paillier 1", *fields)).encode()).digest()
