"""PureSVD, whose axes come from one sum over the retailers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.sparse import csr_array

from hecf.models.pure_svd import leading_axes
from hecf.models.weights import Weighting, interaction_weights
from hecf.recommenders.base import Float, Summation
from hecf.recommenders.factors import FactorRecommender, divided
from hecf.recommenders.items import summed_gram


class PureSVD(FactorRecommender):
    """Truncated singular value decomposition (Cremonesi, Koren and Turrin 2010, section 3.3).

    A shopper's factors are her weights on the strongest axes of all shoppers, and her scores what
    these axes carry of her weights. How alike two shoppers are is the cosine of what the axes carry
    of both: one whose purchases the axes hardly carry is like nobody.

    In a coalition, the axes come from one sum of ``m (m + 1) / 2`` numbers for m items.

    Parameters
    ----------
    factors : int
        d, at most the number of items.
    weighting : {"binary", "log1p"}
        Weights of the counts.
    """

    _arrays: ClassVar[tuple[str, ...]] = (
        "user_factors",
        "user_lengths",
        "item_factors",
        "item_lengths",
        "strengths",
    )
    user_lengths: Float
    """Norms of the users' weights, shape (n,)."""
    item_lengths: Float
    """Norms of the items' weights over the users of all retailers, shape (m,)."""
    strengths: Float
    """Singular values of the axes, shape (d,)."""

    def __init__(self, factors: int = 16, weighting: Weighting = "binary") -> None:
        self.factors = factors
        self.weighting = weighting

    @property
    def user_directions(self) -> Float:
        """Part of the users' weights, at norm 1, that the axes carry."""
        return divided(self.user_factors, self.user_lengths)

    @property
    def item_directions(self) -> Float:
        """Part of the items' weights, at norm 1, that the axes carry."""
        return divided(self.item_factors * self.strengths, self.item_lengths)

    def _fit(self, counts: csr_array, summation: Summation) -> None:
        gram = summed_gram(counts, self.weighting, summation)
        self.item_factors, self.strengths = leading_axes(gram, self.factors)
        self.item_lengths = np.sqrt(np.diagonal(gram))
        weights = interaction_weights(counts, self.weighting)
        self.user_factors = np.asarray(weights @ self.item_factors)
        self.user_lengths = _lengths(weights)

    def _directions_of(self, item_users: csr_array) -> Float:
        weights = interaction_weights(item_users, self.weighting)
        carried = np.divide(
            np.asarray(weights @ self.user_factors),
            self.strengths,
            out=np.zeros((weights.shape[0], self.strengths.size)),
            where=self.strengths > 0,
        )
        return divided(carried, _lengths(weights))

    def _folded_in(self, counts: csr_array) -> Float:
        return np.asarray(interaction_weights(counts, self.weighting) @ self.item_factors)


def _lengths(weights: csr_array) -> Float:
    return np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1), dtype=np.float64))
