"""Products ``C = A' B`` of an encrypted A and a B that the evaluator has in clear.

Slot i of ciphertext (g, k) holds row k of A in the column ``g slots + i``. The evaluator multiplies
powers of ciphertexts, ``prod_k c_(g,k)^(B[k,j])``, which adds up ``sum_k A[k, :] B[k, j]`` in every
slot at once. When all columns of A fit one ciphertext with room to spare, several columns j are
shifted into the same ciphertext of the result.

gram: A is (shoppers, items or factors) of one retailer, B that of another, in clear at its site.
similarity: ``A B'`` of rows; both are handed over transposed. score: A holds shoppers' embeddings,
one a column, and B is the item matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, sparray

from hecf.errors import InvalidInput, ParameterError
from hecf.he.modular import Float
from hecf.he.paillier.packing import SlotPacking
from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.paillier.plan import (
    KEY_FINGERPRINT_BYTES,
    SCHEME,
    SLACK,
    PaillierSumPlan,
    check_bound,
    fixed_point,
    units,
)
from hecf.he.plan import fingerprint

GRAM = "gram"
SCORE = "score"
SIMILARITY = "similarity"
OPERATIONS = (GRAM, SCORE, SIMILARITY)
LARGEST_WORK = 10_000_000
"""Modular products beyond which the planner refuses: a minute and a half of one core, where CKKS
takes a fraction of a second."""
LARGEST_WINDOW_BITS = 8


@dataclass(frozen=True)
class PaillierProductPlan:
    """Layout and bounds of one product.

    Parameters
    ----------
    operation : {"gram", "score", "similarity"}
    inner, left, right : int
        K, I and J: A is (K, I), B is (K, J).
    summands : int
        Encrypted A matrices that are added up before the product.
    operand_bound : float
        Largest absolute entry of an encrypted operand.
    column_norm : float
        Largest 1-norm of a column of B, which the evaluator checks.
    bias_bound : float
        Largest absolute bias that is added to a column of the result; 0 for none.
    left_fraction_bits, right_fraction_bits : int
        A and B are rounded to multiples of two to minus these; with 0 bits they must be whole. The
        two are the task's exponents: no ciphertext carries its own.
    parameters : PaillierParameters

    Raises
    ------
    ParameterError
        If a field is out of range, or a result does not fit a plaintext.
    """

    operation: str
    inner: int
    left: int
    right: int
    summands: int
    operand_bound: float
    column_norm: float
    bias_bound: float
    left_fraction_bits: int
    right_fraction_bits: int
    parameters: PaillierParameters

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise ParameterError("unknown operation", got=self.operation, expected=OPERATIONS)
        sizes = (self.inner, self.left, self.right, self.summands)
        if min(sizes) < 1:
            raise ParameterError("a product needs positive sizes", got=sizes)
        check_bound(self.operand_bound, self.left_fraction_bits)
        check_bound(self.column_norm, self.right_fraction_bits)
        if not 0 <= self.bias_bound < math.inf:
            raise ParameterError("a bias bound is out of range", got=self.bias_bound)
        _ = self.packing

    @property
    def scheme(self) -> str:
        """The scheme's name."""
        return SCHEME

    @cached_property
    def column_norm_units(self) -> int:
        """Largest 1-norm of a rounded column of B."""
        rounding = (self.inner + 1) // 2 if self.right_fraction_bits else 0
        return units(self.column_norm, self.right_fraction_bits) + rounding

    @cached_property
    def packing(self) -> SlotPacking:
        """Slots that hold every entry of the result."""
        largest = self.summands * units(self.operand_bound, self.left_fraction_bits)
        bias = units(self.bias_bound, self.fraction_bits) if self.bias_bound else 0
        return SlotPacking(self.parameters.modulus_bits, largest * self.column_norm_units + bias)

    @property
    def fraction_bits(self) -> int:
        """Fraction bits of the result."""
        return self.left_fraction_bits + self.right_fraction_bits

    @property
    def groups(self) -> int:
        """Ciphertexts that a row of A needs."""
        return -(-self.left // self.packing.slots)

    @property
    def columns(self) -> int:
        """Columns of the result that share a ciphertext."""
        return max(1, self.packing.slots // self.left)

    @property
    def result_ciphertexts(self) -> int:
        """Ciphertexts of the result."""
        return self.groups * -(-self.right // self.columns)

    @property
    def flooding(self) -> float:
        """Zero: a decryption is exact and carries no noise."""
        return 0.0

    @property
    def grid_bits(self) -> int:
        """Released values are multiples of ``2 ** -grid_bits``."""
        return self.fraction_bits

    @property
    def error_bound(self) -> float:
        """Largest error of an entry: what the rounding of A and B causes."""
        left, right = _rounding(self.left_fraction_bits), _rounding(self.right_fraction_bits)
        columns = math.ldexp(self.column_norm_units, -self.right_fraction_bits)
        rounded = self.inner * self.summands * self.operand_bound * right
        bias = _rounding(self.fraction_bits) if self.bias_bound else 0.0
        return self.summands * left * columns + rounded + bias

    def operand_bytes(self, side: str) -> int:
        """Bytes of the encrypted operand on the wire, without its header."""
        count = self.groups * self.inner
        return KEY_FINGERPRINT_BYTES + count * self.parameters.ciphertext_bytes

    @property
    def result_bytes(self) -> int:
        """Bytes of the encrypted result on the wire, without its header."""
        return KEY_FINGERPRINT_BYTES + self.result_ciphertexts * self.parameters.ciphertext_bytes

    def matrix_shape(self, side: str) -> tuple[int, int]:
        """Shape (K, I) or (K, J) of an operand in clear."""
        return (self.inner, self.left if side == "left" else self.right)

    def rounded(self, matrix: Float) -> NDArray[np.int64]:
        """Check A and return it in units, (K, I); raises InvalidInput."""
        integers = fixed_point(
            matrix, (self.inner, self.left), self.operand_bound, self.left_fraction_bits
        )
        if not self.left_fraction_bits:
            check_whole(matrix)
        return integers

    def rounded_columns(self, matrix: Float | sparray) -> csc_array[np.int64]:
        """Check B, dense or sparse, and return it in units, (K, J).

        Raises
        ------
        InvalidInput
            If the shape, a value or a column's 1-norm is not as planned.
        """
        columns = csc_array(matrix, dtype=np.float64)
        columns.sum_duplicates()
        if columns.shape != (self.inner, self.right):
            raise InvalidInput(
                "the clear operand has another shape",
                got=columns.shape,
                expected=(self.inner, self.right),
            )
        if not np.isfinite(columns.data).all():
            raise InvalidInput("the clear operand is not finite")
        norm = float(abs(columns).sum(axis=0).max())
        if norm > self.column_norm * (1 + SLACK):
            raise InvalidInput(
                "a column's 1-norm exceeds the plan's bound",
                got=f"{norm:.6g}",
                expected=self.column_norm,
            )
        if not self.right_fraction_bits:
            check_whole(columns.data)
        integers = np.rint(np.ldexp(columns.data, self.right_fraction_bits)).astype(np.int64)
        rounded = csc_array((integers, columns.indices, columns.indptr), shape=columns.shape)
        rounded.eliminate_zeros()
        return rounded

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 over every field, 32 bytes."""
        return fingerprint(self)


PaillierPlan = PaillierSumPlan | PaillierProductPlan


def check_whole(values: Float) -> None:
    """Refuse fractions where the plan has no bits for them; raises InvalidInput."""
    if not np.array_equal(values, np.rint(values)):
        raise InvalidInput("an operand of a plan without fraction bits has fractions")


def _rounding(fraction_bits: int) -> float:
    """Largest rounding error of a value; whole numbers have none."""
    return 0.5 ** (fraction_bits + 1) if fraction_bits else 0.0
