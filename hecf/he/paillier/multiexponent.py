"""Many products of powers of the same ciphertexts (Straus, Amer. Math. Monthly 71, 1964).

The squarings of a product are shared by all its bases, and the small powers of a base by all
products. Sparse columns of counts, where most exponents are 1, cost one modular product an entry.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from hecf.he.paillier.arithmetic import gmpy2, inverse, mpz
from hecf.he.paillier.planner import best_window


class ColumnProducts:
    """Products ``prod_k c_k^(B[k, j])`` for the columns of integer matrices.

    Parameters
    ----------
    bases : list of mpz
        Ciphertexts c_k.
    modulus : mpz
        n^2.
    """

    def __init__(self, bases: list[mpz], modulus: mpz) -> None:
        self._modulus = modulus
        self._powers = [[mpz(1), base] for base in bases]

    def all(self, columns: csc_array[np.int64]) -> list[mpz]:
        """Compute the product of every column; a column of zeros gives 1."""
        bits = [int(value).bit_length() for value in np.abs(columns.data)]
        bases = len(np.unique(columns.indices))
        window, _ = best_window(list(Counter(bits).items()), bases, columns.shape[1])
        found = []
        for start, stop in zip(columns.indptr[:-1], columns.indptr[1:], strict=True):
            rows, weights = columns.indices[start:stop], columns.data[start:stop]
            positive, negative = weights > 0, weights < 0
            product = self._column(rows[positive], weights[positive], window)
            if negative.any():
                divisor = self._column(rows[negative], -weights[negative], window)
                product = product * inverse(divisor, self._modulus) % self._modulus
            found.append(product)
        return found

    def _column(self, rows: NDArray[np.integer], weights: NDArray[np.int64], window: int) -> mpz:
        modulus, product = self._modulus, mpz(1)
        exponents = weights.tolist()
        longest = max(exponents, default=0).bit_length()
        mask, shift = (1 << window) - 1, mpz(1) << window
        for place in reversed(range(0, longest, window)):
            if product != 1:
                product = gmpy2.powmod(product, shift, modulus)
            for row, exponent in zip(rows.tolist(), exponents, strict=True):
                digit = (exponent >> place) & mask
                if digit:
                    product = product * self._power(row, digit) % modulus
        return product

    def _power(self, row: int, digit: int) -> mpz:
        """Look up a small power of a base, and compute the table that far when it is missing."""
        powers = self._powers[row]
        while len(powers) <= digit:
            powers.append(powers[-1] * powers[1] % self._modulus)
        return powers[digit]
