"""Operands and results in clear, and their bytes: the twins of encrypted ones."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from hecf.errors import MalformedMessage
from hecf.he.messages import HEADER_BYTES, Kind, header, open_header
from hecf.he.modular import Float
from hecf.he.plan import LEFT, RIGHT, OperandPlan
from hecf.he.product.plan import ProductPlan
from hecf.he.similarity.matrices import TilePlace
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.streams import parsed, written

_PLACE = struct.Struct("<2I")


@dataclass(frozen=True)
class ClearMatrix:
    """An operand in clear, or some consecutive stripes of one.

    Parameters
    ----------
    plan : OperandPlan
    side : {"left", "right"}
    values : float64 array
        ``plan.matrix_shape(side)`` for a whole operand.
    first : int
        Number of the first stripe.
    """

    plan: OperandPlan
    side: str
    values: Float
    first: int = 0

    @property
    def count(self) -> int:
        """Stripes that are here."""
        stripes = self.plan.stripes(self.side)
        return stripes.within(self.values.shape[stripes.axis])

    def body(self) -> bytes:
        """Little-endian float64 values, stripe after stripe."""
        return _pack(np.moveaxis(self.values, self.plan.stripes(self.side).axis, 0))

    def to_bytes(self) -> bytes:
        """Header and values of a whole operand."""
        return b"".join(written([self]))

    @staticmethod
    def kind(side: str) -> Kind:
        """Return what the header of an operand says."""
        return Kind.CLEAR_OPERAND_LEFT if side == LEFT else Kind.CLEAR_OPERAND_RIGHT

    @classmethod
    def body_bytes(cls, plan: OperandPlan, side: str, first: int, count: int) -> int:
        """Bytes of some stripes on the wire."""
        return 8 * math.prod(stripe_shape(plan, side, first, count))

    @classmethod
    def from_body(
        cls, plan: OperandPlan, side: str, first: int, count: int, data: memoryview
    ) -> ClearMatrix:
        """Parse some stripes of which the length was checked."""
        values = _unpack(data, stripe_shape(plan, side, first, count))
        axis = plan.stripes(side).axis
        return cls(plan, side, np.ascontiguousarray(np.moveaxis(values, 0, axis)), first)

    @classmethod
    def from_bytes(cls, plan: OperandPlan, side: str, data: bytes) -> ClearMatrix:
        """Parse; errors as for :meth:`hecf.he.matrices.EncryptedMatrix.from_bytes`."""
        return parsed(cls, plan, side, data)


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
        length = 8 * plan.left * plan.right
        body = open_header(data, Kind.CLEAR_PRODUCT, plan.fingerprint, length)
        return cls(plan, _unpack(body, (plan.left, plan.right)))


@dataclass(frozen=True)
class ClearTile:
    """Scores of one group of shoppers, or one panel of a similarity, in clear.

    Parameters
    ----------
    plan : ProductPlan or SimilarityPlan
    row, column : int
        Number of the stripe of A, and of B for a similarity.
    values : float64 array, shape (rows, columns)
    """

    plan: ProductPlan | SimilarityPlan
    row: int
    column: int
    values: Float

    @property
    def place(self) -> TilePlace:
        """Where it lies in a similarity: a tile in clear is a whole panel."""
        return TilePlace(self.row, self.column, 0, len(self.values))

    def to_bytes(self) -> bytes:
        """Header, place and little-endian float64 values."""
        start = header(Kind.CLEAR_TILE, self.plan.fingerprint) + _PLACE.pack(self.row, self.column)
        return start + _pack(self.values)

    @classmethod
    def from_bytes(cls, plan: ProductPlan | SimilarityPlan, data: bytes) -> ClearTile:
        """Parse; errors as for :meth:`hecf.he.product.tiles.ProductTile.from_bytes`."""
        if len(data) < HEADER_BYTES + _PLACE.size:
            raise MalformedMessage("a tile is too short", got=f"{len(data)} bytes")
        row, column = _PLACE.unpack_from(data, HEADER_BYTES)
        cut = isinstance(plan, SimilarityPlan)
        groups = plan.stripes(LEFT).count, plan.stripes(RIGHT).count if cut else 1
        if row >= groups[0] or column >= groups[1]:
            raise MalformedMessage(
                "a tile is outside of its result", got=(row, column), expected=groups
            )
        columns = stripe_shape(plan, RIGHT, column, 1)[0] if cut else plan.right
        shape = (stripe_shape(plan, LEFT, row, 1)[0], columns)
        length = _PLACE.size + 8 * math.prod(shape)
        body = open_header(data, Kind.CLEAR_TILE, plan.fingerprint, length)
        return cls(plan, row, column, _unpack(body[_PLACE.size :], shape))


def stripe_shape(plan: OperandPlan, side: str, first: int, count: int) -> tuple[int, ...]:
    """Shape of stripes in clear, with the axis that is cut first."""
    stripes, shape = plan.stripes(side), plan.matrix_shape(side)
    entries = min(stripes.length - first * stripes.entries, count * stripes.entries)
    return (entries, *shape[: stripes.axis], *shape[stripes.axis + 1 :])


def _pack(values: Float) -> bytes:
    return np.ascontiguousarray(values, dtype="<f8").tobytes()


def _unpack(data: memoryview, shape: tuple[int, ...]) -> Float:
    values = np.frombuffer(data, dtype="<f8").astype(np.float64).reshape(shape)
    if not np.isfinite(values).all():
        raise MalformedMessage("a clear matrix is not finite")
    return values
