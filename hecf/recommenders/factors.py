"""Alternating least squares whose item step adds up statistics of several retailers."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from hecf.errors import InvalidInput
from hecf.models.als import initial_factors, normal_equations, row_factors, solved
from hecf.models.item_gram import packed, unpacked
from hecf.models.ranking import top_k
from hecf.models.weights import Weighting, interaction_weights
from hecf.recommenders.base import Float, Recommender, Summation

_BATCH = 2048


class AlternatingLeastSquares(Recommender):
    """Matrix factorisation for implicit feedback (Hu, Koren and Volinsky 2008).

    The factors of shoppers are computed at home and stay there. In a coalition, item factors come
    from sums over all retailers of ``d (d + 3) / 2`` numbers for each item.

    Parameters
    ----------
    factors : int
        d.
    regularization : float
        Positive.
    alpha : float
        Confidence of an interaction is alpha times its weight.
    iterations : int
        Each takes one sum.
    weighting : {"binary", "log1p"}
        Weights of the counts.
    statistics_bound : float
        Largest absolute value among the statistics of any retailer. In a coalition all must have
        the same; a larger one makes the sum coarser, and what exceeds it is refused.
    """

    _arrays: ClassVar[tuple[str, ...]] = ("user_factors", "item_factors")
    user_factors: Float
    item_factors: Float

    def __init__(
        self,
        factors: int = 16,
        regularization: float = 1.0,
        alpha: float = 4.0,
        iterations: int = 5,
        weighting: Weighting = "binary",
        statistics_bound: float = 4096.0,
    ) -> None:
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.iterations = iterations
        self.weighting = weighting
        self.statistics_bound = statistics_bound

    @property
    def items(self) -> int:
        """Number of items."""
        return int(self.item_factors.shape[0])

    def similar_users(
        self, userid: int | ArrayLike, N: int = 10
    ) -> tuple[NDArray[np.int32], Float]:
        """Find the users of the fit with the most similar factors, by cosine."""
        self._check_fitted()
        return _nearest(self.user_factors, userid, N)

    def _fit(self, counts: csr_array, summation: Summation) -> None:
        self._check_settings()
        confidences = self._confidences(counts)
        by_item = csr_array(confidences.T)
        items = initial_factors(counts.shape[1], self.factors)
        triangle = self.factors * (self.factors + 1) // 2
        for iteration in range(self.iterations):
            users = self._users(confidences, items)
            matrices, right = normal_equations(by_item, users)
            parts = (packed(users.T @ users), matrices.ravel(), right.ravel())
            total = summation(
                f"item-equations-{iteration + 1}",
                np.concatenate(parts),
                value_bound=self.statistics_bound,
                whole=False,
            )
            shared, matrices, right = np.split(total, np.cumsum([part.size for part in parts])[:2])
            items = solved(
                unpacked(shared, self.factors),
                matrices.reshape(-1, triangle),
                right.reshape(-1, self.factors),
                self.regularization,
            )
        self.item_factors = items
        self.user_factors = self._users(confidences, items)

    def _scores(self, users: NDArray[np.int64], counts: csr_array, recalculate: bool) -> Float:
        if recalculate:
            new = self._users(self._confidences(counts), self.item_factors)
            return np.asarray(new @ self.item_factors.T)
        if users.size and not 0 <= int(users.min()) <= int(users.max()) < len(self.user_factors):
            raise InvalidInput(
                "userid is out of range",
                expected=f"0 to {len(self.user_factors) - 1}, or recalculate_user for new users",
            )
        return np.asarray(self.user_factors[users] @ self.item_factors.T)

    def _item_similarities(self, chosen: NDArray[np.int64]) -> Float:
        directions = _directions(self.item_factors)
        return np.asarray(directions[chosen] @ directions.T)

    def _confidences(self, counts: csr_array) -> csr_array:
        confidences = interaction_weights(counts, self.weighting)
        confidences.data = confidences.data * self.alpha
        return confidences

    def _users(self, confidences: csr_array, items: Float) -> Float:
        # A batch bounds the memory of the triangles, d (d + 1) / 2 numbers a shopper.
        parts = [
            row_factors(csr_array(confidences[start : start + _BATCH]), items, self.regularization)
            for start in range(0, confidences.shape[0], _BATCH)
        ]
        return np.concatenate(parts) if parts else np.empty((0, items.shape[1]))

    def _check_settings(self) -> None:
        positive = (self.regularization, self.alpha, self.statistics_bound)
        if not all(math.isfinite(value) and value > 0 for value in positive):
            raise InvalidInput(
                "a setting of alternating least squares is out of range",
                got=positive,
                expected="positive regularization, alpha and statistics_bound",
            )
        if self.iterations < 1:
            raise InvalidInput("iterations are too few", got=self.iterations, expected="1 up")


def _directions(rows: Float) -> Float:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0))


def _nearest(rows: Float, chosen: int | ArrayLike, count: int) -> tuple[NDArray[np.int32], Float]:
    places = np.atleast_1d(np.asarray(chosen))
    if places.dtype.kind not in "iu" or not ((places >= 0) & (places < len(rows))).all():
        raise InvalidInput("userid is out of range", expected=f"0 to {len(rows) - 1}")
    directions = _directions(rows)
    ids, scores = top_k(directions[places] @ directions.T, min(count, len(rows)))
    found = ids.astype(np.int32)
    return (found[0], scores[0]) if np.ndim(chosen) == 0 else (found, scores)
