"""The exact scheme that encrypts nothing: the same interface, for tests and for comparison.

Security
--------
Everybody who handles a clear operand reads it. The name stands in every message, and no default
ever selects it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hecf.errors import MalformedMessage, Mismatch
from hecf.he.blinding import BlindedDecryption, BlindedProduct, MaskSeed, masked, tail_shape
from hecf.he.keys import Decrypted
from hecf.he.messages import Kind, header, open_header
from hecf.he.modular import Float, Words, residues, to_words
from hecf.he.plan import LEFT, MANTISSA_BITS, RIGHT, OperandPlan, check_scheme
from hecf.he.product.plan import GRAM, SCORE, ProductPlan, check_item_model
from hecf.he.summation.addition import check_sum
from hecf.he.summation.plan import SumPlan


@dataclass(frozen=True)
class ClearMatrix:
    """An operand in clear: float64 of shape ``plan.matrix_shape(side)``."""

    plan: OperandPlan
    side: str
    values: Float

    def to_bytes(self) -> bytes:
        """Header and little-endian float64 values."""
        return header(_kind(self.side), self.plan.fingerprint) + _pack(self.values)

    @classmethod
    def from_bytes(cls, plan: OperandPlan, side: str, data: bytes) -> ClearMatrix:
        """Parse; errors as for :meth:`hecf.he.matrices.EncryptedMatrix.from_bytes`."""
        return cls(plan, side, _unpack(data, _kind(side), plan, plan.matrix_shape(side)))


@dataclass(frozen=True)
class ClearProduct:
    """A result in clear: float64 of shape (left, right)."""

    plan: ProductPlan
    values: Float

    def to_bytes(self) -> bytes:
        """Header and little-endian float64 values."""
        return header(Kind.CLEAR_PRODUCT, self.plan.fingerprint) + _pack(self.values)

    @classmethod
    def from_bytes(cls, plan: ProductPlan, data: bytes) -> ClearProduct:
        """Parse; errors as for :meth:`hecf.he.matrices.EncryptedMatrix.from_bytes`."""
        shape = (plan.left, plan.right)
        return cls(plan, _unpack(data, Kind.CLEAR_PRODUCT, plan, shape))


class ClearEncryptor:
    """Checks operands as the CKKS encryptor does and passes them on."""

    def encode(self, plan: OperandPlan, side: str, matrix: Float) -> ClearMatrix:
        """Check one operand against its plan."""
        check_scheme(plan, "clear")
        return ClearMatrix(plan, side, plan.checked(side, matrix))

    def encrypt(self, encoded: ClearMatrix) -> ClearMatrix:
        """Return the operand as it is."""
        return encoded


class ClearEvaluator:
    """The evaluator's operations in float64, with the errors of the CKKS evaluator."""

    def gram(self, left: ClearMatrix, right: ClearMatrix) -> ClearProduct:
        """Compute ``A' B``."""
        plan = _plan(GRAM, left, LEFT)
        _plan(GRAM, right, RIGHT, plan)
        return ClearProduct(plan, left.values.T @ right.values)

    def add(self, operands: list[ClearMatrix]) -> ClearMatrix:
        """Add as many left operands of one plan as it has summands."""
        if not operands:
            raise Mismatch("a sum has no contributions")
        plan = _plan(SCORE, operands[0], LEFT)
        for operand in operands:
            _plan(SCORE, operand, LEFT, plan)
        if len(operands) != plan.summands:
            raise Mismatch(
                "a sum has another number of contributions",
                got=len(operands),
                expected=plan.summands,
            )
        total = np.sum([operand.values for operand in operands], axis=0)
        return ClearMatrix(plan, LEFT, total)

    def score(self, shoppers: ClearMatrix, items: Float, bias: Float) -> ClearProduct:
        """Score shoppers on items."""
        plan = _plan(SCORE, shoppers, LEFT)
        check_item_model(plan, items, bias)
        return ClearProduct(plan, shoppers.values.T @ items + bias)

    def blind(self, product: ClearProduct, seed: MaskSeed) -> BlindedProduct:
        """Hide a result under a mask, as residues of the integers that CKKS would carry."""
        plan = product.plan
        constant = masked(plan, _integers(plan, product.values), seed)
        return BlindedProduct(plan, constant, np.empty(tail_shape(plan), dtype=np.uint32))

    def sum(self, operands: list[ClearMatrix], weights: list[int] | None = None) -> ClearMatrix:
        """Add fixed-point vectors exactly, with small integer weights."""
        if not operands or not isinstance(operands[0].plan, SumPlan):
            raise Mismatch("a sum has no operand of a sum plan")
        plan = operands[0].plan
        factors = check_sum(plan, [operand.plan for operand in operands], weights)
        terms = [factor * operand.values for factor, operand in zip(factors, operands, strict=True)]
        return ClearMatrix(plan, LEFT, np.sum(terms, axis=0))


class ClearDecryptor:
    """Hands out what a clear product holds."""

    def decrypt(self, product: ClearProduct) -> Decrypted[ProductPlan]:
        """Wrap the values."""
        return Decrypted(product.plan, product.values)

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


def _plan(
    operation: str, operand: ClearMatrix, side: str, expected: ProductPlan | None = None
) -> ProductPlan:
    """Check an operand and return its plan."""
    plan = operand.plan
    if not isinstance(plan, ProductPlan) or plan.operation != operation:
        raise Mismatch(
            "the plan is for another operation",
            got=getattr(plan, "operation", None),
            expected=operation,
        )
    if operand.side != side or (expected is not None and plan.fingerprint != expected.fingerprint):
        raise Mismatch("an operand belongs to another plan")
    check_scheme(plan, "clear")
    return plan


def _kind(side: str) -> Kind:
    return Kind.CLEAR_OPERAND_LEFT if side == LEFT else Kind.CLEAR_OPERAND_RIGHT


def _pack(values: Float) -> bytes:
    return np.ascontiguousarray(values, dtype="<f8").tobytes()


def _unpack(data: bytes, kind: int, plan: OperandPlan, shape: tuple[int, ...]) -> Float:
    body = open_header(data, kind, plan.fingerprint, 8 * math.prod(shape))
    values = np.frombuffer(body, dtype="<f8").astype(np.float64).reshape(shape)
    if not np.isfinite(values).all():
        raise MalformedMessage("a clear matrix is not finite")
    return values
