"""The exact scheme that encrypts nothing: the same interface, for tests and for comparison.

Security
--------
Everybody who handles a clear operand reads it. The name stands in every message, and no default
ever selects it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from hecf.errors import Mismatch
from hecf.he.accumulators import GramAccumulator, SumAccumulator
from hecf.he.blinding import BlindedDecryption, BlindedProduct, MaskSeed, masked, tail_shape
from hecf.he.clear_matrices import ClearMatrix, ClearProduct, ClearTile, stripe_shape
from hecf.he.keys import Decrypted
from hecf.he.modular import Float, Words, residues, to_words
from hecf.he.plan import LEFT, MANTISSA_BITS, RIGHT, OperandPlan, check_scheme
from hecf.he.product.plan import (
    GRAM,
    SCORE,
    SIMILARITY,
    ProductPlan,
    check_item_model,
    product_plan,
)
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.similarity.scores import Panel
from hecf.he.streams import MEMORY, check_next, cut, stripes_within
from hecf.he.summation.plan import SumPlan


class ClearEncryptor:
    """Checks operands as the CKKS encryptor does and passes them on."""

    def encode(self, plan: OperandPlan, side: str, matrix: Float, first: int = 0) -> ClearMatrix:
        """Check whole stripes of an operand against its plan."""
        check_scheme(plan, "clear")
        return ClearMatrix(plan, side, plan.checked(side, matrix, first), first)

    def encrypt(self, encoded: ClearMatrix) -> ClearMatrix:
        """Return the operand as it is."""
        return encoded

    def encrypt_blocks(
        self, plan: OperandPlan, side: str, pieces: Iterable[Float], *, memory: int = MEMORY
    ) -> Iterator[ClearMatrix]:
        """Cut an operand that arrives in pieces of any size, as the CKKS encryptor does."""
        stripes = stripes_within(ClearMatrix, plan, memory)
        for first, run in cut(plan, side, pieces, stripes):
            yield self.encode(plan, side, run, first)


class ClearQuerier:
    """Asks without a key, with the checks of the CKKS querier."""

    def public_key(self) -> bytes:
        """Return the empty key."""
        return b""

    def encrypt(self, plan: ProductPlan, matrix: Float) -> ClearMatrix:
        """Check the shoppers and return them as they are."""
        return ClearEncryptor().encode(product_plan(plan, SCORE), LEFT, matrix)

    def decrypt(self, product: ClearProduct) -> Float:
        """Return the scores."""
        return product.values


class ClearSumAccumulator(SumAccumulator[ClearMatrix]):
    """Adds values as they are."""

    def __init__(
        self, plan: SumPlan | ProductPlan, first: int = 0, count: int | None = None
    ) -> None:
        super().__init__(plan, first, count)
        self._axis, shape = plan.stripes(LEFT).axis, stripe_shape(plan, LEFT, first, self.count)
        self._total = np.zeros(shape)

    def accumulate(self, block: ClearMatrix, weight: int, start: int) -> None:
        """Add values."""
        entries = self.plan.stripes(LEFT).entries
        part = self._total[start * entries : (start + block.count) * entries]
        part += weight * np.moveaxis(block.values, self._axis, 0)

    def result(self) -> ClearMatrix:
        """Return the sum."""
        return ClearMatrix(self.plan, LEFT, np.moveaxis(self._total, 0, self._axis), self.first)


class ClearEvaluator:
    """The evaluator's operations in float64, with the errors of the CKKS evaluator."""

    def gram(self, left: ClearMatrix, right: ClearMatrix) -> ClearProduct:
        """Compute ``A' B``."""
        accumulator = self.gram_accumulator(_plan(GRAM, left, LEFT))
        accumulator.add(left, right)
        return accumulator.finish()

    def gram_accumulator(
        self, plan: OperandPlan
    ) -> GramAccumulator[ClearMatrix, Float, ClearProduct]:
        """Start ``A' B`` of matrices whose rows arrive in blocks."""
        planned = _checked(plan, GRAM, SIMILARITY)
        return GramAccumulator(
            planned,
            multiply=lambda left, right: left.values.T @ right.values,
            add=lambda total, more: total + more,
            finish=lambda total: ClearProduct(planned, total),
        )

    def add(self, operands: list[ClearMatrix]) -> ClearMatrix:
        """Add as many left operands of one plan as it has summands."""
        if not operands:
            raise Mismatch("a sum has no contributions")
        return self.sum_accumulator(_plan(SCORE, operands[0], LEFT)).add_all(operands)

    def score(self, shoppers: ClearMatrix, items: Float, bias: Float) -> ClearProduct:
        """Score shoppers on items."""
        plan = _plan(SCORE, shoppers, LEFT)
        check_item_model(plan, items, bias)
        return ClearProduct(plan, shoppers.values.T @ items + bias)

    def score_tiles(
        self, shoppers: ClearMatrix, items: Float, bias: Float, *, memory: int = MEMORY
    ) -> Iterator[ClearTile]:
        """Score a block of shoppers, group by group."""
        plan = _plan(SCORE, shoppers, LEFT)
        check_item_model(plan, items, bias)
        width = plan.packing.left
        for group in range(shoppers.count):
            part = shoppers.values[:, group * width : (group + 1) * width]
            yield ClearTile(plan, shoppers.first + group, 0, part.T @ items + bias)

    def similarity(
        self,
        left: ClearMatrix,
        right: ClearMatrix,
        *,
        memory: int = MEMORY,
        rows: int | None = None,
    ) -> Iterator[ClearTile]:
        """Compute ``A B'``, one panel a tile."""
        plan = _similarity_plan(left.plan)
        for operand, side in ((left, LEFT), (right, RIGHT)):
            check_next(operand, plan, side, operand.first)
        return self._panels(plan, left, right)

    def _panels(
        self, plan: SimilarityPlan, left: ClearMatrix, right: ClearMatrix
    ) -> Iterator[ClearTile]:
        degree = plan.parameters.ring_degree
        for x in range(left.count):
            rows = left.values[x * degree : (x + 1) * degree]
            for y in range(right.count):
                columns = right.values[y * degree : (y + 1) * degree]
                yield ClearTile(plan, left.first + x, right.first + y, rows @ columns.T)

    def blind(self, product: ClearProduct, seed: MaskSeed) -> BlindedProduct:
        """Hide a result under a mask, as residues of the integers that CKKS would carry."""
        plan = product.plan
        constant = masked(plan, _integers(plan, product.values), seed)
        return BlindedProduct(plan, constant, np.empty(tail_shape(plan), dtype=np.uint32))

    def drown(self, product: ClearProduct) -> ClearProduct:
        """Return a result as it is: there is no noise to drown."""
        return product

    def sum(self, operands: list[ClearMatrix], weights: list[int] | None = None) -> ClearMatrix:
        """Add fixed-point vectors exactly, with small integer weights."""
        if not operands or not isinstance(operands[0].plan, SumPlan):
            raise Mismatch("a sum has no operand of a sum plan")
        return self.sum_accumulator(operands[0].plan).add_all(operands, weights)

    def sum_accumulator(
        self, plan: OperandPlan, first: int = 0, count: int | None = None
    ) -> ClearSumAccumulator:
        """Start the sum of contributions whose stripes arrive in blocks."""
        check_scheme(plan, "clear")
        planned = plan if isinstance(plan, SumPlan) else _checked(plan, SCORE)
        return ClearSumAccumulator(planned, first, count)


class ClearDecryptor:
    """Hands out what a clear product holds."""

    def decrypt(self, product: ClearProduct) -> Decrypted[ProductPlan]:
        """Wrap the values."""
        return Decrypted(product.plan, product.values)

    def decrypt_tiles(
        self, plan: ProductPlan, tiles: Iterable[ClearTile]
    ) -> Iterator[Decrypted[ProductPlan]]:
        """Wrap the scores of consecutive shoppers."""
        check_scheme(plan, "clear")
        done = 0
        for tile in tiles:
            if tile.plan.fingerprint != plan.fingerprint:
                raise Mismatch("a tile belongs to another plan")
            if tile.row != done:
                raise Mismatch("a tile is out of order", got=tile.row, expected=done)
            done += 1
            yield Decrypted(plan, tile.values)
        if done != plan.stripes(LEFT).count:
            raise Mismatch("tiles of a result are missing", got=done)

    def panels(
        self, plan: SimilarityPlan, tiles: Iterable[ClearTile], *, memory: int = MEMORY
    ) -> Iterator[Panel]:
        """Yield tiles as panels."""
        check_scheme(plan, "clear")
        for tile in tiles:
            if tile.plan.fingerprint != plan.fingerprint:
                raise Mismatch("a tile belongs to another plan")
            yield Panel(plan, tile.row, tile.column, tile.values)

    def decrypt_blinded(self, product: BlindedProduct) -> BlindedDecryption:
        """Return the masked residues."""
        check_scheme(product.plan, "clear")
        return BlindedDecryption(product.plan, product.constant)

    def decrypt_sum(self, plan: SumPlan, total: ClearMatrix) -> Decrypted[SumPlan]:
        """Wrap the sum."""
        if total.plan.fingerprint != plan.fingerprint:
            raise Mismatch("a sum belongs to another plan")
        return Decrypted(plan, total.values)


def _integers(plan: ProductPlan, values: Float) -> Words:
    """Residues of scaled values, rounded to what a signed 64-bit integer has room for."""
    scale = plan.left_scale_bits + plan.right_scale_bits
    whole = math.ceil(math.log2(float(np.abs(values).max()) + 1)) + 1
    bits = min(scale, MANTISSA_BITS - whole)
    tiles = plan.packing.pack_result(np.rint(np.ldexp(values, bits)).astype(np.int64))
    centred = residues(tiles, plan.primes)
    out = np.empty(plan.constant_shape, dtype=np.uint32)
    for index, prime in enumerate(plan.primes):
        part = to_words(np.ascontiguousarray(centred[:, :, index]), prime).astype(np.int64)
        out[:, :, index] = part * pow(2, scale - bits, prime) % prime
    return out


def _plan(operation: str, operand: ClearMatrix, side: str) -> ProductPlan:
    """Check an operand and return its plan."""
    plan = _checked(operand.plan, operation)
    if operand.side != side:
        raise Mismatch("an operand belongs to another side", got=operand.side, expected=side)
    return plan


def _similarity_plan(plan: OperandPlan) -> SimilarityPlan:
    """Return a plan that is of a clear similarity."""
    if not isinstance(plan, SimilarityPlan):
        raise Mismatch("the plan is for another operation", got=plan.operation)
    check_scheme(plan, "clear")
    return plan


def _checked(plan: OperandPlan, *operations: str) -> ProductPlan:
    checked = product_plan(plan, *operations)
    check_scheme(checked, "clear")
    return checked
