"""Recommenders made of products of item columns: most popular, item-kNN and EASE."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hecf.errors import InvalidInput
from hecf.models.ease import ease_weights
from hecf.models.item_gram import item_gram, packed, unpacked, without_negative_part
from hecf.models.item_knn import cosine_neighbours
from hecf.models.weights import Weighting, interaction_weights, shortened
from hecf.recommenders.base import Float, Recommender, Summation

LARGEST_COUNT = 1000
"""Higher counts weigh as this one, so that the products have a bound that everybody knows."""


class MostPopular(Recommender):
    """Recommends to everybody the items that most shoppers bought."""

    _arrays: ClassVar[tuple[str, ...]] = ("buyers",)
    buyers: Float

    @property
    def items(self) -> int:
        """Number of items."""
        return int(self.buyers.size)

    def _fit(self, counts: csr_array, summation: Summation) -> None:
        limit = summation.contribution_bound
        weights = shortened(interaction_weights(counts, "binary"), limit)
        self.buyers = summation(
            "item-buyers",
            np.asarray(weights.sum(axis=0), dtype=np.float64).ravel(),
            value_bound=float(summation.shoppers),
            whole=math.isinf(limit),
        )

    def _scores(self, users: NDArray[np.int64], counts: csr_array, recalculate: bool) -> Float:
        return np.tile(self.buyers, (counts.shape[0], 1))

    def _item_similarities(self, chosen: NDArray[np.int64]) -> Float:
        raise InvalidInput("popularity says nothing of similarity", expected="another recommender")


class ItemKNN(Recommender):
    """Item-based nearest neighbours by cosine.

    Parameters
    ----------
    K : int
        Neighbours of an item, itself not counted.
    weighting : {"binary", "log1p"}
        Weights of the counts.
    """

    _arrays: ClassVar[tuple[str, ...]] = ("indptr", "indices", "data")

    def __init__(self, K: int = 50, weighting: Weighting = "binary") -> None:
        self.K = K
        self.weighting = weighting

    @property
    def similarity(self) -> csr_array:
        """Row i holds the neighbours of item i."""
        side = self.indptr.size - 1
        return csr_array((self.data, self.indices, self.indptr), shape=(side, side))

    @property
    def items(self) -> int:
        """Number of items."""
        return int(self.indptr.size) - 1

    def _fit(self, counts: csr_array, summation: Summation) -> None:
        found = cosine_neighbours(summed_gram(counts, self.weighting, summation), self.K)
        self.indptr, self.indices, self.data = found.indptr, found.indices, found.data

    def _scores(self, users: NDArray[np.int64], counts: csr_array, recalculate: bool) -> Float:
        weights = interaction_weights(counts, self.weighting)
        return np.asarray((weights @ self.similarity).toarray())

    def _item_similarities(self, chosen: NDArray[np.int64]) -> Float:
        cosines = np.asarray(self.similarity[chosen].toarray())
        cosines[np.arange(chosen.size), chosen] = 1.0
        # What is not among the neighbours has no known similarity.
        return np.where(cosines > 0, cosines, -np.inf)


class EASE(Recommender):
    """The linear autoencoder of Steck (2019) in closed form.

    Parameters
    ----------
    penalty : float
        Ridge penalty, in squared weights: with binary weights, in shoppers.
    weighting : {"binary", "log1p"}
        Weights of the counts.
    """

    _arrays: ClassVar[tuple[str, ...]] = ("weights",)
    weights: Float

    def __init__(self, penalty: float = 500.0, weighting: Weighting = "binary") -> None:
        self.penalty = penalty
        self.weighting = weighting

    @property
    def items(self) -> int:
        """Number of items."""
        return int(self.weights.shape[1])

    def _fit(self, counts: csr_array, summation: Summation) -> None:
        gram = summed_gram(counts, self.weighting, summation)
        self.weights = ease_weights(gram, self.penalty)

    def _scores(self, users: NDArray[np.int64], counts: csr_array, recalculate: bool) -> Float:
        return np.asarray(interaction_weights(counts, self.weighting) @ self.weights)

    def _item_similarities(self, chosen: NDArray[np.int64]) -> Float:
        weights = self.weights[chosen].copy()
        weights[np.arange(chosen.size), chosen] = 1.0
        return weights


def summed_gram(counts: csr_array, kind: Weighting, summation: Summation) -> Float:
    """Products of item columns over the shoppers of all retailers.

    Raises
    ------
    InvalidInput
        If the counts are out of range.
    """
    clipped = csr_array(counts, copy=True)
    clipped.data = np.minimum(clipped.data, LARGEST_COUNT)
    limit = summation.contribution_bound
    private = not math.isinf(limit)
    gram = item_gram(clipped, kind, limit)
    largest = 1.0 if kind == "binary" else float(np.log1p(LARGEST_COUNT)) ** 2
    summed = summation(
        "item-products",
        packed(gram),
        value_bound=min(largest, limit) * summation.shoppers,
        whole=kind == "binary" and not private,
    )
    total = unpacked(summed, gram.shape[0])
    return without_negative_part(total) if private else total
