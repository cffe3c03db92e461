"""Exact negacyclic products with small polynomials by floating-point FFT, and loops on words.

Coefficient j beside j + N/2 in one complex number, weighted by ``exp(i pi j / N)``, turns a
negacyclic product of N real coefficients into a cyclic one of N/2 complex numbers ("right-angle"
convolution; Crandall and Fagin, Math. Comp. 62, 1994). One factor is ternary and the other below
2**24, so the Euclidean norms are at most ``sqrt(N)`` and ``2**24 sqrt(N)``, and the rounding error
is at most about ``16 log2(N) 2**-53`` times their product (Percival, Math. Comp. 72, 2003, theorem
5.1): below 1/100 for N up to 16384. Rounding to integers is exact.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from hecf.he import loops
from hecf.he.modular import Float, Words, reduce_centred

Spectrum = NDArray[np.complex128]
Work = TypeVar("Work")
Done = TypeVar("Done")

CHUNK = 32
"""Polynomials that are transformed at once: they and their scratch stay near the processor."""

PADDING = 16
"""Values between the rows of a padded array: a line of the cache or two."""


def spectrum(polynomials: NDArray[np.generic]) -> Spectrum:
    """Transform polynomials of shape (count, N) to (count, N / 2)."""
    half = polynomials.shape[1] // 2
    in_rows = polynomials.strides[1] == polynomials.itemsize
    if loops.available() and polynomials.dtype == np.uint32 and in_rows:
        values = loops.weigh(polynomials.view(np.uint32), _twist(half))
    else:
        values = np.empty((len(polynomials), half), dtype=np.complex128)
        values.real, values.imag = polynomials[:, :half], polynomials[:, half:]
        values *= _twist(half)
    transformed: Spectrum = scipy.fft.fft(values, overwrite_x=True)
    return transformed


def coefficients(spectra: Spectrum) -> Float:
    """Invert :func:`spectrum` to integers as float64; overwrites its argument."""
    values: Spectrum = scipy.fft.ifft(spectra, overwrite_x=True)
    half = values.shape[1]
    if loops.available() and values.flags.c_contiguous:
        return loops.unweigh(values, _twist(half))
    values *= _twist(half).conj()
    out = np.empty((len(values), 2 * half))
    np.rint(values.real, out=out[:, :half])
    np.rint(values.imag, out=out[:, half:])
    return out


class SmallFactor:
    """A ternary polynomial by which many polynomials are multiplied.

    Parameters
    ----------
    polynomial : integer array, shape (N,)
    """

    def __init__(self, polynomial: NDArray[np.generic]) -> None:
        self._spectrum = spectrum(polynomial[np.newaxis])
        half = self._spectrum.shape[1]
        self._tables = (self._spectrum[0, _order(half)] / half, _twist(half), _roots(half))

    def multiply_add(
        self, polynomials: Words, addend: Words, prime: int, out: Words | Float
    ) -> None:
        """Compute the first coefficients of products, add to them, and reduce.

        Parameters
        ----------
        polynomials : uint32 array, shape (count, N)
        addend : uint32 array, shape (count, coefficients)
        prime : int
        out : array, shape (count, coefficients)
            Of uint32 for words, or of float64 for centred residues.
        """
        if loops.available():
            loops.negacyclic(polynomials, addend, out, self._tables, prime)
            return
        values = spectrum(polynomials)
        values *= self._spectrum
        product = coefficients(values)[:, : addend.shape[1]]
        product += addend
        if out.dtype == np.uint32:
            reduce_words(product, prime, out.view(np.uint32))
        else:
            out[...] = reduce_centred(product, prime)


def reduce_words(values: Float, prime: int, out: Words) -> None:
    """Reduce float64 integers of at most ``2**53 - prime`` to words; overwrites `values`."""
    if loops.available() and values.flags.c_contiguous:
        out[...] = loops.reduce_to_words(values, prime)
        return
    quotient = values * (1.0 / prime)
    np.rint(quotient, out=quotient)
    quotient *= prime
    values -= quotient
    words = values.astype(np.int32).view(np.uint32)
    # A negative residue is a huge unsigned integer, and adding the prime brings it around.
    np.minimum(words, words + np.uint32(prime), out=out)


def padded(shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """Return an empty array whose rows do not start a power of two apart.

    Columns of such rows would compete for the same few lines of the cache.
    """
    return np.empty((*shape[:-1], shape[-1] + PADDING), dtype=dtype)[..., : shape[-1]]


def add_words(words: Words, other: Words, prime: int) -> None:
    """Add words modulo a prime, in place."""
    words += other
    # Below the prime the difference wraps around to a huge integer.
    np.minimum(words, words - np.uint32(prime), out=words)


def in_threads(
    step: Callable[[Work], Done], parts: Iterable[Work], *, threads: int | None = None
) -> list[Done]:
    """Apply a step to every part, in as many threads as BLAS has unless told otherwise."""
    with ThreadPoolExecutor(threads or loops.threads()) as pool:
        return list(pool.map(step, parts))


class _SerialBlas:
    """Keeps BLAS at one thread while anybody is inside, so that callers bring their own threads.

    Threads of the caller multiply a block and reduce it while it is in the cache, and they do not
    wait for each other after every product, which costs most when processors are shared.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._threads = 1
        self._limiter: Any = None

    def __enter__(self) -> int:
        """Return how many threads BLAS has outside."""
        with self._lock:
            if self._inside == 0:
                self._threads = loops.threads()
                self._limiter = _controller().limit(limits=1, user_api="blas")
            self._inside += 1
            return self._threads

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limiter.restore_original_limits()


serial_blas = _SerialBlas()


@lru_cache(maxsize=1)
def _controller() -> Any:
    return ThreadpoolController()


@lru_cache(maxsize=16)
def _twist(half: int) -> Spectrum:
    twist: Spectrum = np.exp(1j * np.pi * np.arange(half) / (2 * half))
    return twist


@lru_cache(maxsize=16)
def _roots(half: int) -> Spectrum:
    roots: Spectrum = np.exp(-2j * np.pi * np.arange(half) / half)
    return roots


def _order(size: int) -> NDArray[np.int64]:
    """Frequencies in the order in which decimation by fours leaves them."""
    if size <= 2:
        return np.arange(size)
    return (4 * _order(size // 4) + np.arange(4)[:, np.newaxis]).ravel()
