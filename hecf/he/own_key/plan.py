"""Plans for scores under a retailer's own key: whoever asks is the only one who can decrypt.

A retailer encrypts its own shoppers under its own secret key, the node multiplies by a plaintext
item matrix, and the same retailer decrypts. Nobody else gets a result, so nothing is flooded or
concealed, and fresh secret-key noise is all the noise there is.

Two layouts:

- ``query``, a few shoppers: the embedding lies in polynomials of u factors, the items in
  polynomials of u factors by ``n = N / u`` items (:mod:`hecf.he.product.packing` with m = 1). The
  node multiplies at every position of the transform.
- ``batch``, many shoppers: shoppers lie in the coefficients and items are small integers, so the
  node multiplies once by ``[a; b]`` modulo a single 36-bit modulus, exactly in float64 (Bae et
  al., Plaintext-Ciphertext Matrix Multiplication and FHE Bootstrapping, CRYPTO 2024, section 3),
  rounds away the small prime of the modulus and returns residues of the large one.

Security
--------
The answers are linear in the node's item matrix, so a retailer that asks for as many independent
shoppers as there are factors can solve for it, as it could with plaintext answers. Here it is
faster by a small factor, because the component c_1 of an answer carries more equations about the
items. A node whose items are confidential serves a release-gated score instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hecf.errors import InvalidInput, ParameterError
from hecf.he.modular import Float
from hecf.he.own_key.seeds import SEED_BYTES
from hecf.he.parameters import ParameterSet
from hecf.he.plan import WORD_BYTES, fingerprint
from hecf.he.product.packing import ProductPacking
from hecf.he.secret import SECRET_NOISE_BOUND

QUERY = "query"
BATCH = "batch"

MOST_SCALE_BITS = 60


@dataclass(frozen=True)
class OwnKeyPlan:
    """Layout, parameters, scales and worst-case bounds of scores under one's own key.

    Parameters
    ----------
    layout : {"query", "batch"}
    factors, shoppers, items : int
        Shoppers are (factors, shoppers), items (factors, items).
    operand_bound : float
        Largest absolute entry of a shopper's embedding.
    parameters : ParameterSet
        Without a special prime.
    inner : int
        u, factors in one polynomial; 1 for a batch.
    shopper_scale_bits, item_scale_bits : int
        Binary logarithms of the scales.
    answer_level : int
        Primes that the answer keeps: all or all but the last.

    Raises
    ------
    ParameterError
        If a field is out of range or a result could wrap around the modulus.
    """

    layout: str
    factors: int
    shoppers: int
    items: int
    operand_bound: float
    parameters: ParameterSet
    inner: int
    shopper_scale_bits: int
    item_scale_bits: int
    answer_level: int

    def __post_init__(self) -> None:
        if self.layout not in (QUERY, BATCH):
            raise ParameterError("unknown layout", got=self.layout, expected=(QUERY, BATCH))
        if min(self.factors, self.shoppers, self.items) < 1:
            raise ParameterError(
                "a score needs positive sizes", got=(self.factors, self.shoppers, self.items)
            )
        if not 0 < self.operand_bound < math.inf:
            raise ParameterError("an operand's bound is out of range", got=self.operand_bound)
        level = len(self.parameters.primes)
        if self.answer_level not in (level, level - 1) or self.answer_level < 1:
            raise ParameterError(
                "an answer's level is out of range", got=self.answer_level, expected=level
            )
        if self.layout == BATCH and (level, self.answer_level, self.inner) != (2, 1, 1):
            raise ParameterError(
                "a batch has another chain or packing",
                got=(level, self.answer_level, self.inner),
                expected=(2, 1, 1),
            )
        bits = (self.shopper_scale_bits, self.item_scale_bits)
        if min(bits) < 1 or max(bits) > MOST_SCALE_BITS:
            raise ParameterError("a scale is out of range", got=f"2^{bits}", expected="2^1 to 2^60")
        if self.layout == BATCH and self._batch_sum > 2**53 - self.modulus:
            raise ParameterError(
                "the sums of a batch would not be exact in float64",
                got=f"{self._batch_sum.bit_length()} bits",
                expected="at most 53",
            )
        if 2 * self.result_bound >= self.answer_modulus:
            raise ParameterError(
                "the result could exceed the modulus",
                got=f"{self.result_bound.bit_length() + 1} bits",
                expected=f"less than {self.answer_modulus.bit_length()}",
            )
        # Refuses sizes that are no powers of two, or do not divide the ring degree.
        if self.packing.ring_degree != self.parameters.ring_degree:
            raise ParameterError("the packing does not fill the ring", got=self.inner)

    @property
    def packing(self) -> ProductPacking:
        """Packing of the query layout: one shopper, u factors, n items in a polynomial."""
        return ProductPacking(1, self.inner, max(1, self.parameters.ring_degree // self.inner))

    @property
    def modulus(self) -> int:
        """Product of the primes of a query."""
        return math.prod(self.parameters.primes)

    @property
    def answer_primes(self) -> tuple[int, ...]:
        """Primes of the answer."""
        return self.parameters.primes[: self.answer_level]

    @property
    def answer_modulus(self) -> int:
        """Product of the primes of the answer."""
        return math.prod(self.answer_primes)

    @property
    def dropped(self) -> int:
        """The prime that the answer rounds away, or 1."""
        return self.modulus // self.answer_modulus

    @property
    def transformed(self) -> bool:
        """Whether answers hold values of the transform; otherwise they hold coefficients."""
        return self.layout == QUERY and self.inner == 1 and self.dropped == 1

    @property
    def scale(self) -> float:
        """Factor between a score and its integer under encryption, before a prime is dropped."""
        return math.ldexp(1.0, self.shopper_scale_bits + self.item_scale_bits)

    @property
    def item_norm(self) -> int:
        """Largest 1-norm of a column of rounded items."""
        return (1 << self.item_scale_bits) + (self.factors + 1) // 2

    @property
    def _batch_sum(self) -> int:
        return (self.modulus // 2 + 1) * (self.item_norm + 1)

    @cached_property
    def noise_bound(self) -> int:
        """Largest noise of a result, as an integer before a prime is dropped."""
        columns = 1 if self.layout == BATCH else self.packing.right
        noise = SECRET_NOISE_BOUND * columns * self.item_norm
        if self.dropped > 1:
            # Both components are rounded, the second times a ternary key of N coefficients.
            noise += self.dropped * (self.parameters.ring_degree // 2 + 2)
        return noise

    @cached_property
    def rounding_bound(self) -> int:
        """Largest error that rounding to the scales causes, as an integer."""
        bound = math.ceil(math.ldexp(self.operand_bound, self.shopper_scale_bits))
        return self.item_norm + (self.factors + 1) // 2 * bound + 1

    @cached_property
    def result_bound(self) -> int:
        """Largest absolute integer of the answer's modulus that can be decrypted."""
        exact = math.ceil(self.operand_bound * self.scale)
        # The checks of operands and items allow a relative 1e-9 each, together below 2^-28.
        total = exact + (exact >> 28) + 1 + self.rounding_bound + self.noise_bound
        return total // self.dropped + 1

    @property
    def error_bound(self) -> float:
        """Largest error of a decrypted score."""
        return (self.noise_bound + self.rounding_bound) / self.scale

    @property
    def query_shape(self) -> tuple[int, int, int, int]:
        """Shape (groups, blocks, L, N) of the components c_0 of a query.

        Groups are shoppers in the query layout, or N shoppers each in a batch; blocks hold u
        factors each.
        """
        degree = self.parameters.ring_degree
        groups = self.shoppers if self.layout == QUERY else -(-self.shoppers // degree)
        return (groups, -(-self.factors // self.inner), len(self.parameters.primes), degree)

    @property
    def constant_shape(self) -> tuple[int, int, int, int]:
        """Shape (groups, polynomials, L, useful) of the components c_0 of an answer."""
        groups, polynomials, level, degree = self.tail_shape
        return (groups, polynomials, level, degree // self.inner)

    @property
    def tail_shape(self) -> tuple[int, int, int, int]:
        """Shape (groups, polynomials, L, N) of the components c_1 of an answer."""
        groups, _, _, degree = self.query_shape
        count = self.items if self.layout == BATCH else self.packing.right_groups(self.items)
        return (groups, count, self.answer_level, degree)

    @property
    def query_bytes(self) -> int:
        """Bytes of a query without its header: a seed and the components c_0."""
        return SEED_BYTES + WORD_BYTES * math.prod(self.query_shape)

    @property
    def answer_bytes(self) -> int:
        """Bytes of an answer without its header."""
        return WORD_BYTES * (math.prod(self.constant_shape) + math.prod(self.tail_shape))

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 over every field, 32 bytes."""
        return fingerprint(self)

    def check_shoppers(self, shoppers: Float) -> None:
        """Refuse embeddings of another shape or beyond the bound.

        Raises
        ------
        InvalidInput
        """
        shape = (self.factors, self.shoppers)
        if shoppers.shape != shape:
            raise InvalidInput(
                "the shoppers have another shape", got=shoppers.shape, expected=shape
            )
        if not np.isfinite(shoppers).all():
            raise InvalidInput("a shopper's embedding is not finite")
        largest = float(np.abs(shoppers).max())
        if largest > self.operand_bound * (1 + 1e-9):
            raise InvalidInput(
                "an entry exceeds the plan's bound",
                got=f"{largest:.6g}",
                expected=self.operand_bound,
            )

    def check_items(self, items: Float) -> None:
        """Refuse items of another shape or with a column of 1-norm over 1.

        Raises
        ------
        InvalidInput
        """
        shape = (self.factors, self.items)
        if items.shape != shape:
            raise InvalidInput("the item matrix has another shape", got=items.shape, expected=shape)
        if not np.isfinite(items).all():
            raise InvalidInput("the item matrix is not finite")
        norm = float(np.abs(items).sum(axis=0).max())
        if norm > 1 + 1e-9:
            raise InvalidInput(
                "an item column's 1-norm is too large", got=f"{norm:.6g}", expected="at most 1"
            )
