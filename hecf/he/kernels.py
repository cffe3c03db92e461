"""Exact products of ciphertext words by float64 matrix multiplication.

In the NTT domain a product of packed matrices is, at every position of the transform separately,
a small matrix product modulo a prime. A ciphertext operand brings two rows for every polynomial,
so one product yields all terms ``a_x b_y``; those with equal ``x + y`` are added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecf.errors import Mismatch
from hecf.he import loops
from hecf.he.modular import Float, Words, centre, exact_terms, reduce_centred, to_words

TILE = 512
"""Positions of the transform that are worked on at once: bounds the memory of the kernel."""

SUMMANDS = 255
"""Words of 24 bits that fit 32 bits on top of one reduced sum."""


def multiply(left: Words, right: Words, primes: tuple[int, ...]) -> Words:
    """Multiply packed matrices of ciphertexts or plaintexts.

    Parameters
    ----------
    left : uint32 array, shape (G, B, x, L, N)
        G groups of B blocks of x components (1 for a plaintext).
    right : uint32 array, shape (H, B, y, L, N)
    primes : tuple of int, length L

    Returns
    -------
    uint32 array, shape (G, H, x + y - 1, L, N)
        Sums over the blocks of the products of polynomials.
    """
    groups, blocks, x = left.shape[:3]
    others, _, y = right.shape[:3]
    degree = left.shape[-1]
    out = loops.empty((groups, others, x + y - 1, len(primes), degree), np.uint32)
    if loops.available() and (min(x, y) == 1 or x == y == 2):
        _multiply_in_loops(_strided(left), _strided(right), out, primes)
        return out
    for index, prime in enumerate(primes):
        for start in range(0, degree, TILE):
            tile = slice(start, min(start + TILE, degree))
            rows = _matrices(left[..., index, tile], prime).transpose(0, 1, 3, 2)
            columns = _matrices(right[..., index, tile], prime).transpose(0, 2, 1, 3)
            width = rows.shape[0]
            product = _exact_matmul(
                np.ascontiguousarray(rows.reshape(width, groups * x, blocks)),
                np.ascontiguousarray(columns.reshape(width, blocks, others * y)),
                prime,
            ).reshape(width, groups, x, others, y)
            for component in range(x + y - 1):
                pairs = [(a, component - a) for a in range(x) if 0 <= component - a < y]
                total = np.sum([product[:, :, a, :, b] for a, b in pairs], axis=0)
                words = to_words(reduce_centred(total, prime), prime)
                out[:, :, component, index, tile] = words.transpose(1, 2, 0)
    return out


@dataclass(frozen=True)
class LoadedMatrix:
    """A packed matrix in the form and order in which :func:`multiply_loaded` reads it.

    Parameters
    ----------
    primes : tuple of int, length L
    tiles : int32 array, shape (L, N / 8, B, G, x, 8)
        Centred residues by 8 positions of the transform.
    """

    primes: tuple[int, ...]
    tiles: NDArray[np.int32]

    @classmethod
    def load(cls, words: Words, primes: tuple[int, ...]) -> LoadedMatrix:
        """Copy words of shape (G, B, x, L, N), with N a multiple of 8."""
        groups, blocks, x, level, degree = words.shape
        grid = words.reshape(groups, blocks, x, level, degree // loops.LANES, loops.LANES)
        ordered = grid.transpose(3, 4, 1, 0, 2, 5)
        tiles = loops.empty(ordered.shape, np.int32)
        tiles[...] = ordered
        for part, prime in zip(tiles, primes, strict=True):
            for tile in part:
                tile -= (tile > prime // 2) * np.int32(prime)
        return cls(primes, tiles)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Shape (G, B, x, L, N) of the words."""
        level, tiles, blocks, groups, x, width = self.tiles.shape
        return groups, blocks, x, level, tiles * width

    @property
    def words(self) -> Words:
        """Words of shape (G, B, x, L, N), copied."""
        groups, blocks, x, level, degree = self.shape
        words = np.empty((groups, blocks, x, level, degree // loops.LANES, loops.LANES), np.uint32)
        for index, prime in enumerate(self.primes):
            part = self.tiles[index]
            words[:, :, :, index] = (part + (part < 0) * np.int32(prime)).transpose(2, 1, 3, 0, 4)
        return words.reshape(self.shape)


def multiply_loaded(left: LoadedMatrix, right: LoadedMatrix, out: Words | None = None) -> Words:
    """Multiply like :func:`multiply`, faster, matrices that are used in several products.

    Parameters
    ----------
    left, right : LoadedMatrix
    out : uint32 array, shape (G, H, x + y - 1, L, N), optional
        Where the products go; hundreds of megabytes of new memory cost as much as multiplying.

    Raises
    ------
    Mismatch
        If the primes differ, or `out` is not a contiguous array of that shape and type.
    """
    if left.primes != right.primes:
        raise Mismatch("two matrices have different primes", got=right.primes, expected=left.primes)
    groups, _, x, level, degree = left.shape
    others, _, y = right.shape[:3]
    shape = (groups, others, x + y - 1, level, degree)
    if out is None:
        out = loops.empty(shape, np.uint32)
    elif out.shape != shape or out.dtype != np.uint32 or not out.flags.c_contiguous:
        raise Mismatch(
            "products do not fit their array",
            got=f"{out.dtype} {out.shape}",
            expected=f"contiguous uint32 {shape}",
        )
    if loops.available() and (min(x, y) == 1 or x == y == 2) and degree % loops.POSITIONS == 0:
        _multiply_in_loops(_loaded(left), _loaded(right), out, left.primes)
    else:
        out[...] = multiply(left.words, right.words, left.primes)
    return out


@dataclass(frozen=True)
class _Layout:
    """Where the words of an operand are: a word array for every prime, and strides in words."""

    levels: list[Words] | list[NDArray[np.int32]]
    groups: int
    components: int
    blocks: int
    group: int
    component: int
    block: int
    tile: int

    def rows(self, second: bool) -> NDArray[np.int64]:
        """Start of the row of every group and component; with `second`, of every first."""
        groups = np.arange(self.groups)[:, np.newaxis] * self.group
        components = np.arange(1 if second else self.components) * self.component
        return np.ascontiguousarray((groups + components).ravel(), dtype=np.int64)


def _strided(words: Words) -> _Layout:
    words = np.ascontiguousarray(words, dtype=np.uint32)
    groups, blocks, x, level, degree = words.shape
    component = level * degree
    return _Layout(
        levels=[words[:, :, :, index] for index in range(level)],
        groups=groups,
        components=x,
        blocks=blocks,
        group=blocks * x * component,
        component=component,
        block=x * component,
        tile=loops.POSITIONS,
    )


def _loaded(matrix: LoadedMatrix) -> _Layout:
    groups, blocks, x, _, _ = matrix.shape
    return _Layout(
        levels=list(matrix.tiles),
        groups=groups,
        components=x,
        blocks=blocks,
        group=x * loops.LANES,
        component=loops.LANES,
        block=groups * x * loops.LANES,
        tile=groups * blocks * x * loops.POSITIONS,
    )


def _multiply_in_loops(left: _Layout, right: _Layout, out: Words, primes: tuple[int, ...]) -> None:
    both = left.components == right.components == 2
    groups, others, components, level, degree = out.shape
    component = level * degree
    result = _Layout(
        [], groups, left.components, 0, others * components * component, component, 0, 0
    )
    across = _Layout([], others, right.components, 0, components * component, component, 0, 0)
    sides = [(left, result), (right, across)]
    # The loops hold more columns than rows in registers.
    if groups * left.components > others * right.components:
        sides.reverse()
    (a, a_out), (b, b_out) = sides
    for index, prime in enumerate(primes):
        loops.multiply(
            (a.levels[index], b.levels[index]),
            (a.rows(both), b.rows(both)),
            (a.blocks, a.block, b.block),
            (a.tile, b.tile),
            (a.component, b.component, component) if both else (0, 0, 0),
            (out[:, :, :, index], a_out.rows(both), b_out.rows(both)),
            degree,
            prime,
            exact_terms(prime),
        )


def add(operands: list[Words], primes: tuple[int, ...]) -> Words:
    """Add words of shape (..., L, N) modulo each prime."""
    total = operands[0].astype(np.uint32)
    for start in range(1, len(operands), SUMMANDS):
        for words in operands[start : start + SUMMANDS]:
            total += words
        _reduce_words(total, primes)
    return total


def _reduce_words(words: Words, primes: tuple[int, ...]) -> None:
    """Reduce words of shape (..., L, N) modulo each prime, in place."""
    for index, prime in enumerate(primes):
        words[..., index, :] %= prime


def _matrices(words: Words, prime: int) -> Float:
    """Centred residues with the transform position first: (T, groups, blocks, components)."""
    position_first = np.moveaxis(words, -1, 0)
    return centre(np.ascontiguousarray(position_first), prime)


def _exact_matmul(rows: Float, columns: Float, prime: int) -> Float:
    """Multiply batched centred matrices modulo a prime, reducing before float64 overflows."""
    inner = rows.shape[-1]
    chunk = exact_terms(prime)
    total = reduce_centred(np.matmul(rows[..., :chunk], columns[..., :chunk, :]), prime)
    for start in range(chunk, inner, chunk):
        part = slice(start, start + chunk)
        total += reduce_centred(np.matmul(rows[..., part], columns[..., part, :]), prime)
        reduce_centred(total, prime)
    return total
