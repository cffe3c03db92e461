"""What the plans of all encrypted operations have in common.

A plan fixes everything of one operation: shapes, layout, parameters, scales, and worst-case bounds
on noise and error. It is made once, checked when it is made, and its fingerprint stands in every
message.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecf.errors import Mismatch, ParameterError
from hecf.he.modular import Float, Words, reduce_centred, residues
from hecf.he.parameters import ParameterSet
from hecf.he.stripes import Stripes

SCHEMES = ("ckks", "clear")
LEFT = "left"
RIGHT = "right"

WORD_BYTES = 3
"""Bytes of one residue modulo a 24-bit prime on the wire."""

LARGEST_SCALE_BITS = 100
MANTISSA_BITS = 61
"""Values are rounded to this many bits at most, which fit a signed 64-bit integer; the rest of a
scale is a power of two that is multiplied in modulo each prime."""


@dataclass(frozen=True, kw_only=True)
class OperandPlan(ABC):
    """Key, primes and shapes of an operation on encrypted operands.

    Parameters
    ----------
    scheme : {"ckks", "clear"}
    operation : str
        Name of the operation.
    parameters : ParameterSet
        Ring and primes of the key.
    level : int
        How many of the data primes, from the first, the ciphertexts keep.

    Raises
    ------
    ParameterError
        If a field is out of its range.
    """

    scheme: str
    operation: str
    parameters: ParameterSet
    level: int

    def __post_init__(self) -> None:
        check_scheme_name(self.scheme)
        if not 1 <= self.level <= len(self.parameters.primes):
            raise ParameterError(
                "a plan's level is out of range",
                got=self.level,
                expected=f"1 to {len(self.parameters.primes)}",
            )

    @cached_property
    def primes(self) -> tuple[int, ...]:
        """Primes of the ciphertexts, length L."""
        return self.parameters.primes[: self.level]

    @cached_property
    def modulus(self) -> int:
        """Product of the primes of the ciphertexts."""
        return math.prod(self.primes)

    @property
    @abstractmethod
    def flooding(self) -> float:
        """Standard deviation of the noise a release adds, in units of the result."""

    @property
    @abstractmethod
    def error_bound(self) -> float:
        """Largest error of a decrypted result before flooding, in units of the result."""

    @property
    @abstractmethod
    def result_bytes(self) -> int:
        """Bytes of the words of the encrypted result on the wire."""

    @abstractmethod
    def operand_shape(self, side: str) -> tuple[int, ...]:
        """Shape of the words of an encrypted operand."""

    @abstractmethod
    def matrix_shape(self, side: str) -> tuple[int, ...]:
        """Shape of an operand in clear."""

    @abstractmethod
    def checked(self, side: str, matrix: Float, first: int = 0) -> Float:
        """Check an operand against the bounds and return what its encoding stands for."""

    @abstractmethod
    def encode(self, side: str, matrix: Float, first: int = 0) -> Words:
        """Check whole stripes of an operand, from `first` on, and lay them out as words."""

    @property
    def encrypted_sides(self) -> tuple[str, ...]:
        """The operands that travel encrypted."""
        return (LEFT, RIGHT)

    @abstractmethod
    def stripes(self, side: str) -> Stripes:
        """How an operand is cut into pieces that stream."""

    def check_running(self, piece: Float, earlier: Float | None) -> Float | None:
        """Check a bound that all pieces of an operand share.

        Parameters
        ----------
        piece : float64 array
        earlier : float64 array or None
            What the check of the piece before returned.

        Raises
        ------
        InvalidInput
        """
        return earlier

    def block_shape(self, side: str, count: int) -> tuple[int, ...]:
        """Shape of the words of so many stripes of an encrypted operand."""
        shape = list(self.operand_shape(side))
        shape[self.stripes(side).word_axis] = count
        return tuple(shape)

    def block_words(self, side: str, first: int, count: int) -> int:
        """Words of some stripes of an encrypted operand."""
        return math.prod(self.block_shape(side, count))

    def operand_bytes(self, side: str) -> int:
        """Bytes of one encrypted operand on the wire, without its header."""
        return WORD_BYTES * self.block_words(side, 0, self.stripes(side).count)

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 over every field, 32 bytes; parties compare it before they parse words."""
        return fingerprint(self)


@dataclass(frozen=True, kw_only=True)
class ScaledPlan(OperandPlan):
    """A plan of a product: scales of its two operands, and bounds that follow from its noise.

    Parameters
    ----------
    left_scale_bits, right_scale_bits : int
        Binary logarithms of the scales of A and B.
    statistical_bits, releases : int
        s and tau of the flooding noise.

    Raises
    ------
    ParameterError
        If a scale is out of range.
    """

    left_scale_bits: int
    right_scale_bits: int
    statistical_bits: int
    releases: int

    def __post_init__(self) -> None:
        super().__post_init__()
        scales = (self.left_scale_bits, self.right_scale_bits)
        if min(scales) < 1 or max(scales) > LARGEST_SCALE_BITS:
            raise ParameterError(
                "a scale is out of range",
                got=f"2^{scales}",
                expected=f"2^1 to 2^{LARGEST_SCALE_BITS}",
            )

    @property
    def scale(self) -> float:
        """Factor between a result and its integer under encryption."""
        return math.ldexp(1.0, self.left_scale_bits + self.right_scale_bits)

    def scale_bits(self, side: str) -> int:
        """Binary logarithm of one operand's scale."""
        return self.left_scale_bits if side == LEFT else self.right_scale_bits

    def scaled(self, side: str, matrix: Float) -> NDArray[np.int64]:
        """Round an operand at its scale, or at 2^61 if that is smaller."""
        return np.rint(np.ldexp(matrix, min(self.scale_bits(side), MANTISSA_BITS))).astype(np.int64)

    def residues(self, side: str, integers: NDArray[np.int64]) -> Float:
        """Centred residues (..., L, N) of what :meth:`scaled` returned, at the full scale."""
        values = residues(integers, self.primes)
        excess = self.scale_bits(side) - MANTISSA_BITS
        if excess > 0:
            # The part of the scale that int64 has no room for is an exact factor.
            for index, prime in enumerate(self.primes):
                factor = pow(2, excess, prime)
                scaled = values[..., index, :] * float(
                    factor if factor <= prime // 2 else factor - prime
                )
                values[..., index, :] = reduce_centred(scaled, prime)
        return values

    @property
    @abstractmethod
    def noise_bound(self) -> int:
        """Largest absolute noise of a result, as an integer under encryption."""

    @property
    @abstractmethod
    def rounding_bound(self) -> int:
        """Largest error of a result that rounding to the scales causes, as an integer."""

    @property
    @abstractmethod
    def exact_bound(self) -> int:
        """Largest absolute result at the scales, were it computed without any error."""

    @property
    @abstractmethod
    def revealed(self) -> int:
        """Coefficients that one decryption reveals together."""

    @cached_property
    def result_bound(self) -> int:
        """Largest absolute integer that a decrypted useful coefficient can be."""
        # The checks of operands and items allow a relative 1e-9 each, together below 2^-28.
        slack = (self.exact_bound >> 28) + 1
        return self.exact_bound + slack + self.rounding_bound + self.noise_bound

    @property
    def flooding(self) -> float:
        """Standard deviation of the noise a release adds, in units of the result.

        ``sqrt(12 tau) 2^(s/2)`` times the worst-case noise (Li, Micciancio, Schultz and Sorrell,
        CRYPTO 2022, section 4; worst case after Guo et al., USENIX Security 2024). The theorem
        is about the Euclidean norm of all that one decryption reveals, so the bound of one
        coefficient is multiplied by the root of their number, and tau counts ciphertexts.
        """
        if self.scheme == "clear":
            return 0.0
        factor = math.sqrt(12 * self.releases) * 2 ** (self.statistical_bits / 2)
        return factor * math.sqrt(self.revealed) * (self.noise_bound / self.scale)

    @property
    def error_bound(self) -> float:
        """Largest error of a decrypted result before flooding, in units of the result."""
        return (self.noise_bound + self.rounding_bound) / self.scale

    @property
    def grid_bits(self) -> int:
        """Released values are rounded to multiples of ``2 ** -grid_bits``."""
        if self.flooding == 0:
            return 40
        return max(1, math.ceil(-math.log2(self.flooding)) + 1)

    def check_overflow(self) -> None:
        """Refuse scales at which the result could wrap around the modulus.

        Raises
        ------
        ParameterError
        """
        if self.result_bound >= self.modulus // 2:
            raise ParameterError(
                "the result could exceed the modulus",
                got=f"{self.result_bound.bit_length() + 1} bits",
                expected=f"less than {self.modulus.bit_length()}",
            )


def fingerprint(plan: Any) -> bytes:
    """SHA-256 over the name of a plan's class and every field, 32 bytes."""
    return hashlib.sha256(f"hecf plan 2 {_text(plan)}".encode()).digest()


def _text(value: Any) -> str:
    """Write a value without ambiguity; parameters stand as their own fingerprint."""
    if isinstance(value, ParameterSet):
        return value.fingerprint.hex()
    if is_dataclass(value):
        parts = (f"{field.name}={_text(getattr(value, field.name))}" for field in fields(value))
        return f"{type(value).__name__}({', '.join(parts)})"
    return float(value).hex() if isinstance(value, float) else repr(value)


def unit(scale_bits: int) -> int:
    """Return the smallest step of a value at a scale, as an integer under encryption."""
    return 1 << max(0, scale_bits - MANTISSA_BITS)


def check_scheme_name(scheme: str) -> None:
    """Refuse a scheme that does not exist.

    Raises
    ------
    ParameterError
    """
    if scheme not in SCHEMES:
        raise ParameterError("unknown scheme", got=scheme, expected=" or ".join(SCHEMES))


def check_scheme(plan: OperandPlan, scheme: str) -> None:
    """Refuse a plan of another scheme.

    Raises
    ------
    Mismatch
    """
    if plan.scheme != scheme:
        raise Mismatch("the plan is for another scheme", got=plan.scheme, expected=scheme)


def check_parameters(plan: OperandPlan, parameters: ParameterSet) -> None:
    """Refuse a plan that was made for another key or another scheme than CKKS.

    A plan of the clear scheme has no flooding noise, so a release under it would be exact.

    Raises
    ------
    Mismatch
    """
    check_scheme(plan, "ckks")
    check_key(plan.parameters, parameters)


def check_key(planned: ParameterSet, parameters: ParameterSet) -> None:
    """Refuse parameters that are not those of the key.

    Raises
    ------
    Mismatch
    """
    if planned != parameters:
        raise Mismatch(
            "the plan has other parameters than the key",
            got=planned.fingerprint.hex()[:16],
            expected=parameters.fingerprint.hex()[:16],
        )
