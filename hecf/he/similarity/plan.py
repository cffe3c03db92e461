"""The plan of an encrypted similarity ``A B'``: parameters, scales, worst-case bounds, shapes.

Row i of A is the coefficient of ``X ** i`` and row j of B that of ``Y ** j``; every column k is a
ciphertext of its own, ``(b_k(X), a_k(X))`` and ``(b'_k(Y), a'_k(Y))``. Summed over k, the products
are one bivariate ciphertext of four parts

    (b + s(X) a) (b' + s(Y) a') = bb' + s(X) ab' + s(Y) ba' + s(X) s(Y) aa'

whose coefficient at ``X ** i Y ** j`` is entry (i, j). No coefficient is wasted, and all four parts
together are one matrix product of the stacked words ``[a; b]`` of A by those of B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from hecf.errors import InvalidInput, Mismatch, ParameterError
from hecf.he.modular import Float, Words, to_words
from hecf.he.parameters import ERROR_BOUND
from hecf.he.plan import LEFT, RIGHT, WORD_BYTES, ScaledPlan, check_scheme_name, unit
from hecf.he.stripes import Stripes

SIMILARITY = "similarity"
SECRET_KEY = "secret-key"  # noqa: S105 - a kind of encryption
PUBLIC_KEY = "public-key"
ENCRYPTIONS = (SECRET_KEY, PUBLIC_KEY)

WIDE_DEVIATION = 32
"""Deviation of the noise that concealment adds to every entry, in units of the ring degree."""

WIDE_TAIL = 8.3
"""Deviations at which that noise ends: the sampler's 8.2, and rounding."""


@dataclass(frozen=True, kw_only=True)
class SimilarityPlan(ScaledPlan):
    """Parameters, scales and bounds of one encrypted ``A B'`` with rows of norm at most 1.

    Parameters
    ----------
    scheme : {"ckks", "clear"}
    inner : int
        d, columns of A (left, d) and of B (right, d).
    left, right : int
        Rows of A and of B.
    parameters : ParameterSet
        Ring and primes of the key.
    level : int
        How many of the data primes, from the first, the ciphertexts keep.
    left_scale_bits, right_scale_bits : int
        Binary logarithms of the scales of A and B.
    encryption : {"secret-key", "public-key"}
        How the operands are encrypted, which decides their noise.
    concealed : bool
        Whether the node re-randomises the result (:mod:`hecf.he.similarity.zeros`).
    statistical_bits, releases : int
        s and tau of the flooding noise. No releases means own key: whoever decrypts keeps the
        scores, and nothing is flooded.

    Raises
    ------
    ParameterError
        If the result could wrap around the modulus, or a field is out of its range.

    Security
    --------
    A plan without releases is for a querier that owns the key and shows the scores to nobody who
    saw ciphertexts. Exact scores on its own d independent rows give it the other matrix by linear
    algebra, as plaintext scores would.
    """

    operation: str = field(default=SIMILARITY, init=False)
    inner: int
    left: int
    right: int
    encryption: str
    concealed: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        check_similarity_request(
            self.scheme,
            (self.inner, self.left, self.right),
            self.encryption,
            self.concealed,
            self.statistical_bits,
            self.releases,
        )
        if self.encryption == PUBLIC_KEY and self.parameters.special_prime is None:
            raise ParameterError("public-key encryption needs a special prime")
        self.check_overflow()

    @property
    def fresh_noise_bound(self) -> int:
        """Largest noise coefficient of an encrypted column."""
        secret = self.encryption == SECRET_KEY
        return ERROR_BOUND if secret else self.parameters.fresh_noise_bound

    @cached_property
    def noise_bound(self) -> int:
        """Largest absolute noise of a result, as an integer under encryption.

        Entry (i, j) is ``sum_k (A_ik + e_ik) (B_jk + f_jk)``: the coefficients of different rows
        never mix, so no factor of the ring enters.
        """
        fresh = self.fresh_noise_bound
        # A row of norm 1 has 1-norm at most sqrt(d); rounding adds at most half a unit an entry.
        root = math.isqrt(self.inner) + 1
        scales = (1 << self.left_scale_bits) + (1 << self.right_scale_bits)
        units = unit(self.left_scale_bits) + unit(self.right_scale_bits)
        norms = scales * root + units * self.inner
        noise = fresh * norms + self.inner * fresh * fresh
        if self.concealed:
            noise += 2 * self.parameters.zero_noise_bound
            noise += math.ceil(WIDE_TAIL * self.wide_deviation)
        return noise

    @property
    def wide_deviation(self) -> float:
        """Standard deviation of the noise that concealment adds to every entry."""
        return float(WIDE_DEVIATION * self.parameters.ring_degree)

    @cached_property
    def rounding_bound(self) -> int:
        """Largest error of a result that rounding to the scales causes, as an integer."""
        root = math.isqrt(self.inner) + 1
        left, right = unit(self.left_scale_bits), unit(self.right_scale_bits)
        crossed = (right << self.left_scale_bits) + (left << self.right_scale_bits)
        return crossed * root // 2 + self.inner * left * right

    @property
    def exact_bound(self) -> int:
        """Largest absolute result at the scales, were it computed without any error."""
        return 1 << (self.left_scale_bits + self.right_scale_bits)

    @property
    def revealed(self) -> int:
        """Every entry of the result: one release reveals them together."""
        return self.left * self.right

    def matrix_shape(self, side: str) -> tuple[int, int]:
        """Shape (rows, d) of an operand in clear."""
        return (self.rows(side), self.inner)

    def checked(self, side: str, matrix: Float, first: int = 0) -> Float:
        """Check an operand against shape and bounds and return it; raises InvalidInput."""
        check_rows(self, side, matrix, first)
        return matrix.astype(np.float64)

    def stripes(self, side: str) -> Stripes:
        """As many rows as a polynomial has coefficients."""
        return Stripes(self.rows(side), self.parameters.ring_degree, axis=0, word_axis=1)

    def encode(self, side: str, matrix: Float, first: int = 0) -> Words:
        """Scale rows to integers: uint32 coefficients (L, rows, d) of the polynomials b.

        Parameters
        ----------
        side : {"left", "right"}
        matrix : float64 array
            The operand, or whole stripes of it from number `first` on.

        Raises
        ------
        InvalidInput
            If the matrix has another shape, is not finite or a row is too long.
        """
        check_rows(self, side, matrix, first)
        values = self.residues(side, self.scaled(side, matrix))
        words = np.empty((self.level, *matrix.shape), dtype=np.uint32)
        for index, prime in enumerate(self.primes):
            words[index] = to_words(values[:, index], prime)
        return words

    def rows(self, side: str) -> int:
        """Rows of one operand."""
        return self.left if side == LEFT else self.right

    def blocks(self, side: str) -> int:
        """Polynomials that the rows of one operand need."""
        return self.stripes(side).count

    def block_rows(self, side: str, block: int) -> int:
        """Rows of one operand in one stripe."""
        degree = self.parameters.ring_degree
        return min(degree, self.rows(side) - block * degree)

    def operand_shape(self, side: str) -> tuple[int, int, int]:
        """Shape (L, stripes N + rows, d) of the words of all stripes of an operand together."""
        return self.run_shape(side, 0, self.stripes(side).count)

    def run_shape(self, side: str, first: int, count: int) -> tuple[int, int, int]:
        """Shape (L, stripes N + rows, d) of the words of some stripes together."""
        stacked = sum(self.stripe_shape(side, first + index)[1] for index in range(count))
        return (self.level, stacked, self.inner)

    def stripe_shape(self, side: str, stripe: int) -> tuple[int, int, int]:
        """Shape (L, N + rows, d) of the words of one stripe: its a first, then the used b."""
        stacked = self.parameters.ring_degree + self.block_rows(side, stripe)
        return (self.level, stacked, self.inner)

    def block_words(self, side: str, first: int, count: int) -> int:
        """Words of some stripes of an encrypted operand."""
        return math.prod(self.run_shape(side, first, count))

    def panel_shape(self, row_block: int, column_block: int) -> tuple[int, int, int]:
        """Shape (L, N + rows, N + columns) of the words of one bivariate ciphertext."""
        degree = self.parameters.ring_degree
        return (
            self.level,
            degree + self.block_rows(LEFT, row_block),
            degree + self.block_rows(RIGHT, column_block),
        )

    @property
    def result_bytes(self) -> int:
        """Bytes of the words of the whole result on the wire, without headers of its tiles."""
        _, left, _ = self.operand_shape(LEFT)
        _, right, _ = self.operand_shape(RIGHT)
        return WORD_BYTES * self.level * left * right


def check_similarity_request(
    scheme: str,
    sizes: tuple[int, ...],
    encryption: str,
    concealed: bool,
    statistical_bits: int,
    releases: int,
) -> None:
    """Refuse what no similarity plan can be made for.

    Raises
    ------
    ParameterError
    """
    check_scheme_name(scheme)
    if min(sizes) < 1:
        raise ParameterError("a similarity needs positive sizes", got=sizes)
    if encryption not in ENCRYPTIONS:
        raise ParameterError(
            "unknown kind of encryption", got=encryption, expected=" or ".join(ENCRYPTIONS)
        )
    if statistical_bits < 1 or releases < 0:
        raise ParameterError(
            "the flooding noise is out of range",
            got=f"{statistical_bits} bits, {releases} releases",
            expected="at least 1 bit, and 0 releases (own key) or more",
        )
    if releases > 0 and not concealed:
        raise ParameterError("a result that is released must be concealed")


def check_rows(plan: SimilarityPlan, side: str, matrix: Float, first: int = 0) -> None:
    """Refuse rows that the bounds of a plan do not cover, before they are encrypted.

    Raises
    ------
    InvalidInput
        If the shape, a value or a row's norm is not as planned.
    """
    plan.stripes(side).check_piece(matrix.shape, plan.matrix_shape(side), first)
    if not np.isfinite(matrix).all():
        raise InvalidInput("an operand is not finite")
    with np.errstate(over="ignore"):
        largest = float(np.sqrt(np.square(matrix, dtype=np.float64).sum(axis=1).max()))
    # A relative slack of 1e-9 allows for the caller's own normalisation in float64.
    if largest > 1 + 1e-9:
        raise InvalidInput("a row's norm is too large", got=f"{largest:.6g}", expected="at most 1")


def check_encryption(plan: SimilarityPlan, encryption: str) -> None:
    """Refuse a plan that was made for another kind of encryption.

    Raises
    ------
    Mismatch
    """
    if plan.encryption != encryption:
        raise Mismatch(
            "the plan is for another kind of encryption", got=encryption, expected=plan.encryption
        )


def normalise_rows(matrix: Float) -> Float:
    """Scale rows to norm 1, so that their similarity is the cosine; rows of zeros stay zero.

    Raises
    ------
    InvalidInput
        If the matrix is not two-dimensional or not finite.
    """
    if matrix.ndim != 2 or not np.isfinite(matrix).all():
        raise InvalidInput("a matrix of rows is not finite or not two-dimensional")
    # Division by the largest entry first keeps the squares from overflow and underflow.
    largest = np.abs(matrix).max(axis=1, keepdims=True, initial=0.0)
    scaled = matrix / np.where(largest > 0, largest, 1.0)
    norms = np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
    normalised: Float = scaled / np.where(norms > 0, norms, 1.0)
    return normalised
