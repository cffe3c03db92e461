"""A plan: everything that fixes one encrypted matrix product, with its worst-case bounds.

Every operation is ``C = A' B``. For ``gram`` the columns of A and B are encrypted and have
Euclidean norm at most 1, and so they are for ``similarity``, where they are the rows that are
compared. For ``score`` A holds encrypted shopper embeddings, one a column, summed
over `summands` retailers; B is a plaintext item matrix whose columns have 1-norm at most 1, plus a
bias of at most 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hecf.errors import InvalidInput, Mismatch, ParameterError
from hecf.he import ntt
from hecf.he.modular import Float, Words, to_words
from hecf.he.plan import LEFT, RIGHT, WORD_BYTES, OperandPlan, ScaledPlan, check_scheme_name, unit
from hecf.he.product.packing import ProductPacking
from hecf.he.stripes import Stripes

GRAM = "gram"
SCORE = "score"
SIMILARITY = "similarity"
OPERATIONS = (GRAM, SCORE, SIMILARITY)


@dataclass(frozen=True, kw_only=True)
class ProductPlan(ScaledPlan):
    """Layout, parameters, scales and bounds of one encrypted product.

    Parameters
    ----------
    scheme : {"ckks", "clear"}
    operation : {"gram", "score", "similarity"}
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
        Largest absolute entry of one encrypted operand of a score, or norm of a column of the
        other operations, which must be 1; the encryptor refuses more.
    statistical_bits, releases : int
        s and tau of the flooding noise.

    Raises
    ------
    ParameterError
        If the result could wrap around the modulus, or a field is out of its range.
    """

    inner: int
    left: int
    right: int
    packing: ProductPacking
    summands: int
    operand_bound: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.operation not in OPERATIONS:
            raise ParameterError("unknown operation", got=self.operation, expected=OPERATIONS)
        check_request(
            self.scheme,
            (self.inner, self.left, self.right, self.summands),
            self.operand_bound,
            self.statistical_bits,
            self.releases,
        )
        if self.operation != SCORE and (self.summands, self.operand_bound) != (1, 1.0):
            # The bounds of two encrypted operands hold for one a side with columns of norm 1.
            raise ParameterError(
                "a product of two encrypted operands has another sum or bound",
                got=(self.summands, self.operand_bound),
                expected=(1, 1.0),
            )
        if self.packing.ring_degree != self.parameters.ring_degree:
            raise ParameterError(
                "the packing belongs to another ring",
                got=self.packing.ring_degree,
                expected=self.parameters.ring_degree,
            )
        self.check_overflow()

    @cached_property
    def noise_bound(self) -> int:
        """Largest absolute noise of a result, as an integer under encryption."""
        fresh = self.parameters.fresh_noise_bound
        left, right = 1 << self.left_scale_bits, 1 << self.right_scale_bits
        degree, m, n = self.parameters.ring_degree, self.packing.left, self.packing.right
        if self.operation != SCORE:
            # A column of norm 1 has 1-norm at most sqrt(K); rounding adds at most 1/2 an entry.
            root = math.isqrt(self.inner) + 1
            left_norm = m * (left * root + self.inner * unit(self.left_scale_bits))
            right_norm = n * (right * root + self.inner * unit(self.right_scale_bits))
            squares = self.packing.blocks(self.inner) * degree * fresh * fresh
            noise = fresh * (left_norm + right_norm) + squares
        else:
            noise = self.summands * fresh * n * (right + self.inner)
        return noise + self.parameters.zero_noise_bound

    @cached_property
    def rounding_bound(self) -> int:
        """Largest error of a result that rounding to the scales causes, as an integer."""
        left, right = 1 << self.left_scale_bits, 1 << self.right_scale_bits
        left_unit, right_unit = unit(self.left_scale_bits), unit(self.right_scale_bits)
        if self.operation != SCORE:
            root = math.isqrt(self.inner) + 1
            crossed = (left * right_unit + right * left_unit) * root // 2
            return crossed + self.inner * left_unit * right_unit
        bound = math.ceil(self.summands * self.operand_bound) * left
        items = self.inner * (bound * right_unit + self.summands * left_unit * right_unit)
        return items + (self.summands + 1) * right * left_unit + 1

    @property
    def exact_bound(self) -> int:
        """Largest absolute result at the scales, were it computed without any error."""
        exact = 1 << (self.left_scale_bits + self.right_scale_bits)
        if self.operation == SCORE:
            exact *= math.ceil(self.summands * self.operand_bound) + 1
        return exact

    @property
    def revealed(self) -> int:
        """Coefficients m n that one decryption reveals together."""
        return self.packing.left * self.packing.right

    def matrix_shape(self, side: str) -> tuple[int, int]:
        """Shape (K, I) or (K, J) of an operand in clear."""
        return (self.inner, self.left if side == LEFT else self.right)

    def checked(self, side: str, matrix: Float, first: int = 0) -> Float:
        """Check an operand against shape and bounds and return it; raises InvalidInput."""
        check_operand(self, side, matrix, first)
        return matrix.astype(np.float64)

    @property
    def encrypted_sides(self) -> tuple[str, ...]:
        """Both, but for a score, the items of which are in clear."""
        return (LEFT,) if self.operation == SCORE else (LEFT, RIGHT)

    def stripes(self, side: str) -> Stripes:
        """Cut a score into groups of m shoppers (or n items), the others into u rows."""
        if self.operation != SCORE:
            return Stripes(self.inner, self.packing.inner, axis=0, word_axis=1)
        if side == LEFT:
            return Stripes(self.left, self.packing.left, axis=1, word_axis=0)
        return Stripes(self.right, self.packing.right, axis=1, word_axis=0)

    def check_running(self, piece: Float, earlier: Float | None) -> Float | None:
        """Check the norms of columns, whose squares the pieces add up to; a score has no bound."""
        if self.operation == SCORE:
            return None
        with np.errstate(over="ignore"):
            squares: Float = np.square(piece, dtype=np.float64).sum(axis=0)
        if earlier is not None:
            squares += earlier
        what = "a row's norm" if self.operation == SIMILARITY else "a column's norm"
        _check_bound(self, what, float(np.sqrt(squares.max())))
        return squares

    def encode(self, side: str, matrix: Float, first: int = 0) -> Words:
        """Scale an operand to integers and lay it out: uint32 NTT values (groups, blocks, L, N).

        Parameters
        ----------
        side : {"left", "right"}
        matrix : float64 array
            The operand, or whole stripes of it from number `first` on.

        Raises
        ------
        InvalidInput
            If the matrix has another shape, is not finite or exceeds the plan's bound.
        """
        check_operand(self, side, matrix, first)
        pack = self.packing.pack_left if side == LEFT else self.packing.pack_right
        values = ntt.forward(self.primes, self.residues(side, pack(self.scaled(side, matrix))))
        words = np.empty(values.shape, dtype=np.uint32)
        for index, prime in enumerate(self.primes):
            words[..., index, :] = to_words(values[..., index, :], prime)
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
        components = len(self.encrypted_sides)
        return (*groups, components, self.level, self.parameters.ring_degree)

    @property
    def weight_bound(self) -> int:
        """Largest sum of the absolute weights of the summands."""
        return self.summands

    @property
    def result_bytes(self) -> int:
        """Bytes of the encrypted result on the wire, without its header."""
        return WORD_BYTES * (math.prod(self.constant_shape) + math.prod(self.tail_shape))


def product_plan(plan: OperandPlan, *operations: str) -> ProductPlan:
    """Return a plan that is of one of some operations.

    Raises
    ------
    Mismatch
        If it is of another.
    """
    if not isinstance(plan, ProductPlan) or plan.operation not in operations:
        raise Mismatch(
            "the plan is for another operation",
            got=plan.operation,
            expected=" or ".join(operations),
        )
    return plan


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
    check_scheme_name(scheme)
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


def check_operand(plan: ProductPlan, side: str, matrix: Float, first: int = 0) -> None:
    """Refuse a matrix that the bounds of a plan do not cover, before it is encrypted.

    Raises
    ------
    InvalidInput
        If its shape, a value or a column's norm is not as planned.
    """
    plan.stripes(side).check_piece(matrix.shape, plan.matrix_shape(side), first)
    if not np.isfinite(matrix).all():
        raise InvalidInput("an operand is not finite")
    if plan.check_running(matrix, None) is None:
        _check_bound(plan, "an entry", float(np.abs(matrix).max()))


def _check_bound(plan: ProductPlan, what: str, largest: float) -> None:
    # A relative slack of 1e-9 allows for the caller's own normalisation in float64.
    if largest > plan.operand_bound * (1 + 1e-9):
        raise InvalidInput(
            f"{what} exceeds the plan's bound", got=f"{largest:.6g}", expected=plan.operand_bound
        )
