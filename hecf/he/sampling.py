"""Random values for encryption and release, from a cryptographic generator only.

Every function takes `random`, a function that returns that many cryptographically secure bytes;
``secrets.token_bytes`` is the one to pass outside tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray
from scipy.special import ndtri

from hecf.he.modular import Float
from hecf.he.parameters import ERROR_BOUND

RandomBytes = Callable[[int], bytes]

GAUSSIAN_STEP_BITS = 30
"""A rounded normal integer is drawn to this many bits of its deviation; the bits below are
uniform, which changes the distribution by less than 2**-30 of its own scale."""
_LIMB_BITS = 32


def expanded(key: bytes) -> RandomBytes:
    """Return the stream of AES-256 in counter mode under a key that is used for nothing else.

    Two parties that share 32 bytes draw the same values from it (NIST SP 800-38A, section 6.5).
    """
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    return lambda count: encryptor.update(bytes(count))


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


def gaussian_residues(
    shape: tuple[int, ...], deviation: float, primes: tuple[int, ...], random: RandomBytes
) -> NDArray[np.uint32]:
    """Draw normal integers of any size, rounded down, as residues.

    A float64 has no room for the low-order bits of a wide integer, and those that it leaves at
    zero would uncover what the noise is added to. So the upper bits are normal and the lower
    ones uniform.

    Parameters
    ----------
    shape : tuple of int
        (..., n).
    deviation : float
        Standard deviation, positive.
    primes : tuple of int, length L

    Returns
    -------
    uint32 array, shape (..., L, n)
    """
    low_bits = max(0, math.frexp(deviation)[1] - GAUSSIAN_STEP_BITS)
    upper = np.floor(gaussian(shape, random) * math.ldexp(deviation, -low_bits)).astype(np.int64)
    sizes = [min(_LIMB_BITS, low_bits - start) for start in range(0, low_bits, _LIMB_BITS)]
    limbs = []
    for bits in sizes:
        raw = np.frombuffer(random(4 * math.prod(shape)), dtype=np.uint32).astype(np.int64)
        limbs.append((raw & ((1 << bits) - 1)).reshape(shape))
    out = np.empty((*shape[:-1], len(primes), shape[-1]), dtype=np.uint32)
    for index, prime in enumerate(primes):
        total = upper % prime * pow(2, low_bits, prime)
        for position, limb in enumerate(limbs):
            total = total % prime + limb % prime * pow(2, _LIMB_BITS * position, prime)
        out[..., index, :] = total % prime
    return out
