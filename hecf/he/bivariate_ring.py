"""Exact negacyclic products with small polynomials, by floating-point FFT.

``X -> exp(i pi / N)`` turns a negacyclic product of N real coefficients into a cyclic product of
N/2 complex ones, coefficient j beside j + N/2 ("right-angle" convolution; Crandall and Fagin, Math.
Comp. 62, 1994). One factor is ternary, so products stay below 2**38 and the rounding error below
1/100: by Brent, Percival and Zimmermann (Math. Comp. 76, 2007), theorem 5.1, at most
``|x| |y| 9 log2(N) 2**-52`` with Euclidean norms up to ``2**24 sqrt(N)`` and ``sqrt(N)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from hecf.he.modular import Float, Words

Spectrum = NDArray[np.complex128]
Work = TypeVar("Work")
Done = TypeVar("Done")

CHUNK = 32
"""Polynomials that are transformed at once: they and their scratch stay near the processor."""


def spectrum(polynomials: NDArray[np.generic], *, axis: int = -1) -> Spectrum:
    """Transform polynomials whose N coefficients lie along the first or the last axis of two."""
    half = polynomials.shape[axis] // 2
    if axis == 0:
        values = np.empty((half, polynomials.shape[1]), dtype=np.complex128)
        values.real, values.imag = polynomials[:half], polynomials[half:]
        values *= _twist(half)[:, np.newaxis]
    else:
        values = np.empty((len(polynomials), half), dtype=np.complex128)
        values.real, values.imag = polynomials[:, :half], polynomials[:, half:]
        values *= _twist(half)
    transformed: Spectrum = scipy.fft.fft(values, axis=axis, overwrite_x=True)
    return transformed


def coefficients(spectra: Spectrum, *, axis: int = -1) -> Float:
    """Invert :func:`spectrum` to integers as float64; overwrites its argument."""
    values: Spectrum = scipy.fft.ifft(spectra, axis=axis, overwrite_x=True)
    if axis == 0:
        values *= _twist(len(values)).conj()[:, np.newaxis]
        out = np.empty((2 * len(values), values.shape[1]))
        np.rint(values.real, out=out[: len(values)])
        np.rint(values.imag, out=out[len(values) :])
        return out
    half = values.shape[1]
    values *= _twist(half).conj()
    out = np.empty((len(values), 2 * half))
    np.rint(values.real, out=out[:, :half])
    np.rint(values.imag, out=out[:, half:])
    return out


def reduce_words(values: Float, prime: int, out: Words) -> None:
    """Reduce float64 integers below 2**53 to words in ``[0, p)``; overwrites `values`."""
    quotient = values * (1.0 / prime)
    np.rint(quotient, out=quotient)
    quotient *= prime
    values -= quotient
    words = values.astype(np.int32).view(np.uint32)
    # A negative residue is a huge unsigned integer, and adding the prime brings it around.
    np.minimum(words, words + np.uint32(prime), out=out)


def add_words(words: Words, other: Words, prime: int) -> None:
    """Add words modulo a prime, in place."""
    words += other
    # Below the prime the difference wraps around to a huge integer.
    np.minimum(words, words - np.uint32(prime), out=words)


def in_threads(step: Callable[[Work], Done], parts: Iterable[Work]) -> list[Done]:
    """Apply a step to every part, in as many threads as BLAS has."""
    with ThreadPoolExecutor(worker_count()) as pool:
        return list(pool.map(step, parts))


@lru_cache(maxsize=1)
def worker_count() -> int:
    """How many threads BLAS has, when first asked."""
    counts = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return max([1, *counts])


@lru_cache(maxsize=16)
def _twist(half: int) -> Spectrum:
    twist: Spectrum = np.exp(1j * np.pi * np.arange(half) / (2 * half))
    return twist
