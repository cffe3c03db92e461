"""Random values for encryption and release, from a cryptographic generator only.

Every function takes `random`, a function that returns that many cryptographically secure bytes;
``secrets.token_bytes`` is the one to pass outside tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from hecf.he.modular import Float
from hecf.he.parameters import ERROR_BOUND

RandomBytes = Callable[[int], bytes]


def ternary(shape: tuple[int, ...], random: RandomBytes) -> Float:
    """Uniform values of {-1, 0, 1} as float64, by rejection of the byte 255."""
    count = math.prod(shape)
    kept = np.empty(0, dtype=np.uint8)
    while kept.size < count:
        fresh = np.frombuffer(random(count + count // 64 + 64), dtype=np.uint8)
        kept = np.concatenate([kept, fresh[fresh < 255]])
    return (kept[:count] % 3).astype(np.float64).reshape(shape) - 1.0


def uniform(shape: tuple[int, ...], prime: int, random: RandomBytes) -> NDArray[np.uint32]:
    """Draw uniform residues below a prime of at most 24 bits, by rejection of as many bits."""
    count = math.prod(shape)
    mask = np.uint32((1 << prime.bit_length()) - 1)
    kept = np.empty(0, dtype=np.uint32)
    while kept.size < count:
        missing = count - kept.size
        octets = np.zeros((missing + missing // 16 + 64, 4), dtype=np.uint8)
        octets[:, :3] = np.frombuffer(random(3 * len(octets)), dtype=np.uint8).reshape(-1, 3)
        fresh = octets.view("<u4").ravel() & mask
        kept = np.concatenate([kept, fresh[fresh < prime]])
    return kept[:count].reshape(shape)


def centred_binomial(shape: tuple[int, ...], random: RandomBytes) -> Float:
    """Errors of standard deviation 3.24: the difference of two 21-bit Hamming weights."""
    count = math.prod(shape)
    mask = np.uint32((1 << ERROR_BOUND) - 1)
    bits = np.frombuffer(random(8 * count), dtype=np.uint32).reshape(2, count) & mask
    weights = np.bitwise_count(bits).astype(np.float64)
    difference: Float = (weights[0] - weights[1]).reshape(shape)
    return difference


def gaussian(shape: tuple[int, ...], random: RandomBytes) -> Float:
    """Draw standard normal values by inversion of the midpoints of 2**52 equal intervals.

    The tail ends at 8.2 standard deviations. Callers round the noisy value to a grid that is
    coarse against float64, which hides the low-order bits (Mironov, CCS 2012).
    """
    integers = np.frombuffer(random(8 * math.prod(shape)), dtype=np.uint64) >> np.uint64(12)
    # With 52 bits the half is exact; with 53 the largest fraction would round to 1, at infinity.
    uniform: Float = (integers.astype(np.float64) + 0.5) * 2.0**-52
    return np.asarray(ndtri(uniform), dtype=np.float64).reshape(shape)
