"""Exact encrypted sums of fixed-point vectors, several values to a coefficient.

A sum needs no products, so its message can stand above the noise instead of in it: value j of a
coefficient is the digit at bit ``t + j w``, where ``2^(t-1)`` exceeds the worst-case noise of the
sum and w holds the largest sum. Rounding removes the noise completely, as BFV decryption does, and
what is released is an exact function of the inputs; it carries no noise for the attack of Li and
Micciancio to use, so a sum needs no flooding.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hecf.errors import InvalidInput, Mismatch, ParameterError
from hecf.he import ntt
from hecf.he.matrices import EncryptedMatrix
from hecf.he.modular import Float, Words, to_words
from hecf.he.parameters import (
    DATA_PRIME_BITS,
    MODULUS_BITS_128,
    SPECIAL_PRIME_BITS,
    ParameterSet,
)
from hecf.he.plan import LEFT, WORD_BYTES, OperandPlan

SUM = "sum"
RING_DEGREES = (4096, 8192, 16384)
LIMB_BITS = 24
LARGEST_DIGIT_BITS = 38
"""Digits stay below the width of three limbs when they are read, with their neighbours' bits."""


@dataclass(frozen=True)
class SumPlan:
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

    scheme: str
    values: int
    summands: int
    weight_bound: int
    value_bound: float
    fraction_bits: int
    parameters: ParameterSet
    level: int

    def __post_init__(self) -> None:
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
        if not 1 <= self.level <= len(self.parameters.primes):
            raise ParameterError(
                "a plan's level is out of range",
                got=self.level,
                expected=f"1 to {len(self.parameters.primes)}",
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
    def operation(self) -> str:
        """The operation's name."""
        return SUM

    @property
    def primes(self) -> tuple[int, ...]:
        """Primes of the ciphertexts, length L."""
        return self.parameters.primes[: self.level]

    @cached_property
    def modulus(self) -> int:
        """Product of the primes of the ciphertexts."""
        return math.prod(self.primes)

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

    def operand_bytes(self, side: str) -> int:
        """Bytes of an encrypted vector on the wire, without its header."""
        return WORD_BYTES * math.prod(self.operand_shape(side))

    @property
    def result_bytes(self) -> int:
        """Bytes of the encrypted sum on the wire, without its header."""
        return self.operand_bytes(LEFT)

    def matrix_shape(self, side: str) -> tuple[int]:
        """Shape (values,) of a vector in clear."""
        return (self.values,)

    def checked(self, side: str, vector: Float) -> Float:
        """Check a vector and return its fixed-point value; raises InvalidInput."""
        return np.ldexp(self.rounded(vector).astype(np.float64), -self.fraction_bits)

    def encode(self, side: str, vector: Float) -> Words:
        """Round a vector to fixed point and lay it out: uint32 NTT values (1, polynomials, L, N).

        Raises
        ------
        InvalidInput
            If the vector has another length, is not finite or exceeds the bound.
        """
        integers = self.rounded(vector)
        slots = self.polynomials * self.digits * self.parameters.ring_degree
        padded = np.zeros(slots, dtype=np.int64)
        padded[: self.values] = integers
        digits = padded.reshape(self.polynomials, self.digits, self.parameters.ring_degree)
        words = np.empty((1, self.polynomials, *self.operand_shape(side)[3:]), dtype=np.uint32)
        for index, prime in enumerate(self.primes):
            total = np.zeros((self.polynomials, self.parameters.ring_degree), dtype=np.int64)
            for position in range(self.digits):
                shift = pow(2, self.noise_bits + position * self.digit_bits, prime)
                total += digits[:, position] % prime * shift % prime
            total %= prime
            total[total > prime // 2] -= prime
            transform = ntt.transform(self.parameters.ring_degree, prime)
            words[0, :, index] = to_words(transform.forward(total.astype(np.float64)), prime)
        return words

    def rounded(self, vector: Float) -> NDArray[np.int64]:
        """Check a vector and return it in units of ``2 ** -fraction_bits``.

        Raises
        ------
        InvalidInput
            If the vector has another length, is not finite or exceeds the bound.
        """
        if vector.shape != (self.values,):
            raise InvalidInput(
                "a vector has another length", got=vector.shape, expected=(self.values,)
            )
        if not np.isfinite(vector).all():
            raise InvalidInput("a vector is not finite")
        largest = float(np.abs(vector).max())
        if largest > self.value_bound * (1 + 1e-9):
            raise InvalidInput(
                "a value exceeds the plan's bound", got=f"{largest:.6g}", expected=self.value_bound
            )
        return np.rint(np.ldexp(vector, self.fraction_bits)).astype(np.int64)

    def decode(self, residue_digits: Sequence[NDArray[np.int64]]) -> Float:
        """Read the sum from balanced mixed-radix digits of shape (polynomials, N).

        Returns
        -------
        float64 array, shape (values,)
        """
        # Half a unit rounds the noise away, and half a digit's range makes every digit positive.
        offset = 1 << (self.noise_bits - 1)
        for position in range(self.digits):
            offset += 1 << (self.noise_bits + (position + 1) * self.digit_bits - 1)
        limbs = _limbs(residue_digits, self.primes, offset)
        sums = np.stack(
            [
                _bits(limbs, self.noise_bits + position * self.digit_bits, self.digit_bits)
                for position in range(self.digits)
            ]
        ) - (1 << (self.digit_bits - 1))
        shape = (self.digits, self.polynomials, self.parameters.ring_degree)
        ordered = sums.reshape(shape).transpose(1, 0, 2).reshape(-1)[: self.values]
        return np.ldexp(ordered.astype(np.float64), -self.fraction_bits)

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 over every field, 32 bytes."""
        fields = (
            self.scheme,
            self.values,
            self.summands,
            self.weight_bound,
            float(self.value_bound).hex(),
            self.fraction_bits,
            self.parameters.fingerprint.hex(),
            self.level,
        )
        return hashlib.sha256(repr(("hecf sum plan 1", *fields)).encode()).digest()


def plan_sum(
    *,
    scheme: str,
    values: int,
    summands: int,
    value_bound: float,
    precision: float,
    weight_bound: int | None = None,
    parameters: ParameterSet | None = None,
) -> SumPlan:
    """Plan the sum of vectors, by the fewest bytes.

    Parameters
    ----------
    scheme : {"ckks", "clear"}
    values, summands : int
    value_bound : float
        Largest absolute value of a vector.
    precision : float
        Largest error of a value's rounding; the sum of the rounded values is exact.
    weight_bound : int, optional
        Sum of the absolute integer weights; the number of summands by default.
    parameters : ParameterSet, optional
        Parameters of an existing key.

    Raises
    ------
    ParameterError
        If nothing in the security table has room.
    """
    if not 0 < precision < math.inf:
        raise ParameterError("a precision is out of range", got=precision, expected="positive")
    fraction_bits = max(0, math.ceil(-math.log2(2 * precision)))
    weights = summands if weight_bound is None else weight_bound
    best: SumPlan | None = None
    for chosen, level in _candidates(parameters):
        try:
            plan = SumPlan(
                scheme, values, summands, weights, value_bound, fraction_bits, chosen, level
            )
        except ParameterError as error:
            refusal = error
            continue
        if best is None or plan.result_bytes < best.result_bytes:
            best = plan
    if best is None:
        raise refusal
    return best


def _candidates(parameters: ParameterSet | None) -> Iterator[tuple[ParameterSet, int]]:
    if parameters is not None:
        yield from ((parameters, level) for level in range(1, len(parameters.primes) + 1))
        return
    for degree in RING_DEGREES:
        room = MODULUS_BITS_128[degree] - SPECIAL_PRIME_BITS
        for count in range(1, room // DATA_PRIME_BITS + 1):
            yield ParameterSet.with_data_primes(degree, count), count


def weighted_sum(
    plan: SumPlan, operands: Sequence[EncryptedMatrix], weights: Sequence[int] | None = None
) -> EncryptedMatrix:
    """Add encrypted vectors with small integer weights, modulo each prime.

    Raises
    ------
    Mismatch
        If an operand belongs to another plan, their number is another, or the weights exceed the
        plan's bound.
    """
    factors = check_sum(plan, [operand.plan for operand in operands], weights)
    total = np.zeros(plan.operand_shape(LEFT), dtype=np.uint64)
    for operand, factor in zip(operands, factors, strict=True):
        for index, prime in enumerate(plan.primes):
            # Below 2^24 times 2^24; the running sum is reduced before it could reach 2^64.
            total[..., index, :] += operand.words[..., index, :] * np.uint64(factor % prime)
            if abs(factor) != 1 or factor < 0:
                total[..., index, :] %= prime
    for index, prime in enumerate(plan.primes):
        total[..., index, :] %= prime
    return EncryptedMatrix(plan, LEFT, total.astype(np.uint32))


def check_sum(
    plan: SumPlan, plans: Sequence[OperandPlan], weights: Sequence[int] | None
) -> list[int]:
    """Check the operands' plans and the weights of a sum, and return the weights.

    Raises
    ------
    Mismatch
        If an operand belongs to another plan, their number is another, or the weights exceed the
        plan's bound.
    """
    factors = [1] * len(plans) if weights is None else list(weights)
    if len(plans) != plan.summands or len(factors) != plan.summands:
        raise Mismatch(
            "a sum has another number of summands",
            got=(len(plans), len(factors)),
            expected=plan.summands,
        )
    if sum(abs(factor) for factor in factors) > plan.weight_bound:
        raise Mismatch(
            "the weights exceed the plan's bound",
            got=sum(abs(factor) for factor in factors),
            expected=plan.weight_bound,
        )
    if any(other.fingerprint != plan.fingerprint for other in plans):
        raise Mismatch("an operand belongs to another plan")
    return factors


def _limbs(
    residue_digits: Sequence[NDArray[np.int64]], primes: Sequence[int], offset: int
) -> NDArray[np.int64]:
    """Binary limbs, lowest first, of mixed-radix integers plus an offset that makes them positive.

    Products of a 24-bit digit and a limb of a radix stay below 2**48, and at most a few dozen are
    added, so int64 holds them until the carries are taken.
    """
    count = -(-(math.prod(primes).bit_length() + 1) // LIMB_BITS)
    limbs = np.empty((count, *residue_digits[0].shape), dtype=np.int64)
    radices = [math.prod(primes[:index]) for index in range(len(primes))]
    carry = np.zeros(residue_digits[0].shape, dtype=np.int64)
    mask = (1 << LIMB_BITS) - 1
    for position in range(count):
        shift = position * LIMB_BITS
        total = carry + ((offset >> shift) & mask)
        for digit, radix in zip(residue_digits, radices, strict=True):
            total += digit * ((radix >> shift) & mask)
        limbs[position] = total & mask
        carry = total >> LIMB_BITS
    return limbs


def _bits(limbs: NDArray[np.int64], start: int, width: int) -> NDArray[np.int64]:
    """Bits ``start`` to ``start + width`` of every integer, at most 38 of them."""
    out = np.zeros(limbs.shape[1:], dtype=np.int64)
    first, skip = divmod(start, LIMB_BITS)
    for index in range(first, min(len(limbs), -(-(start + width) // LIMB_BITS))):
        place = (index - first) * LIMB_BITS - skip
        out |= limbs[index] >> -place if place < 0 else limbs[index] << place
    return out & ((1 << width) - 1)
