"""Binary digits of integers that are given by their residues, for many integers at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LIMB_BITS = 24
LARGEST_DIGIT_BITS = 38
"""Digits stay below the width of three limbs when they are read, with their neighbours' bits."""


def limbs_of(
    residue_digits: Sequence[NDArray[np.int64]], primes: Sequence[int], offset: int
) -> NDArray[np.int64]:
    """Binary limbs, lowest first, of mixed-radix integers plus an offset that makes them positive.

    Products of a 24-bit digit and a limb of a radix stay below 2**48, and at most a few dozen are
    added, so int64 holds them until the carries are taken.
    """
    count = -(-(math.prod(primes).bit_length() + 1) // LIMB_BITS)
    limbs = np.empty((count, *residue_digits[0].shape), dtype=np.int64)
    radices = [math.prod(primes[:index]) for index in range(len(primes))]
    carry = np.zeros(residue_digits[0].shape, dtype=np.int64)
    mask = (1 << LIMB_BITS) - 1
    for position in range(count):
        shift = position * LIMB_BITS
        total = carry + ((offset >> shift) & mask)
        for digit, radix in zip(residue_digits, radices, strict=True):
            total += digit * ((radix >> shift) & mask)
        limbs[position] = total & mask
        carry = total >> LIMB_BITS
    return limbs


def bits_of(limbs: NDArray[np.int64], start: int, width: int) -> NDArray[np.int64]:
    """Bits ``start`` to ``start + width`` of every integer, at most 38 of them."""
    out = np.zeros(limbs.shape[1:], dtype=np.int64)
    first, skip = divmod(start, LIMB_BITS)
    for index in range(first, min(len(limbs), -(-(start + width) // LIMB_BITS))):
        place = (index - first) * LIMB_BITS - skip
        out |= limbs[index] >> -place if place < 0 else limbs[index] << place
    return out & ((1 << width) - 1)
