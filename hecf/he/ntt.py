"""Negacyclic number-theoretic transform as two matrix products.

A transform of ``N = N1 N2`` points is a product by an ``N1 x N1`` matrix, an elementwise twist and
a product by an ``N2 x N2`` matrix (Bailey's four-step method, J. Supercomputing 4, 1990). With
24-bit primes and sides of at most 128 both products are exact in float64, so BLAS does the work.

Values come in the order in which the matrices leave them: position ``k1 * N2 + k2`` holds the
value at ``psi ** (2 (k1 + N1 k2) + 1)``. Elementwise work does not care;
:attr:`Transform.seal_order` translates to SEAL's bit-reversed order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from hecf.errors import ParameterError
from hecf.he import loops
from hecf.he.modular import Float, exact_terms, reduce_centred

BATCH_VALUES = 1 << 16
"""Values that are transformed at once: they and their scratch stay in the second-level cache."""


class Transform:
    """Negacyclic transform of polynomials modulo one prime.

    Parameters
    ----------
    ring_degree : int
        N, a power of two.
    prime : int
        A prime that is 1 modulo 2N.

    Raises
    ------
    ParameterError
        If the products would not be exact in float64.
    """

    def __init__(self, ring_degree: int, prime: int) -> None:
        self.ring_degree = ring_degree
        self.prime = prime
        self.rows = 1 << (ring_degree.bit_length() // 2)
        self.columns = ring_degree // self.rows
        side = max(self.rows, self.columns)
        if side > exact_terms(prime):
            raise ParameterError(
                f"a transform of {ring_degree} points is not exact modulo {prime}",
                got=f"sides of {side}",
                expected=f"at most {exact_terms(prime)}",
            )
        self.root = minimal_root(ring_degree, prime)
        inverse_root = pow(self.root, -1, prime)
        self._first = self._matrix(self.root, self._row_exponents())
        self._twist = self._matrix(self.root, self._twist_exponents())
        self._second = self._matrix(self.root, self._column_exponents())
        scale = pow(ring_degree, -1, prime)
        self._first_back = self._matrix(inverse_root, self._row_exponents().T, scale)
        self._twist_back = self._matrix(inverse_root, self._twist_exponents())
        self._second_back = self._matrix(inverse_root, self._column_exponents().T)

    def forward(self, coefficients: Float) -> Float:
        """Evaluate polynomials at the odd powers of the root.

        Parameters
        ----------
        coefficients : float64 array, shape (..., N)
            Centred integers modulo the prime.

        Returns
        -------
        float64 array, shape (..., N)
            Centred residues.
        """
        if loops.available():
            return self._in_loops(coefficients, back=False)
        return self._in_batches(coefficients, self._forward)

    def inverse(self, values: Float) -> Float:
        """Interpolate: the inverse of :meth:`forward`, same shapes and ranges."""
        if loops.available():
            return self._in_loops(values, back=True)
        return self._in_batches(values, self._inverse)

    def _in_loops(self, polynomials: Float, *, back: bool) -> Float:
        tables = self._back_tables if back else self._tables
        flat = np.ascontiguousarray(polynomials, dtype=np.float64)
        out = loops.transform(
            flat.reshape(-1, self.rows, self.columns), tables, self._order, self.prime, back=back
        )
        return out.reshape(polynomials.shape)

    def _forward(self, grid: Float) -> Float:
        work = reduce_centred(np.matmul(self._first, grid), self.prime)
        work *= self._twist
        reduce_centred(work, self.prime)
        return reduce_centred(work.reshape(-1, self.columns) @ self._second, self.prime)

    def _inverse(self, grid: Float) -> Float:
        work = reduce_centred(grid.reshape(-1, self.columns) @ self._second_back, self.prime)
        work = work.reshape(-1, self.rows, self.columns)
        work *= self._twist_back
        reduce_centred(work, self.prime)
        return reduce_centred(np.matmul(self._first_back, work), self.prime)

    def _in_batches(self, polynomials: Float, step: Callable[[Float], Float]) -> Float:
        flat = polynomials.reshape(-1, self.rows, self.columns)
        out = np.empty((len(flat), self.ring_degree))
        size = max(1, BATCH_VALUES // self.ring_degree)
        for start in range(0, len(flat), size):
            batch = step(np.ascontiguousarray(flat[start : start + size]))
            out[start : start + size] = batch.reshape(-1, self.ring_degree)
        return out.reshape(polynomials.shape)

    @cached_property
    def seal_order(self) -> NDArray[np.intp]:
        """Permutation with ``values[..., seal_order]`` in SEAL's order (bit-reversed exponents)."""
        bits = self.ring_degree.bit_length() - 1
        exponent = np.arange(self.ring_degree)
        reversed_bits = np.zeros_like(exponent)
        for bit in range(bits):
            reversed_bits |= ((exponent >> bit) & 1) << (bits - 1 - bit)
        return (reversed_bits % self.rows) * self.columns + reversed_bits // self.rows

    @cached_property
    def _trees(self) -> tuple[NDArray[np.int64], ...]:
        """Exponents of the root at the nodes and leaves of both steps' trees of remainders.

        A node ``X^2t - root^e`` has the children ``X^t - root^(e/2)`` and ``X^t + root^(e/2)``;
        its twiddle is ``root^(e/2)``. The first step starts from ``X^N1 + 1``, the second from
        ``X^N2 - 1``.
        """
        first, rows = _tree(self.rows, self.ring_degree, 2 * self.ring_degree)
        second, columns = _tree(self.columns, 0, 2 * self.ring_degree)
        return first, rows, second, columns

    @cached_property
    def _order(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row k1 and column k2 of every leaf."""
        _, rows, _, columns = self._trees
        return (rows // self.columns - 1) // 2, columns // (2 * self.rows)

    @cached_property
    def _tables(self) -> tuple[Float, Float, Float]:
        first, _, second, _ = self._trees
        twist = self._twist[self._order[0]]
        return self._matrix(self.root, first), twist, self._matrix(self.root, second)

    @cached_property
    def _back_tables(self) -> tuple[Float, Float, Float]:
        first, _, second, _ = self._trees
        inverse_root = pow(self.root, -1, self.prime)
        scale = pow(self.ring_degree, -1, self.prime)
        twist = self._matrix(inverse_root, self._twist_exponents(), scale)[self._order[0]]
        return self._matrix(inverse_root, first), twist, self._matrix(inverse_root, second)

    def _row_exponents(self) -> NDArray[np.int64]:
        index = np.arange(self.rows)
        # Row k1, column n1: omega^(N2 n1 k1) and the twist psi^(N2 n1), with omega = psi^2.
        return self.columns * np.outer(2 * index + 1, index)

    def _twist_exponents(self) -> NDArray[np.int64]:
        return np.outer(2 * np.arange(self.rows) + 1, np.arange(self.columns))

    def _column_exponents(self) -> NDArray[np.int64]:
        index = np.arange(self.columns)
        return 2 * self.rows * np.outer(index, index)

    def _matrix(self, root: int, exponents: NDArray[np.int64], scale: int = 1) -> Float:
        order = 2 * self.ring_degree
        powers = np.empty(order, dtype=np.int64)
        power = scale % self.prime
        for index in range(order):
            powers[index] = power
            power = power * root % self.prime
        powers[powers > self.prime // 2] -= self.prime
        return np.ascontiguousarray(powers[exponents % order], dtype=np.float64)


def _tree(size: int, exponent: int, order: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Halved exponents of the inner nodes, node i of level m at m + i, and those of the leaves."""
    twiddles = np.zeros(size, dtype=np.int64)
    level = np.array([exponent], dtype=np.int64)
    while len(level) < size:
        half = level // 2
        twiddles[len(level) : 2 * len(level)] = half
        level = np.stack([half, half + order // 2], axis=1).ravel()
    return twiddles, level


def minimal_root(ring_degree: int, prime: int) -> int:
    """Return the smallest primitive 2N-th root of unity, which is the one that SEAL uses."""
    order = 2 * ring_degree
    candidate = 2
    while pow(pow(candidate, (prime - 1) // order, prime), ring_degree, prime) != prime - 1:
        candidate += 1
    root = pow(candidate, (prime - 1) // order, prime)
    square, power, smallest = root * root % prime, root, root
    for _ in range(ring_degree - 1):
        power = power * square % prime
        smallest = min(smallest, power)
    return smallest


@lru_cache(maxsize=64)
def transform(ring_degree: int, prime: int) -> Transform:
    """Return the transform for a ring degree and prime, built once."""
    return Transform(ring_degree, prime)


def forward(primes: Sequence[int], coefficients: Float) -> Float:
    """Transform centred residues of shape (..., L, N) modulo each of L primes."""
    out = np.empty_like(coefficients)
    for index, prime in enumerate(primes):
        step = transform(coefficients.shape[-1], prime)
        out[..., index, :] = step.forward(coefficients[..., index, :])
    return out


def inverse(primes: Sequence[int], values: Float) -> Float:
    """Invert :func:`forward`."""
    out = np.empty_like(values)
    for index, prime in enumerate(primes):
        step = transform(values.shape[-1], prime)
        out[..., index, :] = step.inverse(values[..., index, :])
    return out
