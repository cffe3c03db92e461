"""How good recommendations are, over what shoppers really bought.

With h the hits among the k places of a shopper and t the items relevant to her:

==================  ==========================================================  ==============
recall              ``h / t``
calibrated recall   ``h / min(k, t)``, so that 1 can be reached by everyone     implicit: pooled
precision           ``h / k``
average precision   precision at every hit's rank, summed, over ``min(k, t)``   implicit: map
ndcg                discounted hits over those of the best possible ranking     implicit: ndcg
hit rate            1 if ``h > 0``, else 0
==================  ==========================================================  ==============

Each is a mean over the shoppers with anything relevant. Every function takes

recommended : int array, shape (b, k)
    Different item indices in each row, best first; -1 is a place without an item.
relevant : sparse CSR array or matrix, shape (b, m)
    Every entry other than 0 is an item the shopper really bought.
relevant_total : int array, shape (b,), optional
    Relevant items of each shopper when some lie outside the m items that can be recommended;
    they count as missed. By default the entries of `relevant`.

and raises InvalidInput if shapes do not fit, an index is out of range or doubled in a row, a total
is below the entries of `relevant`, or no shopper has anything relevant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from hecf.errors import InvalidInput
from hecf.evaluation.hits import Hits, check_rankings

Float = NDArray[np.float64]
Relevant = csr_array | csr_matrix
Totals = NDArray[np.int64] | None


def recall(
    recommended: NDArray[np.int64], relevant: Relevant, relevant_total: Totals = None
) -> float:
    """Share of a shopper's relevant items that were found: ``h / t``."""
    return _mean(_recalls, recommended, relevant, relevant_total)


def calibrated_recall(
    recommended: NDArray[np.int64], relevant: Relevant, relevant_total: Totals = None
) -> float:
    """Share of relevant items found, of those that k places could hold: ``h / min(k, t)``."""
    return _mean(_calibrated_recalls, recommended, relevant, relevant_total)


def precision(
    recommended: NDArray[np.int64], relevant: Relevant, relevant_total: Totals = None
) -> float:
    """Share of the k recommended items that are relevant: ``h / k``."""
    return _mean(_precisions, recommended, relevant, relevant_total)


def average_precision(
    recommended: NDArray[np.int64], relevant: Relevant, relevant_total: Totals = None
) -> float:
    """Mean average precision at k (MAP).

    For each shopper the precision among the first i places, summed over the ranks i that hit, over
    ``min(k, t)`` (Manning, Raghavan and Schütze 2008, section 8.4, cut off at k).
    """
    return _mean(_average_precisions, recommended, relevant, relevant_total)


def ndcg(
    recommended: NDArray[np.int64], relevant: Relevant, relevant_total: Totals = None
) -> float:
    """Normalised discounted cumulative gain at k with binary relevance.

    A hit at rank i, counted from 1, gains ``1 / log2(i + 1)``; the sum is divided by that of
    ``min(k, t)`` hits at the top (Järvelin and Kekäläinen 2002, section 2, with the discount of
    Burges et al. 2005).
    """
    return _mean(_ndcgs, recommended, relevant, relevant_total)


def hit_rate(
    recommended: NDArray[np.int64], relevant: Relevant, relevant_total: Totals = None
) -> float:
    """Share of shoppers to whom at least one relevant item was recommended."""
    return _mean(_any_hits, recommended, relevant, relevant_total)


def coverage(recommended: NDArray[np.int64], items: int) -> float:
    """Share of the catalogue that is recommended to anybody.

    Parameters
    ----------
    recommended : int array, shape (b, k)
        Different item indices in each row.
    items : int
        Size m of the catalogue.

    Raises
    ------
    InvalidInput
        If the recommendations are no rows of different indices below m.
    """
    if items < 1:
        raise InvalidInput("the catalogue has no items", got=items, expected="at least 1")
    rankings = np.asarray(recommended)
    check_rankings("recommended", rankings, items)
    return float(np.unique(rankings[rankings >= 0]).size / items)


def _mean(
    metric: Callable[[Hits], Float],
    recommended: NDArray[np.int64],
    relevant: Relevant,
    relevant_total: Totals,
) -> float:
    return float(np.mean(metric(Hits.of(recommended, relevant, relevant_total))))


def _recalls(hits: Hits) -> Float:
    return np.asarray(hits.found.sum(axis=1) / hits.totals)


def _calibrated_recalls(hits: Hits) -> Float:
    return np.asarray(hits.found.sum(axis=1) / hits.attainable, dtype=np.float64)


def _precisions(hits: Hits) -> Float:
    return np.asarray(hits.found.mean(axis=1), dtype=np.float64)


def _average_precisions(hits: Hits) -> Float:
    ranks = np.arange(1, hits.found.shape[1] + 1)
    precisions = np.cumsum(hits.found, axis=1) / ranks
    return np.asarray((precisions * hits.found).sum(axis=1) / hits.attainable, dtype=np.float64)


def _ndcgs(hits: Hits) -> Float:
    discounts = 1.0 / np.log2(np.arange(2, hits.found.shape[1] + 2))
    ideal = np.cumsum(discounts)[hits.attainable - 1]
    return np.asarray((hits.found * discounts).sum(axis=1) / ideal, dtype=np.float64)


def _any_hits(hits: Hits) -> Float:
    return np.asarray(hits.found.any(axis=1), dtype=np.float64)


SHOPPER_METRICS: Mapping[str, Callable[[Hits], Float]] = MappingProxyType(
    {
        "recall": _recalls,
        "calibrated_recall": _calibrated_recalls,
        "precision": _precisions,
        "average_precision": _average_precisions,
        "ndcg": _ndcgs,
        "hit_rate": _any_hits,
    }
)
"""The value of every shopper, by the metric's name."""
