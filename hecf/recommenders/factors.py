"""What recommenders made of factors have in common: users and items as rows that are compared."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from hecf.errors import InvalidInput
from hecf.recommenders.base import Float, Recommender, best, indices


class FactorRecommender(Recommender):
    """Scores are products of user and item factors.

    All retailers of a coalition get the same item factors, so their users can be compared. The
    factors of users are computed at home and stay there.
    """

    user_factors: Float
    item_factors: Float

    @property
    def items(self) -> int:
        """Number of items."""
        return int(self.item_factors.shape[0])

    @property
    @abstractmethod
    def user_directions(self) -> Float:
        """Rows of norm at most 1, one a user of the fit: their products say how alike users are."""

    @property
    @abstractmethod
    def item_directions(self) -> Float:
        """The same of the items."""

    def similar_users(
        self,
        userid: int | ArrayLike,
        N: int = 10,
        filter_users: ArrayLike | None = None,
        users: ArrayLike | None = None,
    ) -> tuple[NDArray[np.int32], Float]:
        """Find the most similar users of the fit, by the products of their directions."""
        self._check_fitted()
        directions = self.user_directions
        places = indices("userid", np.atleast_1d(np.asarray(userid)), len(directions))
        scores = np.asarray(directions[places] @ directions.T)
        return best(scores, N, filter_users, users, single=np.ndim(userid) == 0)

    @abstractmethod
    def _directions_of(self, item_users: csr_array) -> Float:
        """Directions of items of which only the counts by the users of the fit are known."""

    @abstractmethod
    def _folded_in(self, counts: csr_array) -> Float:
        """Factors of users of whom only the counts are known, from the item factors."""

    def _scores(self, users: NDArray[np.int64], counts: csr_array, recalculate: bool) -> Float:
        if recalculate:
            return np.asarray(self._folded_in(counts) @ self.item_factors.T)
        if users.size and not 0 <= int(users.min()) <= int(users.max()) < len(self.user_factors):
            raise InvalidInput(
                "userid is out of range",
                expected=f"0 to {len(self.user_factors) - 1}, or recalculate_user for new users",
            )
        return np.asarray(self.user_factors[users] @ self.item_factors.T)

    def _item_similarities(self, chosen: NDArray[np.int64]) -> Float:
        directions = self.item_directions
        return np.asarray(directions[chosen] @ directions.T)

    def _similarities_to(self, item_users: csr_array) -> Float:
        if item_users.shape[1] != len(self.user_factors):
            raise InvalidInput(
                "the counts of items have other users than the fit",
                got=f"{item_users.shape[1]} users",
                expected=f"{len(self.user_factors)}",
            )
        return np.asarray(self._directions_of(item_users) @ self.item_directions.T)


def divided(rows: Float, lengths: Float) -> Float:
    """Divide rows by lengths (n,); a row of length 0 becomes zeros."""
    column = lengths[:, None]
    return np.asarray(np.divide(rows, column, out=np.zeros_like(rows), where=column > 0))
