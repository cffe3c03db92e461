"""How the rows and columns of a matrix product lie in polynomial coefficients.

For ``C = A' B`` with A of shape (K, I) and B of shape (K, J), one polynomial holds u rows of m
columns of A, one holds the same u rows of n columns of B, and ``m u n = N``:

- entry (k, i) of A is the coefficient of ``X ** (i u n + k)``,
- entry (k, j) of B is the coefficient of ``X ** (j u + u - 1 - k)``,
- so entry (i, j) of C gathers at ``X ** (i u n + j u + u - 1)`` of the product, and products of
  different rows never land there (cf. Huang et al., Cheetah, USENIX Security 2022, section 3.1).

The inner dimension continues over polynomials ("blocks"), which the evaluator adds up. Large u
suits long inner dimensions and small results; u = 1 leaves no coefficient unused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecf.errors import ParameterError

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class ProductPacking:
    """Sizes m, u, n of the packing of ``A' B`` in a ring of degree ``m u n``.

    Parameters
    ----------
    left : int
        m, columns of A in one polynomial.
    inner : int
        u, rows of A and B in one polynomial.
    right : int
        n, columns of B in one polynomial.
    """

    left: int
    inner: int
    right: int

    def __post_init__(self) -> None:
        for size in (self.left, self.inner, self.right):
            if size < 1 or size & (size - 1):
                raise ParameterError("a packing has a size that is no power of two", got=size)

    @property
    def ring_degree(self) -> int:
        """N = m u n."""
        return self.left * self.inner * self.right

    def blocks(self, rows: int) -> int:
        """Polynomials that the inner dimension needs."""
        return -(-rows // self.inner)

    def left_groups(self, columns: int) -> int:
        """Polynomials that the columns of A need."""
        return -(-columns // self.left)

    def right_groups(self, columns: int) -> int:
        """Polynomials that the columns of B need."""
        return -(-columns // self.right)

    def pack_left(self, matrix: Integers) -> Integers:
        """Pack A of shape (K, I) into an int64 array (groups, blocks, N)."""
        tiles = self._tiles(matrix, self.left)
        out = np.zeros((*tiles.shape[:2], self.left, self.right, self.inner), dtype=np.int64)
        out[:, :, :, 0, :] = tiles
        return out.reshape(*tiles.shape[:2], self.ring_degree)

    def pack_right(self, matrix: Integers) -> Integers:
        """Pack B of shape (K, J) into an int64 array (groups, blocks, N)."""
        tiles = self._tiles(matrix, self.right)
        out = np.zeros((*tiles.shape[:2], self.left, self.right, self.inner), dtype=np.int64)
        out[:, :, 0, :, :] = tiles[..., ::-1]
        return out.reshape(*tiles.shape[:2], self.ring_degree)

    @property
    def positions(self) -> NDArray[np.intp]:
        """Coefficients of a product that hold results, (i, j) in row-major order, shape (m n,)."""
        grid = np.arange(self.ring_degree).reshape(self.left, self.right, self.inner)
        return grid[:, :, self.inner - 1].reshape(-1)

    def pack_result(self, matrix: Integers) -> Integers:
        """Lay a (I, J) matrix out as results: (left groups, right groups, m n)."""
        rows, columns = matrix.shape
        g, h = self.left_groups(rows), self.right_groups(columns)
        padded = np.zeros((g * self.left, h * self.right), dtype=np.int64)
        padded[:rows, :columns] = matrix
        tiles = padded.reshape(g, self.left, h, self.right).transpose(0, 2, 1, 3)
        return tiles.reshape(g, h, self.left * self.right)

    def unpack_result(
        self, tiles: NDArray[np.float64], rows: int, columns: int
    ) -> NDArray[np.float64]:
        """Read the (I, J) result from tiles of shape (left groups, right groups, m n)."""
        g, h = tiles.shape[:2]
        grid = tiles.reshape(g, h, self.left, self.right).transpose(0, 2, 1, 3)
        full = grid.reshape(g * self.left, h * self.right)
        return np.ascontiguousarray(full[:rows, :columns])

    def _tiles(self, matrix: Integers, width: int) -> Integers:
        rows, columns = matrix.shape
        blocks, groups = self.blocks(rows), -(-columns // width)
        padded = np.zeros((blocks * self.inner, groups * width), dtype=np.int64)
        padded[:rows, :columns] = matrix
        tiles = padded.reshape(blocks, self.inner, groups, width)
        # (groups, blocks, columns of the group, rows of the block)
        return tiles.transpose(2, 0, 3, 1)
