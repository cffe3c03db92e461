"""A plan: everything that fixes one encrypted matrix product, with its worst-case bounds.

Both operations are ``C = A' B``. For ``gram`` the columns of A and B are encrypted and have
Euclidean norm at most 1. For ``score`` A holds encrypted shopper embeddings, one a column, summed
over `summands` retailers; B is a plaintext item matrix whose columns have 1-norm at most 1, plus a
bias of at most 1.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from hecf.errors import InvalidInput, Mismatch, ParameterError
from hecf.he import ntt
from hecf.he.modular import Float, Words, reduce_centred, residues, to_words
from hecf.he.packing import ProductPacking
from hecf.he.parameters import ParameterSet

SCHEMES = ("ckks", "clear")
GRAM = "gram"
SCORE = "score"
OPERATIONS = (GRAM, SCORE)
LEFT = "left"
RIGHT = "right"

LARGEST_SCALE_BITS = 100
MANTISSA_BITS = 61
"""Values are rounded to this many bits at most, which fit a signed 64-bit integer; the rest of a
scale is a power of two that is multiplied in modulo each prime."""


def _unit(scale_bits: int) -> int:
    """Smallest step of a value at a scale, as an integer under encryption."""
    return 1 << max(0, scale_bits - MANTISSA_BITS)


class OperandPlan(Protocol):
    """What every plan says of an encrypted operand."""

    @property
    def scheme(self) -> str:
        """Name of the scheme."""
        ...

    @property
    def parameters(self) -> ParameterSet:
        """Ring and primes of the key."""
        ...

    @property
    def level(self) -> int:
        """How many of the data primes are kept."""
        ...

    @property
    def primes(self) -> tuple[int, ...]:
        """Primes of the ciphertexts."""
        ...

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 over every field."""
        ...

    def operand_shape(self, side: str) -> tuple[int, int, int, int, int]:
        """Shape (groups, blocks, 2, L, N) of an operand's words."""
        ...

    def operand_bytes(self, side: str) -> int:
        """Bytes of an operand on the wire, without its header."""
        ...

    def matrix_shape(self, side: str) -> tuple[int, ...]:
        """Shape of an operand in clear."""
        ...

    def checked(self, side: str, matrix: Float) -> Float:
        """Check an operand against the bounds and return what its encoding stands for."""
        ...

    def encode(self, side: str, matrix: Float) -> Words:
        """Check and lay out an operand: uint32 NTT values (groups, blocks, L, N)."""
        ...


@dataclass(frozen=True)
class ProductPlan:
    """Layout, parameters, scales and bounds of one encrypted product.

    Parameters
    ----------
    scheme : {"ckks", "clear"}
    operation : {"gram", "score"}
    inner, left, right : int
        K, I and J: A is (K, I), B is (K, J).
    parameters : ParameterSet
        Ring and primes of the key.
    level : int
        How many of the data primes, from the first, the ciphertexts keep.
    packing : ProductPacking
    left_scale_bits, right_scale_bits : int
        Binary logarithms of the scales of A and B.
    summands : int
        Encrypted A matrices that are added up before the product.
    operand_bound : float
        Largest absolute entry of one encrypted operand of a score, or norm of a column under a
        Gram block, which must be 1; the encryptor refuses more.
    statistical_bits, releases : int
        s and tau of the flooding noise.

    Raises
    ------
    ParameterError
        If the result could wrap around the modulus, or a field is out of its range.
    """

    scheme: str
    operation: str
    inner: int
    left: int
    right: int
    parameters: ParameterSet
    level: int
    packing: ProductPacking
    left_scale_bits: int
    right_scale_bits: int
    summands: int
    operand_bound: float
    statistical_bits: int
    releases: int

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise ParameterError("unknown operation", got=self.operation, expected=OPERATIONS)
        check_request(
            self.scheme,
            (self.inner, self.left, self.right, self.summands),
            self.operand_bound,
            self.statistical_bits,
            self.releases,
        )
        if self.operation == GRAM and (self.summands, self.operand_bound) != (1, 1.0):
            # The bounds of a Gram block hold for one operand a side with columns of norm 1.
            raise ParameterError(
                "a Gram block has another sum or bound",
                got=(self.summands, self.operand_bound),
                expected=(1, 1.0),
            )
        if self.packing.ring_degree != self.parameters.ring_degree:
            raise ParameterError(
                "the packing belongs to another ring",
                got=self.packing.ring_degree,
                expected=self.parameters.ring_degree,
            )
        if not 1 <= self.level <= len(self.parameters.primes):
            raise ParameterError(
                "a plan's level is out of range",
                got=self.level,
                expected=f"1 to {len(self.parameters.primes)}",
            )
        scales = (self.left_scale_bits, self.right_scale_bits)
        if min(scales) < 1 or max(scales) > LARGEST_SCALE_BITS:
            raise ParameterError(
                "a scale is out of range",
                got=f"2^{scales}",
                expected=f"2^1 to 2^{LARGEST_SCALE_BITS}",
            )
        if self.result_bound >= self.modulus // 2:
            raise ParameterError(
                "the result could exceed the modulus",
                got=f"{self.result_bound.bit_length() + 1} bits",
                expected=f"less than {self.modulus.bit_length()}",
            )

    @property
    def primes(self) -> tuple[int, ...]:
        """Primes of the ciphertexts, length L."""
        return self.parameters.primes[: self.level]

    @property
    def modulus(self) -> int:
        """Product of the primes of the ciphertexts."""
        return math.prod(self.primes)

    @property
    def scale(self) -> float:
        """Factor between a result and its integer under encryption."""
        return math.ldexp(1.0, self.left_scale_bits + self.right_scale_bits)

    @cached_property
    def noise_bound(self) -> int:
        """Largest absolute noise of a result, as an integer under encryption."""
        fresh = self.parameters.fresh_noise_bound
        left, right = 1 << self.left_scale_bits, 1 << self.right_scale_bits
        degree, m, n = self.parameters.ring_degree, self.packing.left, self.packing.right
        if self.operation == GRAM:
            # A column of norm 1 has 1-norm at most sqrt(K); rounding adds at most 1/2 an entry.
            root = math.isqrt(self.inner) + 1
            left_norm = m * (left * root + self.inner * _unit(self.left_scale_bits))
            right_norm = n * (right * root + self.inner * _unit(self.right_scale_bits))
            squares = self.packing.blocks(self.inner) * degree * fresh * fresh
            noise = fresh * (left_norm + right_norm) + squares
        else:
            noise = self.summands * fresh * n * (right + self.inner)
        return noise + self.parameters.zero_noise_bound

    @cached_property
    def rounding_bound(self) -> int:
        """Largest error of a result that rounding to the scales causes, as an integer."""
        left, right = 1 << self.left_scale_bits, 1 << self.right_scale_bits
        left_unit, right_unit = _unit(self.left_scale_bits), _unit(self.right_scale_bits)
        if self.operation == GRAM:
            root = math.isqrt(self.inner) + 1
            crossed = (left * right_unit + right * left_unit) * root // 2
            return crossed + self.inner * left_unit * right_unit
        bound = math.ceil(self.summands * self.operand_bound) * left
        items = self.inner * (bound * right_unit + self.summands * left_unit * right_unit)
        return items + (self.summands + 1) * right * left_unit + 1

    @cached_property
    def result_bound(self) -> int:
        """Largest absolute integer that a decrypted useful coefficient can be."""
        exact = 1 << (self.left_scale_bits + self.right_scale_bits)
        if self.operation == SCORE:
            exact *= math.ceil(self.summands * self.operand_bound) + 1
        # The checks of operands and items allow a relative 1e-9 each, together below 2^-28.
        return exact + (exact >> 28) + 1 + self.rounding_bound + self.noise_bound

    @property
    def flooding(self) -> float:
        """Standard deviation of the noise a release adds, in units of the result.

        ``sqrt(12 tau) 2^(s/2)`` times the worst-case noise (Li, Micciancio, Schultz and Sorrell,
        CRYPTO 2022, section 4; worst case after Guo et al., USENIX Security 2024). The theorem
        is about the Euclidean norm of all that one decryption reveals, so the bound of one
        coefficient is multiplied by the root of their number m n, and tau counts ciphertexts.
        """
        if self.scheme == "clear":
            return 0.0
        factor = math.sqrt(12 * self.releases) * 2 ** (self.statistical_bits / 2)
        revealed = math.sqrt(self.packing.left * self.packing.right)
        return factor * revealed * (self.noise_bound / self.scale)

    @property
    def error_bound(self) -> float:
        """Largest error of a decrypted result before flooding, in units of the result."""
        return (self.noise_bound + self.rounding_bound) / self.scale

    @property
    def grid_bits(self) -> int:
        """Released values are rounded to multiples of ``2 ** -grid_bits``."""
        return 40 if self.scheme == "clear" else max(1, math.ceil(-math.log2(self.flooding)) + 1)

    def matrix_shape(self, side: str) -> tuple[int, int]:
        """Shape (K, I) or (K, J) of an operand in clear."""
        return (self.inner, self.left if side == LEFT else self.right)

    def checked(self, side: str, matrix: Float) -> Float:
        """Check an operand against shape and bounds and return it; raises InvalidInput."""
        check_operand(self, side, matrix)
        return matrix.astype(np.float64)

    def encode(self, side: str, matrix: Float) -> Words:
        """Scale an operand to integers and lay it out: uint32 NTT values (groups, blocks, L, N).

        Raises
        ------
        InvalidInput
            If the matrix has another shape, is not finite or exceeds the plan's bound.
        """
        check_operand(self, side, matrix)
        bits = self.left_scale_bits if side == LEFT else self.right_scale_bits
        integers = np.rint(np.ldexp(matrix, min(bits, MANTISSA_BITS))).astype(np.int64)
        pack = self.packing.pack_left if side == LEFT else self.packing.pack_right
        values = ntt.forward(self.primes, residues(pack(integers), self.primes))
        words = np.empty(values.shape, dtype=np.uint32)
        for index, prime in enumerate(self.primes):
            # The part of the scale that int64 has no room for is an exact factor.
            factor = pow(2, bits - min(bits, MANTISSA_BITS), prime)
            scaled = values[..., index, :] * float(
                factor if factor <= prime // 2 else factor - prime
            )
            words[..., index, :] = to_words(reduce_centred(scaled, prime), prime)
        return words

    def operand_shape(self, side: str) -> tuple[int, int, int, int, int]:
        """Shape (groups, blocks, 2, L, N) of the ciphertext words of an encrypted operand."""
        groups = (
            self.packing.left_groups(self.left)
            if side == LEFT
            else self.packing.right_groups(self.right)
        )
        blocks = self.packing.blocks(self.inner)
        return (groups, blocks, 2, self.level, self.parameters.ring_degree)

    @property
    def constant_shape(self) -> tuple[int, int, int, int]:
        """Shape (left groups, right groups, L, m n) of the useful coefficients of c_0."""
        groups = self.packing.left_groups(self.left), self.packing.right_groups(self.right)
        return (*groups, self.level, self.packing.left * self.packing.right)

    @property
    def tail_shape(self) -> tuple[int, int, int, int, int]:
        """Shape (left groups, right groups, c_1 to c_last, L, N) of the other components."""
        groups = self.packing.left_groups(self.left), self.packing.right_groups(self.right)
        components = 2 if self.operation == GRAM else 1
        return (*groups, components, self.level, self.parameters.ring_degree)

    def operand_bytes(self, side: str) -> int:
        """Bytes of one encrypted operand on the wire, without its header."""
        return WORD_BYTES * math.prod(self.operand_shape(side))

    @property
    def result_bytes(self) -> int:
        """Bytes of the encrypted result on the wire, without its header."""
        return WORD_BYTES * (math.prod(self.constant_shape) + math.prod(self.tail_shape))

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 over every field, 32 bytes; parties compare it before they parse words."""
        fields = (
            self.scheme,
            self.operation,
            self.inner,
            self.left,
            self.right,
            self.parameters.fingerprint.hex(),
            self.level,
            (self.packing.left, self.packing.inner, self.packing.right),
            self.left_scale_bits,
            self.right_scale_bits,
            self.summands,
            float(self.operand_bound).hex(),
            self.statistical_bits,
            self.releases,
        )
        return hashlib.sha256(repr(("hecf plan 1", *fields)).encode()).digest()


WORD_BYTES = 3
"""Bytes of one residue modulo a 24-bit prime on the wire."""


def check_request(
    scheme: str,
    sizes: tuple[int, ...],
    operand_bound: float,
    statistical_bits: int,
    releases: int,
) -> None:
    """Refuse what no plan can be made for, before any plan is tried.

    Raises
    ------
    ParameterError
        If the scheme is unknown, or a number is not positive and finite.
    """
    if scheme not in SCHEMES:
        raise ParameterError("unknown scheme", got=scheme, expected=" or ".join(SCHEMES))
    if min(sizes) < 1:
        raise ParameterError("a product needs positive sizes", got=sizes)
    if not 0 < operand_bound < math.inf:
        raise ParameterError(
            "an operand's bound is out of range", got=operand_bound, expected="a positive number"
        )
    if statistical_bits < 1 or releases < 1:
        # Zero of either would release an exact decryption.
        raise ParameterError(
            "the flooding noise would not flood",
            got=f"{statistical_bits} bits, {releases} releases",
            expected="at least 1 of both",
        )


def check_scheme(plan: OperandPlan, scheme: str) -> None:
    """Refuse a plan of another scheme.

    Raises
    ------
    Mismatch
    """
    if plan.scheme != scheme:
        raise Mismatch("the plan is for another scheme", got=plan.scheme, expected=scheme)


def check_item_model(plan: ProductPlan, items: Float, bias: Float) -> None:
    """Refuse an item matrix or bias that a score plan has no room for.

    Raises
    ------
    InvalidInput
        If a shape, a bound or a value is not as planned.
    """
    if items.shape != (plan.inner, plan.right):
        raise InvalidInput(
            "the item matrix has another shape", got=items.shape, expected=(plan.inner, plan.right)
        )
    if bias.shape != (plan.right,):
        raise InvalidInput("the bias has another shape", got=bias.shape, expected=(plan.right,))
    if not (np.isfinite(items).all() and np.isfinite(bias).all()):
        raise InvalidInput("the item matrix or bias is not finite")
    with np.errstate(over="ignore"):
        norm = float(np.abs(items).sum(axis=0).max())
    # A relative slack of 1e-9 allows for the caller's own normalisation in float64.
    if norm > 1 + 1e-9:
        raise InvalidInput(
            "an item column's 1-norm is too large", got=f"{norm:.6g}", expected="at most 1"
        )
    largest = float(np.abs(bias).max())
    if largest > 1:
        raise InvalidInput("a bias is too large", got=f"{largest:.6g}", expected="at most 1")


def check_operand(plan: ProductPlan, side: str, matrix: Float) -> None:
    """Refuse a matrix that the bounds of a plan do not cover, before it is encrypted.

    Raises
    ------
    InvalidInput
        If its shape, a value or a column's norm is not as planned.
    """
    shape = plan.matrix_shape(side)
    if matrix.shape != shape:
        raise InvalidInput("an operand has another shape", got=matrix.shape, expected=shape)
    if not np.isfinite(matrix).all():
        raise InvalidInput("an operand is not finite")
    if plan.operation == GRAM:
        with np.errstate(over="ignore"):
            largest = float(np.sqrt((matrix * matrix).sum(axis=0).max()))
        what = "a column's norm"
    else:
        largest = float(np.abs(matrix).max())
        what = "an entry"
    if largest > plan.operand_bound * (1 + 1e-9):
        raise InvalidInput(
            f"{what} exceeds the plan's bound", got=f"{largest:.6g}", expected=plan.operand_bound
        )
