"""All metrics at once, for warm and cold shoppers apart, and clear beside encrypted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from hecf.errors import InvalidInput
from hecf.evaluation.agreement import largest_error, top_overlap
from hecf.evaluation.hits import Hits
from hecf.evaluation.metrics import SHOPPER_METRICS, coverage

ALL, WARM, COLD = "all", "warm", "cold"


@dataclass(frozen=True)
class Quality:
    """Metrics of the recommendations to one group of shoppers.

    Parameters
    ----------
    shoppers : int
        Shoppers with anything relevant; the means are over them.
    k : int
        Places of each ranking.
    recall, calibrated_recall, precision, average_precision, ndcg, hit_rate : float
        As in :mod:`hecf.evaluation.metrics`.
    coverage : float
        Share of the catalogue that is recommended to anybody in the group.
    """

    shoppers: int
    k: int
    recall: float
    calibrated_recall: float
    precision: float
    average_precision: float
    ndcg: float
    hit_rate: float
    coverage: float

    def as_dict(self) -> dict[str, float]:
        """Return the fields by name."""
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """An encrypted model beside the same model in clear.

    Parameters
    ----------
    clear, encrypted : mapping of str to Quality
        By group of shoppers, as :func:`evaluate` returns them.
    overlap : float
        Mean share of recommended items that the two have in common.
    largest_error : float
        Largest difference of the scores at the same rank.
    """

    clear: Mapping[str, Quality]
    encrypted: Mapping[str, Quality]
    overlap: float
    largest_error: float

    def as_dict(self) -> dict[str, object]:
        """Return plain numbers, by name."""
        return {
            "clear": {group: quality.as_dict() for group, quality in self.clear.items()},
            "encrypted": {group: quality.as_dict() for group, quality in self.encrypted.items()},
            "overlap": self.overlap,
            "largest_error": self.largest_error,
        }


def evaluate(
    recommended: NDArray[np.int64],
    relevant: csr_array | csr_matrix,
    *,
    relevant_total: NDArray[np.int64] | None = None,
    history: csr_array | csr_matrix | None = None,
) -> dict[str, Quality]:
    """Judge recommendations by every metric.

    Parameters
    ----------
    recommended : int array, shape (b, k)
        Different item indices in each row, best first.
    relevant : sparse CSR array or matrix, shape (b, m)
        Every entry other than 0 is an item the shopper really bought.
    relevant_total : int array, shape (b,), optional
        Relevant items of each shopper when some lie outside the m items.
    history : sparse CSR array or matrix, shape (b, any), optional
        What was known of the shoppers. With it, those who have an entry are judged as ``warm`` and
        the others as ``cold``; their mean alone would hide who is served badly.

    Returns
    -------
    dict of str to Quality
        ``all``, and with a history ``warm`` and ``cold``, unless nobody in the group has anything
        relevant.

    Raises
    ------
    InvalidInput
        If shapes do not fit, an index is out of range or doubled in a row, a total is below the
        entries of `relevant`, or no shopper has anything relevant.
    """
    rankings = np.asarray(recommended)
    hits = Hits.of(rankings, relevant, relevant_total)
    groups = {ALL: np.ones(hits.shoppers.size, dtype=np.bool_)}
    if history is not None:
        groups |= _by_history(history, hits.shoppers, relevant.shape[0])
    values = {name: metric(hits) for name, metric in SHOPPER_METRICS.items()}
    return {
        name: Quality(
            shoppers=int(np.count_nonzero(chosen)),
            k=int(rankings.shape[1]),
            coverage=coverage(rankings[hits.shoppers[chosen]], relevant.shape[1]),
            **{metric: float(np.mean(of_all[chosen])) for metric, of_all in values.items()},
        )
        for name, chosen in groups.items()
        if chosen.any()
    }


def compare(
    clear: tuple[NDArray[np.int64], NDArray[np.float64]],
    encrypted: tuple[NDArray[np.int64], NDArray[np.float64]],
    relevant: csr_array | csr_matrix,
    *,
    relevant_total: NDArray[np.int64] | None = None,
    history: csr_array | csr_matrix | None = None,
) -> Comparison:
    """Judge an encrypted model and its clear twin by the same shoppers.

    Parameters
    ----------
    clear, encrypted : pair of arrays, shape (b, k)
        Item indices and scores, best first, as `recommend` returns them.
    relevant, relevant_total, history
        As for :func:`evaluate`.

    Raises
    ------
    InvalidInput
        As :func:`evaluate`, or if the two differ in shape or a score is not finite.
    """

    def judged(items: NDArray[np.int64]) -> dict[str, Quality]:
        return evaluate(items, relevant, relevant_total=relevant_total, history=history)

    return Comparison(
        judged(clear[0]),
        judged(encrypted[0]),
        top_overlap(clear[0], encrypted[0]),
        largest_error(*_scored(clear, encrypted)),
    )


def _scored(
    clear: tuple[NDArray[np.int64], NDArray[np.float64]],
    encrypted: tuple[NDArray[np.int64], NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of the places that hold an item in both; one that does in one only stays."""
    scores = np.asarray(clear[1]), np.asarray(encrypted[1])
    if scores[0].shape != scores[1].shape or scores[0].shape != np.shape(clear[0]):
        return scores
    filled = (np.asarray(clear[0]) >= 0) | (np.asarray(encrypted[0]) >= 0)
    return scores[0][filled], scores[1][filled]


def _by_history(
    history: csr_array | csr_matrix, judged: NDArray[np.int64], shoppers: int
) -> dict[str, NDArray[np.bool_]]:
    if not isinstance(history, csr_array | csr_matrix) or history.shape[0] != shoppers:
        raise InvalidInput(
            "the history does not fit the shoppers",
            got=getattr(history, "shape", type(history).__name__),
            expected=f"a sparse row matrix of {shoppers} rows",
        )
    # A stored zero is no purchase, so entries are counted by value.
    known = np.zeros(shoppers, dtype=np.bool_)
    known[history.nonzero()[0]] = True
    return {WARM: known[judged], COLD: ~known[judged]}
