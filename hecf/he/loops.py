"""Loops in C for what NumPy does in several passes, by ctypes, without Python's lock.

The shared library is built when the package is installed (``hatch_build.py``). Where it is
missing, :func:`available` is false and the callers use NumPy, with identical results. As many
threads run as NumPy's BLAS has, so :mod:`hecf.threads` limits both.
"""

from __future__ import annotations

import ctypes
import math
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

Float = NDArray[np.float64]
Words = NDArray[np.uint32]
Complex = NDArray[np.complex128]
Offsets = NDArray[np.int64]
Centred = NDArray[np.int32]
Number = TypeVar("Number", bound=np.number)

POSITIONS = 16
"""Positions of the transform in one tile: a cache line of words."""

LANES = 8
"""Positions that are multiplied at once."""

ITEMS = 8
"""Items of a panel of small integers."""

CACHE_LINE = 64
"""Bytes of a line of the cache."""

WORTH_THREADS = 1 << 18
"""Values below which starting threads costs more than it saves."""

_VERSION = 7
_Pointer, _Size, _Real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


def _load() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(str(Path(__file__).with_name("_loops.so")))
        version = library.hecf_loops_version()
    except (OSError, AttributeError):
        return None
    return library if version == _VERSION else None


LIBRARY = _load()
"""The shared library, or None; tests replace it to compare both ways."""


def available() -> bool:
    """Whether the shared library is there."""
    return LIBRARY is not None


def empty(shape: tuple[int, ...], dtype: type[Number]) -> NDArray[Number]:
    """Return an empty array that starts on a line of the cache.

    NumPy's large arrays start 16 bytes beyond, so that every tile would lie on two lines: products
    of a million rows take a fifth longer.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    space = np.empty(size + CACHE_LINE, dtype=np.uint8)
    start = -space.ctypes.data % CACHE_LINE
    return space[start : start + size].view(dtype).reshape(shape)


def threads(values: int = WORTH_THREADS) -> int:
    """Return how many threads are worth starting for work on so many values."""
    if values < WORTH_THREADS:
        return 1
    pools = [pool.num_threads for pool in _controller().lib_controllers if pool.user_api == "blas"]
    return max(1, min(pools, default=1))


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


class _Multiply(ctypes.Structure):
    _fields_ = (
        *((name, _Pointer) for name in ("left", "right", "left_rows", "right_rows")),
        *((name, _Pointer) for name in ("out_rows", "out_columns", "out")),
        *((name, _Size) for name in ("rows", "columns", "blocks", "left_block", "right_block")),
        *((name, _Size) for name in ("left_tile", "right_tile")),
        *((name, _Size) for name in ("left_second", "right_second", "out_second")),
        *((name, _Size) for name in ("positions", "terms", "centred")),
        ("prime", _Real),
    )


class _Query(ctypes.Structure):
    _fields_ = (
        *((name, _Pointer) for name in ("items", "query", "out")),
        *((name, _Size) for name in ("groups", "blocks", "query_block", "query_component")),
        *((name, _Size) for name in ("out_group", "out_component", "terms")),
        ("prime", _Real),
    )


class _Batch(ctypes.Structure):
    _fields_ = (
        *((name, _Pointer) for name in ("items", "shoppers", "out")),
        *((name, _Size) for name in ("count", "factors", "panels")),
        *((name, _Real) for name in ("modulus", "dropped", "prime")),
    )


class _Transform(ctypes.Structure):
    _fields_ = (
        *((name, _Pointer) for name in ("values", "out", "first", "twist", "second")),
        *((name, _Pointer) for name in ("row_of", "column_of")),
        *((name, _Size) for name in ("rows", "columns")),
        ("prime", _Real),
    )


class _Weigh(ctypes.Structure):
    _fields_ = (
        *((name, _Pointer) for name in ("words", "values", "out", "twist")),
        *((name, _Size) for name in ("stride", "half")),
    )


class _Negacyclic(ctypes.Structure):
    _fields_ = (
        *((name, _Pointer) for name in ("words", "addend", "out", "factor", "twist", "roots")),
        *((name, _Size) for name in ("words_lane", "words_step", "addend_lane", "addend_step")),
        *((name, _Size) for name in ("out_lane", "out_step", "half", "count", "lanes", "exact")),
        ("p", _Real),
    )


def _library() -> ctypes.CDLL:
    if LIBRARY is None:
        raise RuntimeError("the shared library of loops is not there")
    return LIBRARY


def _convert(name: str, values: NDArray[np.generic], out: NDArray[np.generic], prime: int) -> None:
    size = values.size
    function = getattr(_library(), f"hecf_{name}")
    function(
        _Pointer(values.ctypes.data),
        _Pointer(out.ctypes.data),
        _Size(size),
        _Real(prime),
        _Size(threads(size)),
    )


def centre(words: Words, prime: int) -> Float:
    """Return words of contiguous arrays as centred residues."""
    out = np.empty(words.shape)
    _convert("centre", words, out, prime)
    return out


def to_words(centred: Float, prime: int) -> Words:
    """Return centred residues of a contiguous array as words."""
    out = np.empty(centred.shape, dtype=np.uint32)
    _convert("to_words", centred, out, prime)
    return out


def reduce_centred(values: Float, prime: int) -> None:
    """Reduce a contiguous array of integers of at most ``2**53 - prime`` in place."""
    _convert("reduce", values, values, prime)


def reduce_to_words(values: Float, prime: int) -> Words:
    """Reduce a contiguous array of integers of at most ``2**53 - prime`` to words."""
    out = np.empty(values.shape, dtype=np.uint32)
    _convert("reduce_to_words", values, out, prime)
    return out


def pack(words: Words) -> bytes:
    """Pack contiguous words below 2**24 into three little-endian bytes each."""
    out = np.empty(3 * words.size, dtype=np.uint8)
    _library().hecf_pack(_Pointer(words.ctypes.data), _Pointer(out.ctypes.data), _Size(words.size))
    return out.tobytes()


def unpack(octets: NDArray[np.uint8], out: Words) -> None:
    """Undo :func:`pack` for contiguous arrays."""
    _library().hecf_unpack(_Pointer(octets.ctypes.data), _Pointer(out.ctypes.data), _Size(out.size))


def multiply(
    operands: tuple[Words | Centred, Words | Centred],
    rows: tuple[Offsets, Offsets],
    blocks: tuple[int, int, int],
    tiles: tuple[int, int],
    second: tuple[int, int, int],
    out: tuple[Words, Offsets, Offsets],
    positions: int,
    prime: int,
    terms: int,
) -> None:
    """Multiply two matrices of polynomials at every position.

    Parameters
    ----------
    operands : pair of uint32 or int32 arrays
        They start at the first word of the first row. Both are words, or both are centred and
        have whole tiles, with all of the first half of the positions before the second.
    rows : pair of int64 arrays
        Where in the operands the rows of the left and the columns of the right start.
    blocks : tuple of int
        Number of summands, and how far apart they are on the left and on the right.
    tiles : tuple of int
        How far apart tiles of :data:`POSITIONS` positions are.
    second : tuple of int
        Where the second component is on the left, on the right and in the result, if both sides
        have two; the result then has three. Zeros otherwise.
    out : array and two int64 arrays
        Result, and where its rows and columns start.
    positions, prime : int
    terms : int
        Products that add up exactly, at least 2.
    """
    left, right = operands
    target, out_rows, out_columns = out
    job = _Multiply(
        left.ctypes.data,
        right.ctypes.data,
        rows[0].ctypes.data,
        rows[1].ctypes.data,
        out_rows.ctypes.data,
        out_columns.ctypes.data,
        target.ctypes.data,
        len(rows[0]),
        len(rows[1]),
        *blocks,
        *tiles,
        *second,
        positions,
        terms,
        left.dtype == np.int32,
        prime,
    )
    work = len(rows[0]) * len(rows[1]) * blocks[0] * positions
    _check(_library().hecf_multiply(ctypes.byref(job), _Size(threads(work))))


def query(items: NDArray[np.int32], query: Words, out: Words, prime: int, terms: int) -> None:
    """Multiply polynomials of items by a few ciphertexts.

    Parameters
    ----------
    items : int32 array, shape (tiles, groups, blocks, POSITIONS)
        Centred.
    query : uint32 array, shape (blocks, 2, tiles * POSITIONS)
        The last axis is contiguous.
    out : uint32 array, shape (groups, 2, tiles * POSITIONS)
        The last axis is contiguous.
    prime : int
    terms : int
        Products that add up exactly.
    """
    tiles, groups, blocks, _ = items.shape
    strides = [stride // 4 for stride in (*query.strides[:2], *out.strides[:2])]
    job = _Query(
        items.ctypes.data,
        query.ctypes.data,
        out.ctypes.data,
        groups,
        blocks,
        *strides,
        terms,
        prime,
    )
    _check(_library().hecf_query(ctypes.byref(job), _Size(tiles), _Size(threads(items.size))))


def batch(items: Float, shoppers: Float, out: Words, dropped: int, prime: int) -> None:
    """Multiply small integers by coefficients modulo ``dropped * prime``, and drop the first.

    Parameters
    ----------
    items : float64 array, shape (item panels, factors, ITEMS)
    shoppers : float64 array, shape (coefficient panels, factors, POSITIONS)
        Centred.
    out : uint32 array, shape (items, coefficient panels * POSITIONS)
    dropped, prime : int
    """
    panels, factors, _ = shoppers.shape
    job = _Batch(
        items.ctypes.data,
        shoppers.ctypes.data,
        out.ctypes.data,
        len(out),
        factors,
        panels,
        dropped * prime,
        dropped,
        prime,
    )
    _check(_library().hecf_batch(ctypes.byref(job), _Size(threads(out.size))))


def transform(
    values: Float,
    tables: tuple[Float, Float, Float],
    order: tuple[Offsets, Offsets],
    prime: int,
    *,
    back: bool,
) -> Float:
    """Transform contiguous polynomials (count, rows, columns); see :mod:`hecf.he.ntt`."""
    out = np.empty(values.shape)
    first, twist, second = tables
    job = _Transform(
        values.ctypes.data,
        out.ctypes.data,
        first.ctypes.data,
        twist.ctypes.data,
        second.ctypes.data,
        order[0].ctypes.data,
        order[1].ctypes.data,
        len(order[0]),
        len(order[1]),
        prime,
    )
    status = _library().hecf_ntt(
        ctypes.byref(job), _Size(len(values)), ctypes.c_int(back), _Size(threads(4 * values.size))
    )
    _check(status)
    return out


def weigh(polynomials: Words, twist: Complex) -> Complex:
    """Pair words (count, N) to ``(low + i high) twist`` (count, N / 2), in the calling thread."""
    count, half = len(polynomials), len(twist)
    values = np.empty((count, half), dtype=np.complex128)
    stride = polynomials.strides[0] // polynomials.itemsize
    job = _Weigh(polynomials.ctypes.data, values.ctypes.data, None, twist.ctypes.data, stride, half)
    _library().hecf_weigh(ctypes.byref(job), _Size(count))
    return values


def unweigh(values: Complex, twist: Complex) -> Float:
    """Undo :func:`weigh` for contiguous values, rounded to integers."""
    count, half = values.shape
    out = np.empty((count, 2 * half))
    job = _Weigh(None, values.ctypes.data, out.ctypes.data, twist.ctypes.data, 0, half)
    _library().hecf_unweigh(ctypes.byref(job), _Size(count))
    return out


def negacyclic(
    words: Words,
    addend: Words,
    out: Words | Float,
    tables: tuple[Complex, Complex, Complex],
    prime: int,
) -> None:
    """Multiply polynomials by one small polynomial and add, in the calling thread.

    Parameters
    ----------
    words : uint32 array, shape (lanes, N)
    addend : uint32 array, shape (lanes, count)
        Is added to the first coefficients of the products.
    out : uint32 array or float64 array, shape (lanes, count)
        For words, or for centred residues. All three may be strided.
    tables : three complex128 arrays of N / 2
        Spectrum of the factor as the loop orders it, over N / 2; twist; roots of unity.
    prime : int
    """
    strides = [s // array.itemsize for array in (words, addend, out) for s in array.strides]
    job = _Negacyclic(
        words.ctypes.data,
        addend.ctypes.data,
        out.ctypes.data,
        *(table.ctypes.data for table in tables),
        *strides,
        words.shape[1] // 2,
        addend.shape[1],
        len(words),
        out.dtype == np.float64,
        prime,
    )
    _check(_library().hecf_negacyclic(ctypes.byref(job)))


def _check(status: int) -> None:
    if status:
        raise MemoryError("the loops got no memory")
