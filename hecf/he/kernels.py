"""Exact products of ciphertext words by float64 matrix multiplication.

In the NTT domain a product of packed matrices is, at every position of the transform separately,
a small matrix product modulo a prime. A ciphertext operand brings two rows for every polynomial,
so one product yields all terms ``a_x b_y``; those with equal ``x + y`` are added.
"""

from __future__ import annotations

import numpy as np

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
