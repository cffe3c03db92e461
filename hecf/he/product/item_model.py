"""The plaintext side of a score: a retailer's item factors and bias, scaled to a plan's bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hecf.errors import InvalidInput
from hecf.he.messages import Kind, header, open_header
from hecf.he.modular import Float
from hecf.he.product.plan import ProductPlan, check_item_model


@dataclass(frozen=True)
class ItemModel:
    """Item factors with columns of 1-norm at most 1, and a bias of at most 1.

    Parameters
    ----------
    items : float64 array, shape (factors, items)
    bias : float64 array, shape (items,)

    Security
    --------
    The compute node reads these numbers. They are a model of the retailer's catalogue, without
    names of items and without a row of any shopper.
    """

    items: Float
    bias: Float

    @classmethod
    def scaled(cls, items: Float, bias: Float) -> tuple[ItemModel, float]:
        """Scale factors and bias to the bounds of a score plan.

        Returns
        -------
        model : ItemModel
        unit : float
            Multiply released scores by it to return to the given scale. It stays at home.

        Raises
        ------
        InvalidInput
            If there are no items, or a value or a column's 1-norm is not finite.
        """
        if items.size == 0 or bias.size == 0:
            raise InvalidInput("an item model has no items", got=items.shape)
        with np.errstate(over="ignore"):
            norms = np.abs(items).sum(axis=0)
        if not (np.isfinite(norms).all() and np.isfinite(bias).all()):
            raise InvalidInput("an item factor or bias is not finite")
        unit = max(float(norms.max()), float(np.abs(bias).max()), 1e-300)
        return cls(items / unit, bias / unit), unit

    def to_bytes(self, plan: ProductPlan) -> bytes:
        """Header, item factors and bias as little-endian float64."""
        check_item_model(plan, self.items, self.bias)
        body = np.concatenate([self.items.ravel(), self.bias]).astype("<f8").tobytes()
        return header(Kind.ITEM_MODEL, plan.fingerprint) + body

    @classmethod
    def from_bytes(cls, plan: ProductPlan, data: bytes) -> ItemModel:
        """Parse and check against the plan.

        Raises
        ------
        Mismatch, MalformedMessage, InvalidInput
            If header, length or bounds are not as agreed.
        """
        count = plan.inner * plan.right
        body = open_header(data, Kind.ITEM_MODEL, plan.fingerprint, 8 * (count + plan.right))
        values = np.frombuffer(body, dtype="<f8").astype(np.float64)
        model = cls(values[:count].reshape(plan.inner, plan.right), values[count:])
        check_item_model(plan, model.items, model.bias)
        return model
