"""Alternating least squares whose item step adds up statistics of several retailers."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_array

from hecf.errors import InvalidInput
from hecf.models.als import (
    contribution_norms,
    initial_factors,
    normal_equations,
    row_factors,
    solved,
)
from hecf.models.item_gram import packed, unpacked, without_negative_part
from hecf.models.weights import Weighting, interaction_weights
from hecf.recommenders.base import Float, Summation
from hecf.recommenders.factors import FactorRecommender, divided

_BATCH = 2048


class AlternatingLeastSquares(FactorRecommender):
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
    def user_directions(self) -> Float:
        """Factors of the users at norm 1."""
        return divided(self.user_factors, np.linalg.norm(self.user_factors, axis=1))

    @property
    def item_directions(self) -> Float:
        """Factors of the items at norm 1."""
        return divided(self.item_factors, np.linalg.norm(self.item_factors, axis=1))

    def _fit(self, counts: csr_array, summation: Summation) -> None:
        self._check_settings()
        confidences = self._confidences(counts)
        by_item = csr_array(confidences.T)
        items = initial_factors(counts.shape[1], self.factors)
        triangle = self.factors * (self.factors + 1) // 2
        limit = summation.contribution_bound
        for iteration in range(self.iterations):
            users = self._users(confidences, items)
            weights = _weights(confidences, users, limit)
            matrices, right = normal_equations(by_item, users, weights)
            shared = users.T @ (weights[:, None] * users)
            parts = (packed(shared), matrices.ravel(), right.ravel())
            total = summation(
                f"item-equations-{iteration + 1}",
                np.concatenate(parts),
                value_bound=self.statistics_bound,
                whole=False,
            )
            first, matrices, right = np.split(total, np.cumsum([part.size for part in parts])[:2])
            shared, matrices = unpacked(first, self.factors), matrices.reshape(-1, triangle)
            if not math.isinf(limit):
                left = without_negative_part(unpacked(matrices, self.factors) + shared)
                shared, matrices = np.zeros_like(shared), packed(left)
            items = solved(
                shared,
                matrices,
                right.reshape(-1, self.factors),
                self.regularization,
            )
        self.item_factors = items
        self.user_factors = self._users(confidences, items)

    def _directions_of(self, item_users: csr_array) -> Float:
        confidences = self._confidences(item_users)
        found = row_factors(confidences, self.user_factors, self.regularization)
        return divided(found, np.linalg.norm(found, axis=1))

    def _folded_in(self, counts: csr_array) -> Float:
        return self._users(self._confidences(counts), self.item_factors)

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


def _weights(confidences: csr_array, users: Float, limit: float) -> Float:
    """How much of each shopper's statistics stays within what she may add."""
    if math.isinf(limit):
        return np.ones(len(users))
    norms = contribution_norms(confidences, users)
    return np.asarray(np.minimum(1.0, limit / np.maximum(norms, np.finfo(np.float64).tiny)))
