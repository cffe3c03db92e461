"""One retailer's part of the vertical model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hecf.models import CrossRetailerRidge, LocalEmbedding
from hecf.models.cross_ridge import Blocks
from hecf.models.selection import Penalty

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CrossRetailerModel:
    """What a retailer holds after the joint regression.

    Parameters
    ----------
    name : str
    embedding : LocalEmbedding
        Its own, fitted at home.
    item_ids : tuple of str
        Its catalogue.
    user_ids : tuple of str
        The shared shoppers.
    rows : float64 array, shape (shoppers, d)
        Its embedding of them, those of updates included.
    blocks : mapping of (r, s) to float64 array, shape (d, d)
        Released products of all pairs of retailers.
    own : mapping of str to float64 array, shape (d, d)
        Products of every retailer's rows with themselves: the identity before updates.
    ridge : CrossRetailerRidge
    penalty : Penalty
        The chosen settings of the regression.

    Security
    --------
    `embedding` and `rows` describe shoppers and may not leave the retailer unencrypted.
    """

    name: str
    embedding: LocalEmbedding
    item_ids: tuple[str, ...]
    user_ids: tuple[str, ...]
    rows: Float
    blocks: Blocks
    own: Mapping[str, Float]
    ridge: CrossRetailerRidge
    penalty: Penalty

    def __repr__(self) -> str:
        return (
            f"CrossRetailerModel({self.name!r}, {len(self.user_ids)} users, "
            f"{len(self.item_ids)} items, {self.embedding.factors} factors)"
        )

    @cached_property
    def _position(self) -> dict[str, int]:
        return {user: row for row, user in enumerate(self.user_ids)}

    def rows_of(self, users: Sequence[str]) -> Float:
        """Rows of some shoppers, (b, d); zeros for who is not among them."""
        found = np.zeros((len(users), self.embedding.factors))
        for place, user in enumerate(users):
            row = self._position.get(user)
            if row is not None:
                found[place] = self.rows[row]
        return found
