"""Arithmetic modulo small primes in float64, and exact recombination of residues.

Residues travel as unsigned 32-bit integers in ``[0, p)`` and are multiplied as *centred*
float64 integers in ``[-p/2, p/2]``, where sums of at most :func:`exact_terms` products are exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hecf.he import loops

Float = NDArray[np.float64]
Words = NDArray[np.uint32]


EXACT_INTEGER = 2**52
"""Integers up to here are exact in float64, and so is their reduction modulo a prime."""


def exact_terms(prime: int) -> int:
    """Return how many products of centred residues add up exactly in float64.

    Centred residues are at most ``(p + 3) / 2`` here, because the float reduction of a value near
    2**53 may round a near-tie the wrong way. One prime's room is left for the multiple of the
    prime that the reduction subtracts, which can be larger than the sum.
    """
    return int((2**53 - prime) // ((prime + 1) // 2 + 1) ** 2)


def centre(words: Words, prime: int) -> Float:
    """Return residues in ``[0, p)`` as centred float64 integers."""
    if loops.available() and words.dtype == np.uint32 and words.flags.c_contiguous:
        return loops.centre(words, prime)
    values = words.astype(np.float64)
    values -= (words > prime // 2) * float(prime)
    return values


def reduce_centred(values: Float, prime: int) -> Float:
    """Reduce float64 integers of at most ``2**53 - prime`` to centred residues, in place."""
    if loops.available() and values.dtype == np.float64 and values.flags.c_contiguous:
        loops.reduce_centred(values, prime)
        return values
    quotient = values * (1.0 / prime)
    np.rint(quotient, out=quotient)
    quotient *= prime
    values -= quotient
    # Near a tie the quotient may have been rounded to the wrong side.
    values[values > prime // 2] -= prime
    values[values < -(prime // 2)] += prime
    return values


def to_words(centred: Float, prime: int) -> Words:
    """Return centred residues as unsigned 32-bit integers in ``[0, p)``."""
    if loops.available() and centred.dtype == np.float64 and centred.flags.c_contiguous:
        return loops.to_words(centred, prime)
    values = centred.astype(np.int32)
    values += (values < 0) * np.int32(prime)
    return values.astype(np.uint32)


def reduce_to_words(values: Float, prime: int) -> Words:
    """Reduce float64 integers of at most ``2**53 - prime`` to unsigned 32-bit residues."""
    if loops.available() and values.dtype == np.float64 and values.flags.c_contiguous:
        return loops.reduce_to_words(values, prime)
    return to_words(reduce_centred(values.copy(), prime), prime)


def residues(integers: NDArray[np.int64], primes: Sequence[int]) -> Float:
    """Reduce signed integers modulo every prime.

    Parameters
    ----------
    integers : int64 array, shape (..., N)
    primes : sequence of int, length L

    Returns
    -------
    float64 array, shape (..., L, N)
        Centred residues.
    """
    out = np.empty((*integers.shape[:-1], len(primes), integers.shape[-1]))
    if integers.size and integers.min() >= -EXACT_INTEGER and integers.max() <= EXACT_INTEGER:
        # Float arithmetic is several times faster than 64-bit division.
        values = integers.astype(np.float64)
        for index, prime in enumerate(primes):
            out[..., index, :] = reduce_centred(values.copy(), prime)
        return out
    for index, prime in enumerate(primes):
        remainder = integers % prime
        remainder[remainder > prime // 2] -= prime
        out[..., index, :] = remainder
    return out


def recombine(words: NDArray[np.int64], primes: Sequence[int]) -> tuple[NDArray[np.int64], ...]:
    """Return the balanced mixed-radix digits of integers given by their residues.

    The integer is ``d_0 + d_1 p_0 + d_2 p_0 p_1 + ...`` with every digit centred (Garner's
    algorithm; Knuth, TAOCP 2, section 4.3.2). It lies in ``(-q/2, q/2)``, and the leading
    digits of a small integer are zero, so a float evaluation keeps its relative precision.

    Parameters
    ----------
    words : int64 array, shape (..., L, N)
        Residues modulo each prime.
    primes : sequence of int, length L

    Returns
    -------
    tuple of L int64 arrays, shape (..., N)
    """
    digits: list[NDArray[np.int64]] = []
    for index, prime in enumerate(primes):
        digit = words[..., index, :] % prime
        radix = 1
        for earlier, lower in zip(digits, primes, strict=False):
            digit = (digit - (earlier % prime) * (radix % prime)) % prime
            radix *= lower
        digit = digit * pow(radix, -1, prime) % prime
        digits.append(np.where(digit > prime // 2, digit - prime, digit))
    return tuple(digits)


def digits_to_float(
    digits: Sequence[NDArray[np.int64]], primes: Sequence[int], scale: float
) -> Float:
    """Evaluate mixed-radix digits and divide by `scale`, in float64."""
    total = np.zeros(digits[0].shape)
    for index in range(len(digits) - 1, -1, -1):
        total += digits[index] * (math.prod(primes[:index]) / scale)
    return total


def digits_to_integers(digits: Sequence[NDArray[np.int64]], primes: Sequence[int]) -> list[int]:
    """Evaluate mixed-radix digits exactly, as a flat list of Python integers."""
    radices = [math.prod(primes[:index]) for index in range(len(primes))]
    flat = [digit.ravel().tolist() for digit in digits]
    return [
        sum(digit * radix for digit, radix in zip(column, radices, strict=True))
        for column in zip(*flat, strict=True)
    ]
