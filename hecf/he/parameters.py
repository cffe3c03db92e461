"""Encryption parameters and the gate they must pass.

The gate is the table for 128-bit classical security and uniform ternary secrets of Bossuat et
al., *Security Guidelines for Implementing Homomorphic Encryption* (IACR CiC 1(4), 2025), which
counts all primes together, the special prime included. SEAL's own limits are a little looser.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

from hecf.errors import ParameterError

MODULUS_BITS_128 = {1024: 26, 2048: 53, 4096: 106, 8192: 214, 16384: 430, 32768: 868}
"""Largest modulus in bits for 128-bit security, by ring degree."""

DATA_PRIME_BITS = 24
"""Primes stay below this many bits so that float64 matrix products are exact."""

SPECIAL_PRIME_BITS = 24
"""Size of the last prime, which encryption divides away together with its noise."""

ERROR_BOUND = 21
"""Largest coefficient of an encryption error: a centred binomial of 21 pairs (as in SEAL)."""


@dataclass(frozen=True)
class ParameterSet:
    """CKKS parameters: a power-of-two ring and a chain of NTT-friendly primes.

    Parameters
    ----------
    ring_degree : int
        N; one of the degrees of :data:`MODULUS_BITS_128`.
    primes : tuple of int
        Data primes, each below ``2**24`` and 1 modulo 2N.
    special_prime : int or None
        Another such prime, which public-key encryption divides away together with most of its
        noise. Secret-key encryption does without.

    Raises
    ------
    ParameterError
        If the modulus is over the security table, or a prime is unsuitable.
    """

    ring_degree: int
    primes: tuple[int, ...]
    special_prime: int | None

    def __post_init__(self) -> None:
        if self.ring_degree not in MODULUS_BITS_128:
            raise ParameterError(
                "the ring degree is not in the security table",
                got=self.ring_degree,
                expected=f"one of {sorted(MODULUS_BITS_128)}",
            )
        if not self.primes:
            raise ParameterError("a parameter set needs at least one data prime")
        if len(set(self.chain)) != len(self.chain):
            raise ParameterError("the primes of a parameter set must differ", got=self.chain)
        for prime in self.chain:
            if prime % (2 * self.ring_degree) != 1 or not is_prime(prime):
                raise ParameterError(
                    "a modulus is unsuitable",
                    got=prime,
                    expected=f"a prime that is 1 modulo {2 * self.ring_degree}",
                )
        for prime in self.chain:
            if prime.bit_length() > DATA_PRIME_BITS:
                raise ParameterError(
                    "a prime is too large for exact float64 products",
                    got=f"{prime.bit_length()} bits",
                    expected=f"at most {DATA_PRIME_BITS}",
                )
        if self.modulus_bits > MODULUS_BITS_128[self.ring_degree]:
            raise ParameterError(
                f"the modulus is too large for 128-bit security at ring degree {self.ring_degree}",
                got=f"{self.modulus_bits} bits",
                expected=f"at most {MODULUS_BITS_128[self.ring_degree]}",
            )

    @classmethod
    def with_data_primes(
        cls,
        ring_degree: int,
        count: int,
        *,
        special: bool = True,
        bits: int = DATA_PRIME_BITS,
    ) -> ParameterSet:
        """Choose the `count` largest data primes below ``2**bits``, and perhaps a special prime."""
        if ring_degree not in MODULUS_BITS_128:
            return cls(ring_degree, (), None)
        primes = largest_primes(ring_degree, bits, count)
        if not special:
            return cls(ring_degree, primes, None)
        candidates = largest_primes(ring_degree, SPECIAL_PRIME_BITS, count + 1)
        return cls(ring_degree, primes, next(p for p in candidates if p not in primes))

    @property
    def modulus_bits(self) -> int:
        """Bits of the product of all primes, the special prime included."""
        return math.prod(self.chain).bit_length()

    @property
    def chain(self) -> tuple[int, ...]:
        """Every prime, the special prime last."""
        return self.primes if self.special_prime is None else (*self.primes, self.special_prime)

    @property
    def security_bits(self) -> int:
        """Classical security level of the gate that the parameters passed."""
        return 128

    @property
    def fresh_noise_bound(self) -> int:
        """Largest coefficient of the noise of a fresh public-key encryption.

        ``e u + e_1 + e_2 s`` with ternary u and s, divided by the prime after the last one that
        the ciphertext keeps (the special prime, or a data prime at a lower level), plus the
        rounding of both components: a worst case, not an average.
        """
        if self.special_prime is None:
            return self.zero_noise_bound
        divisor = min(self.chain[1:])
        return self.zero_noise_bound // divisor + 1 + (self.ring_degree + 1) // 2 + 1

    @property
    def zero_noise_bound(self) -> int:
        """Largest noise coefficient of an encryption of zero made at the data level."""
        return (2 * self.ring_degree + 1) * ERROR_BOUND

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 over degree and primes, 32 bytes."""
        text = f"hecf ckks {self.ring_degree} {self.primes} {self.special_prime}"
        return hashlib.sha256(text.encode()).digest()


@lru_cache(maxsize=64)
def largest_primes(ring_degree: int, bits: int, count: int) -> tuple[int, ...]:
    """Return the `count` largest primes below ``2**bits`` that are 1 modulo ``2 * ring_degree``."""
    step = 2 * ring_degree
    found: list[int] = []
    candidate = ((1 << bits) - 2) // step * step + 1
    while len(found) < count:
        if candidate <= step:
            raise ParameterError(
                f"there are too few primes of {bits} bits for ring degree {ring_degree}",
                got=len(found),
                expected=count,
            )
        if is_prime(candidate):
            found.append(candidate)
        candidate -= step
    return tuple(found)


def is_prime(candidate: int) -> bool:
    """Decide primality below 2**64 (Miller-Rabin with the first twelve primes as bases)."""
    if candidate < 2:
        return False
    bases = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
    for base in bases:
        if candidate % base == 0:
            return candidate == base
    odd, twos = candidate - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in bases:
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
