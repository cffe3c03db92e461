"""Exact encrypted sums of fixed-point vectors, several values to a coefficient.

A sum needs no products, so its message can stand above the noise instead of in it: value j of a
coefficient is the digit at bit ``t + j w``, where ``2^(t-1)`` exceeds the worst-case noise of the
sum and w holds the largest sum. Rounding removes the noise completely, as BFV decryption does, and
what is released is an exact function of the inputs; it carries no noise for the attack of Li and
Micciancio to use, so a sum needs no flooding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hecf.errors import InvalidInput, ParameterError
from hecf.he import ntt
from hecf.he.modular import Float, Words, to_words
from hecf.he.plan import LEFT, OperandPlan
from hecf.he.stripes import Stripes
from hecf.he.summation.digits import LARGEST_DIGIT_BITS, bits_of, limbs_of

SUM = "sum"


@dataclass(frozen=True, kw_only=True)
class SumPlan(OperandPlan):
    """How vectors of fixed-point values are summed under encryption.

    Parameters
    ----------
    scheme : {"ckks", "clear"}
    values : int
        Length of every vector.
    summands : int
        Vectors that are added.
    weight_bound : int
        Largest sum of the absolute integer weights; at least `summands` without weights.
    value_bound : float
        Largest absolute value; the encoder refuses more.
    fraction_bits : int
        Values are rounded to multiples of ``2 ** -fraction_bits``; the sum of the rounded values is
        exact.
    parameters : ParameterSet
    level : int
        How many of the data primes are kept.

    Raises
    ------
    ParameterError
        If not even one value fits a coefficient, or a field is out of its range.
    """

    operation: str = field(default=SUM, init=False)
    values: int
    summands: int
    weight_bound: int
    value_bound: float
    fraction_bits: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.values, self.summands) < 1 or self.weight_bound < self.summands:
            raise ParameterError(
                "a sum needs values, summands and a weight bound of at least their number",
                got=(self.values, self.summands, self.weight_bound),
            )
        if not 0 < self.value_bound < math.inf or not 0 <= self.fraction_bits <= 64:
            raise ParameterError(
                "a sum's value bound or precision is out of range",
                got=(self.value_bound, self.fraction_bits),
                expected="a positive bound, 0 to 64 bits",
            )
        if self.digit_bits > LARGEST_DIGIT_BITS:
            raise ParameterError(
                "a sum's values do not fit a digit",
                got=f"{self.digit_bits} bits",
                expected=f"at most {LARGEST_DIGIT_BITS}",
            )
        if self.digits < 1:
            raise ParameterError(
                "not one value fits above the noise",
                got=f"{self.digit_bits} bits a value above {self.noise_bits} bits of noise",
                expected=f"fewer than the {self.modulus.bit_length()} bits of the modulus",
            )

    @property
    def noise_bound(self) -> int:
        """Largest noise coefficient of the weighted sum: a worst case."""
        return self.weight_bound * self.parameters.fresh_noise_bound

    @property
    def noise_bits(self) -> int:
        """Bit t of the lowest digit; half a unit there exceeds the noise."""
        return self.noise_bound.bit_length() + 1

    @property
    def sum_bound(self) -> int:
        """Largest absolute sum, in units of ``2 ** -fraction_bits``."""
        largest = math.ceil(math.ldexp(self.value_bound, self.fraction_bits))
        return self.weight_bound * largest

    @property
    def digit_bits(self) -> int:
        """Width w of a digit: ``2^(w-1)`` exceeds every sum of either sign."""
        return (2 * self.sum_bound).bit_length()

    @property
    def digits(self) -> int:
        """Values in one coefficient."""
        return max(0, (self.modulus.bit_length() - 2 - self.noise_bits) // self.digit_bits)

    @property
    def polynomials(self) -> int:
        """Ciphertexts of a vector."""
        return -(-self.values // (self.digits * self.parameters.ring_degree))

    @property
    def flooding(self) -> float:
        """Zero: an exact result carries no noise."""
        return 0.0

    @property
    def error_bound(self) -> float:
        """Largest error of a sum: the rounding of its values."""
        return self.weight_bound * 0.5**self.fraction_bits / 2

    def operand_shape(self, side: str) -> tuple[int, int, int, int, int]:
        """Shape (1, polynomials, 2, L, N) of the words of an encrypted vector."""
        return (1, self.polynomials, 2, self.level, self.parameters.ring_degree)

    @property
    def result_bytes(self) -> int:
        """Bytes of the encrypted sum on the wire, without its header."""
        return self.operand_bytes(LEFT)

    def matrix_shape(self, side: str) -> tuple[int]:
        """Shape (values,) of a vector in clear."""
        return (self.values,)

    def checked(self, side: str, matrix: Float, first: int = 0) -> Float:
        """Check a vector and return its fixed-point value; raises InvalidInput."""
        return np.ldexp(self.rounded(matrix, first).astype(np.float64), -self.fraction_bits)

    @property
    def encrypted_sides(self) -> tuple[str, ...]:
        """Vectors have one side."""
        return (LEFT,)

    def stripes(self, side: str) -> Stripes:
        """As many values as a polynomial holds."""
        return Stripes(self.values, self.digits * self.parameters.ring_degree, 0, 1)

    def encode(self, side: str, matrix: Float, first: int = 0) -> Words:
        """Round a vector to fixed point and lay it out: uint32 NTT values (1, polynomials, L, N).

        Parameters
        ----------
        side : {"left"}
        matrix : float64 array
            The vector, or whole stripes of it from number `first` on.

        Raises
        ------
        InvalidInput
            If the vector has another length, is not finite or exceeds the bound.
        """
        integers = self.rounded(matrix, first)
        polynomials = self.stripes(side).within(len(integers))
        padded = np.zeros(polynomials * self.digits * self.parameters.ring_degree, dtype=np.int64)
        padded[: len(integers)] = integers
        digits = padded.reshape(polynomials, self.digits, self.parameters.ring_degree)
        words = np.empty((1, polynomials, self.level, self.parameters.ring_degree), dtype=np.uint32)
        for index, prime in enumerate(self.primes):
            total = np.zeros((polynomials, self.parameters.ring_degree), dtype=np.int64)
            for position in range(self.digits):
                shift = pow(2, self.noise_bits + position * self.digit_bits, prime)
                total += digits[:, position] % prime * shift % prime
            total %= prime
            total[total > prime // 2] -= prime
            transform = ntt.transform(self.parameters.ring_degree, prime)
            words[0, :, index] = to_words(transform.forward(total.astype(np.float64)), prime)
        return words

    def rounded(self, vector: Float, first: int = 0) -> NDArray[np.int64]:
        """Check a vector and return it in units of ``2 ** -fraction_bits``.

        Raises
        ------
        InvalidInput
            If the vector has another length, is not finite or exceeds the bound.
        """
        self.stripes(LEFT).check_piece(vector.shape, (self.values,), first)
        if not np.isfinite(vector).all():
            raise InvalidInput("a vector is not finite")
        largest = float(np.abs(vector).max())
        if largest > self.value_bound * (1 + 1e-9):
            raise InvalidInput(
                "a value exceeds the plan's bound", got=f"{largest:.6g}", expected=self.value_bound
            )
        return np.rint(np.ldexp(vector, self.fraction_bits)).astype(np.int64)

    def decode(self, residue_digits: Sequence[NDArray[np.int64]], first: int = 0) -> Float:
        """Read the sum from balanced mixed-radix digits of shape (polynomials, N).

        Returns
        -------
        float64 array, shape (values,)
            Or the values of the polynomials from number `first` on.
        """
        # Half a unit rounds the noise away, and half a digit's range makes every digit positive.
        offset = 1 << (self.noise_bits - 1)
        for position in range(self.digits):
            offset += 1 << (self.noise_bits + (position + 1) * self.digit_bits - 1)
        limbs = limbs_of(residue_digits, self.primes, offset)
        sums = np.stack(
            [
                bits_of(limbs, self.noise_bits + position * self.digit_bits, self.digit_bits)
                for position in range(self.digits)
            ]
        ) - (1 << (self.digit_bits - 1))
        shape = (self.digits, *residue_digits[0].shape)
        ordered = sums.reshape(shape).transpose(1, 0, 2).reshape(-1)
        ordered = ordered[: self.values - first * self.stripes(LEFT).entries]
        return np.ldexp(ordered.astype(np.float64), -self.fraction_bits)
