"""The exact scheme that encrypts nothing: the same interface, for tests and for comparison.

Security
--------
Everybody who handles a clear operand reads it. The name stands in every message, and no default
ever selects it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hecf.errors import MalformedMessage, Mismatch
from hecf.he.keys import Decrypted
from hecf.he.matrices import (
    KIND_CLEAR_OPERAND_LEFT,
    KIND_CLEAR_OPERAND_RIGHT,
    KIND_CLEAR_PRODUCT,
    header,
    open_header,
)
from hecf.he.modular import Float
from hecf.he.plan import (
    GRAM,
    LEFT,
    RIGHT,
    SCORE,
    ProductPlan,
    check_item_model,
    check_operand,
    check_scheme,
)


@dataclass(frozen=True)
class ClearMatrix:
    """An operand in clear: float64 of shape (inner, left or right)."""

    plan: ProductPlan
    side: str
    values: Float

    def to_bytes(self) -> bytes:
        """Header and little-endian float64 values."""
        return header(_kind(self.side), self.plan.fingerprint) + _pack(self.values)

    @classmethod
    def from_bytes(cls, plan: ProductPlan, side: str, data: bytes) -> ClearMatrix:
        """Parse; errors as for :meth:`hecf.he.matrices.EncryptedMatrix.from_bytes`."""
        shape = (plan.inner, plan.left if side == LEFT else plan.right)
        return cls(plan, side, _unpack(data, _kind(side), plan, shape))


@dataclass(frozen=True)
class ClearProduct:
    """A result in clear: float64 of shape (left, right)."""

    plan: ProductPlan
    values: Float

    def to_bytes(self) -> bytes:
        """Header and little-endian float64 values."""
        return header(KIND_CLEAR_PRODUCT, self.plan.fingerprint) + _pack(self.values)

    @classmethod
    def from_bytes(cls, plan: ProductPlan, data: bytes) -> ClearProduct:
        """Parse; errors as for :meth:`hecf.he.matrices.EncryptedMatrix.from_bytes`."""
        shape = (plan.left, plan.right)
        return cls(plan, _unpack(data, KIND_CLEAR_PRODUCT, plan, shape))


class ClearEncryptor:
    """Checks operands as the CKKS encryptor does and passes them on."""

    def encode(self, plan: ProductPlan, side: str, matrix: Float) -> ClearMatrix:
        """Check one operand of a product against its plan."""
        check_scheme(plan, "clear")
        check_operand(plan, side, matrix)
        return ClearMatrix(plan, side, matrix.astype(np.float64))

    def encrypt(self, encoded: ClearMatrix) -> ClearMatrix:
        """Return the operand as it is."""
        return encoded


class ClearEvaluator:
    """The evaluator's operations in float64, with the errors of the CKKS evaluator."""

    def gram(self, left: ClearMatrix, right: ClearMatrix) -> ClearProduct:
        """Compute ``A' B``."""
        _check(left.plan, GRAM, left, LEFT)
        _check(left.plan, GRAM, right, RIGHT)
        return ClearProduct(left.plan, left.values.T @ right.values)

    def add(self, operands: list[ClearMatrix]) -> ClearMatrix:
        """Add as many left operands of one plan as it has summands."""
        if not operands:
            raise Mismatch("a sum has no contributions")
        plan = operands[0].plan
        for operand in operands:
            _check(plan, SCORE, operand, LEFT)
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
        _check(shoppers.plan, SCORE, shoppers, LEFT)
        check_item_model(shoppers.plan, items, bias)
        return ClearProduct(shoppers.plan, shoppers.values.T @ items + bias)


class ClearDecryptor:
    """Hands out what a clear product holds."""

    def decrypt(self, product: ClearProduct) -> Decrypted:
        """Return the values."""
        return Decrypted(product.plan, product.values)


def _check(plan: ProductPlan, operation: str, operand: ClearMatrix, side: str) -> None:
    if operand.plan.fingerprint != plan.fingerprint or operand.side != side:
        raise Mismatch("an operand belongs to another plan")
    if plan.operation != operation:
        raise Mismatch("the plan is for another operation", got=plan.operation, expected=operation)
    check_scheme(plan, "clear")


def _kind(side: str) -> int:
    return KIND_CLEAR_OPERAND_LEFT if side == LEFT else KIND_CLEAR_OPERAND_RIGHT


def _pack(values: Float) -> bytes:
    return np.ascontiguousarray(values, dtype="<f8").tobytes()


def _unpack(data: bytes, kind: int, plan: ProductPlan, shape: tuple[int, int]) -> Float:
    body = open_header(data, kind, plan.fingerprint, 8 * shape[0] * shape[1])
    values = np.frombuffer(body, dtype="<f8").astype(np.float64).reshape(shape)
    if not np.isfinite(values).all():
        raise MalformedMessage("a clear matrix is not finite")
    return values
