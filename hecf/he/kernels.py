"""Exact products of ciphertext words by float64 matrix multiplication.

In the NTT domain a product of packed matrices is, at every position of the transform separately,
a small matrix product modulo a prime. A ciphertext operand brings two rows for every polynomial,
so one product yields all terms ``a_x b_y``; those with equal ``x + y`` are added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    out = np.empty((groups, others, x + y - 1, len(primes), degree), dtype=np.uint32)
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
    """Words of a packed matrix in the order in which :func:`multiply_loaded` reads them.

    Parameters
    ----------
    tiles : uint32 array, shape (L, N / 16, x, G, B, 16)
        Words by tiles of 16 positions of the transform.
    """

    tiles: Words

    @classmethod
    def load(cls, words: Words) -> LoadedMatrix:
        """Copy words of shape (G, B, x, L, N), with N a multiple of 16."""
        groups, blocks, x, level, degree = words.shape
        grid = words.reshape(groups, blocks, x, level, degree // loops.POSITIONS, loops.POSITIONS)
        return cls(np.ascontiguousarray(grid.transpose(3, 4, 2, 0, 1, 5)))

    @property
    def words(self) -> Words:
        """Words of shape (G, B, x, L, N), copied."""
        level, tiles, x, groups, blocks, width = self.tiles.shape
        grid = self.tiles.transpose(3, 4, 2, 0, 1, 5)
        return np.ascontiguousarray(grid).reshape(groups, blocks, x, level, tiles * width)


def multiply_loaded(left: LoadedMatrix, right: LoadedMatrix, primes: tuple[int, ...]) -> Words:
    """Multiply like :func:`multiply`, faster, matrices that are used in several products."""
    level, tiles, x, groups, _, width = left.tiles.shape
    y, others = right.tiles.shape[2:4]
    if not loops.available() or not (min(x, y) == 1 or x == y == 2):
        return multiply(left.words, right.words, primes)
    out = np.empty((groups, others, x + y - 1, level, tiles * width), dtype=np.uint32)
    _multiply_in_loops(_loaded(left), _loaded(right), out, primes)
    return out


@dataclass(frozen=True)
class _Layout:
    """Where the words of an operand are: a word array for every prime, and strides in words."""

    levels: list[Words]
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
    _, _, x, groups, blocks, width = matrix.tiles.shape
    return _Layout(
        levels=list(matrix.tiles),
        groups=groups,
        components=x,
        blocks=blocks,
        group=blocks * width,
        component=groups * blocks * width,
        block=width,
        tile=x * groups * blocks * width,
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
