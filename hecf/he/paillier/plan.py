"""How vectors are summed under Paillier: slots, bounds and bytes, fixed before any encryption."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hecf.errors import InvalidInput, ParameterError
from hecf.he.modular import Float
from hecf.he.paillier.packing import SlotPacking
from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.plan import fingerprint

SCHEME = "paillier"
SUM = "sum"
LARGEST_VALUE_BITS = 62
"""Single values are rounded as signed 64-bit integers; sums and products may be larger."""
KEY_FINGERPRINT_BYTES = 32
SLACK = 1e-9
"""Relative excess over a bound that the caller's own rounding in float64 may cause."""


@dataclass(frozen=True)
class PaillierSumPlan:
    """How vectors of fixed-point values are summed.

    Parameters
    ----------
    values : int
        Length of every vector.
    summands : int
        Vectors that are added.
    weight_bound : int
        Largest sum of the absolute integer weights; at least `summands`.
    value_bound : float
        Largest absolute value; the encryptor refuses more.
    fraction_bits : int
        Values are rounded to multiples of ``2 ** -fraction_bits``. It is the one exponent of the
        task: no ciphertext carries its own.
    parameters : PaillierParameters

    Raises
    ------
    ParameterError
        If a field is out of its range, or not one value fits a plaintext.
    """

    values: int
    summands: int
    weight_bound: int
    value_bound: float
    fraction_bits: int
    parameters: PaillierParameters

    def __post_init__(self) -> None:
        if min(self.values, self.summands) < 1 or self.weight_bound < self.summands:
            raise ParameterError(
                "a sum needs values, summands and a weight bound of at least their number",
                got=(self.values, self.summands, self.weight_bound),
            )
        check_bound(self.value_bound, self.fraction_bits)
        _ = self.packing

    @property
    def scheme(self) -> str:
        """The scheme's name."""
        return SCHEME

    @property
    def operation(self) -> str:
        """The operation's name."""
        return SUM

    @cached_property
    def packing(self) -> SlotPacking:
        """Slots that hold every weighted sum."""
        largest = units(self.value_bound, self.fraction_bits)
        return SlotPacking(self.parameters.modulus_bits, self.weight_bound * largest)

    @property
    def ciphertexts(self) -> int:
        """Ciphertexts of a vector."""
        return -(-self.values // self.packing.slots)

    @property
    def flooding(self) -> float:
        """Zero: a decryption is exact and carries no noise."""
        return 0.0

    @property
    def error_bound(self) -> float:
        """Largest error of a sum: the rounding of its values."""
        return self.weight_bound * 0.5**self.fraction_bits / 2

    def operand_bytes(self, side: str) -> int:
        """Bytes of an encrypted vector on the wire, without its header."""
        return KEY_FINGERPRINT_BYTES + self.ciphertexts * self.parameters.ciphertext_bytes

    @property
    def result_bytes(self) -> int:
        """Bytes of the encrypted sum on the wire, without its header."""
        return self.operand_bytes("")

    def matrix_shape(self, side: str) -> tuple[int]:
        """Shape (values,) of a vector in clear."""
        return (self.values,)

    def checked(self, side: str, vector: Float) -> Float:
        """Check a vector and return its fixed-point value; raises InvalidInput."""
        return np.ldexp(self.rounded(vector).astype(np.float64), -self.fraction_bits)

    def rounded(self, vector: Float) -> NDArray[np.int64]:
        """Check a vector and return it in units of ``2 ** -fraction_bits``.

        Raises
        ------
        InvalidInput
            If the vector has another length, is not finite or exceeds the bound.
        """
        return fixed_point(vector, (self.values,), self.value_bound, self.fraction_bits)

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 over every field, 32 bytes."""
        return fingerprint(self)


def plan_paillier_sum(
    *,
    values: int,
    summands: int,
    value_bound: float,
    precision: float,
    weight_bound: int | None = None,
    parameters: PaillierParameters | None = None,
) -> PaillierSumPlan:
    """Plan the sum of vectors.

    Parameters
    ----------
    values, summands : int
    value_bound : float
        Largest absolute value of a vector.
    precision : float
        Largest error of a value's rounding; 0.5 for whole numbers, which are then exact.
    weight_bound : int, optional
        Sum of the absolute integer weights; the number of summands by default.
    parameters : PaillierParameters, optional
        Those of an existing key; 3072 bits by default.

    Raises
    ------
    ParameterError
        If the sums do not fit.
    """
    return PaillierSumPlan(
        values,
        summands,
        summands if weight_bound is None else weight_bound,
        value_bound,
        fraction_bits_for(precision),
        parameters or PaillierParameters(),
    )


def fraction_bits_for(precision: float) -> int:
    """Fraction bits at which rounding errs by at most `precision`; raises ParameterError."""
    if not 0 < precision < math.inf:
        raise ParameterError("a precision is out of range", got=precision, expected="positive")
    return max(0, math.ceil(-math.log2(2 * precision)))


def check_bound(bound: float, fraction_bits: int) -> None:
    """Refuse a bound and precision that 64-bit integers do not hold; raises ParameterError."""
    if not 0 < bound < math.inf or not 0 <= fraction_bits <= LARGEST_VALUE_BITS:
        raise ParameterError(
            "a value bound or precision is out of range",
            got=(bound, fraction_bits),
            expected=f"a positive bound, 0 to {LARGEST_VALUE_BITS} bits",
        )
    if units(bound, fraction_bits).bit_length() > LARGEST_VALUE_BITS:
        raise ParameterError(
            "a value does not fit 64 bits",
            got=f"{units(bound, fraction_bits).bit_length()} bits",
            expected=f"at most {LARGEST_VALUE_BITS}",
        )


def units(bound: float, fraction_bits: int) -> int:
    """Largest absolute value as an integer, the slack of :func:`fixed_point` included."""
    return math.ceil(math.ldexp(bound * (1 + SLACK), fraction_bits))


def fixed_point(
    values: Float, shape: tuple[int, ...], bound: float, fraction_bits: int
) -> NDArray[np.int64]:
    """Check values and round them to multiples of ``2 ** -fraction_bits``, as integers.

    Raises
    ------
    InvalidInput
        If they have another shape, are not finite or exceed the bound.
    """
    if values.shape != shape:
        raise InvalidInput("an operand has another shape", got=values.shape, expected=shape)
    if not np.isfinite(values).all():
        raise InvalidInput("an operand is not finite")
    largest = float(np.abs(values).max())
    if largest > bound * (1 + SLACK):
        raise InvalidInput("a value exceeds the plan's bound", got=f"{largest:.6g}", expected=bound)
    return np.rint(np.ldexp(values, fraction_bits)).astype(np.int64)
