"""Arithmetic modulo large integers: the one door to gmpy2, which the extra ``paillier`` brings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

from hecf.errors import ConfigurationError

try:
    import gmpy2
    from gmpy2 import mpz
except ImportError:
    raise ConfigurationError(
        "the package gmpy2 is needed for Paillier; install it with pip install 'hecf[paillier]'"
    ) from None

SMALLEST_BATCH = 4
"""Powers for which another thread is worth its start."""


def to_octets(values: Sequence[mpz], width: int) -> bytes:
    """Write integers side by side, each as `width` little-endian bytes."""
    return b"".join(value.to_bytes(width, "little") for value in values)


def from_octets(data: bytes | memoryview, width: int) -> list[mpz]:
    """Undo :func:`to_octets`; the length must be a multiple of `width`."""
    octets = bytes(data)
    return [
        mpz.from_bytes(octets[start : start + width], "little")
        for start in range(0, len(octets), width)
    ]


def powers(bases: Sequence[mpz], exponent: mpz, modulus: mpz) -> list[mpz]:
    """Raise every base to one exponent, on all cores: GMP works outside of Python's lock."""
    threads = min(os.cpu_count() or 1, -(-len(bases) // SMALLEST_BATCH))
    if threads <= 1:
        return list(gmpy2.powmod_base_list(list(bases), exponent, modulus))
    step = -(-len(bases) // threads)
    shares = [list(bases[start : start + step]) for start in range(0, len(bases), step)]
    with ThreadPoolExecutor(len(shares)) as pool:
        found = pool.map(lambda share: gmpy2.powmod_base_list(share, exponent, modulus), shares)
        return [value for share in found for value in share]


def inverse(value: mpz, modulus: mpz) -> mpz:
    """Invert a unit modulo `modulus`."""
    return gmpy2.invert(value, modulus)


def inverses(values: Sequence[mpz], modulus: mpz) -> list[mpz]:
    """Invert units with one inversion and three products each (Montgomery, 1987, section 10.3)."""
    if not values:
        return []
    products = list(accumulate(values, lambda left, right: left * right % modulus))
    rest = inverse(products[-1], modulus)
    found = []
    for value, before in zip(reversed(values), [*reversed(products[:-1]), mpz(1)], strict=True):
        found.append(rest * before % modulus)
        rest = rest * value % modulus
    return found[::-1]


__all__ = ["from_octets", "gmpy2", "inverse", "inverses", "mpz", "powers", "to_octets"]
