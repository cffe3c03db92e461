"""What shoppers bought elsewhere, from the scores that a retailer receives of them.

The scores of a shopper are ``e V + b`` with her combined embedding e, which the other retailers
made of what she bought there. A recipient knows V, so with as many scores as factors least squares
give e back. With auxiliary data, the purchases of some shoppers at another retailer, a linear map
from e to those purchases is learnt and applied to everybody else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from hecf.he.modular import Float
from hecf.models import CrossRetailerRidge, LocalEmbedding
from hecf.privacy.attacks.outcome import Outcome, area_under_curve

SUCCESS = 0.6
RIDGE = 1e-3
"""Penalty of the attacker's regression, in units of the mean variance of what is seen."""


@dataclass(frozen=True)
class Reconstruction:
    """How well purchases were reconstructed.

    Parameters
    ----------
    area : float
        Mean over items of the area under the curve over shoppers: 1/2 is no better than
        knowing how popular an item is.
    error : float
        Squared error in units of that of each item's mean: 1 is no better than the mean.
    """

    area: float
    error: float


def combined_embedding(scores: Float, items: Float, bias: Float) -> Float:
    """Solve (shoppers, items) scores for the (shoppers, factors) embedding behind them."""
    return np.asarray(np.linalg.lstsq(items.T, (scores - bias).T, rcond=None)[0].T)


def only_best(scores: Float, k: int) -> Float:
    """Keep the best k scores of every shopper above the k-th, and zero for all others."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    out = np.zeros_like(scores)
    lowest = np.take_along_axis(scores, order[:, -1:], axis=1)
    np.put_along_axis(out, order, np.take_along_axis(scores, order, axis=1) - lowest + 1e-3, axis=1)
    return out


def reconstruct(seen: Float, bought: Float, known: int) -> Reconstruction:
    """Learn purchases from what is seen of the first shoppers, and judge on the others.

    Parameters
    ----------
    seen : float64 array, shape (shoppers, features)
    bought : float64 array, shape (shoppers, items)
        Purchases at another retailer, 0 or 1.
    known : int
        Shoppers whose purchases the attacker has.
    """
    centre, mean = seen[:known].mean(axis=0), bought[:known].mean(axis=0)
    features, targets = seen[:known] - centre, bought[:known] - mean
    penalty = RIDGE * float((features**2).sum()) / features.shape[1] + 1e-300
    gram = features.T @ features + penalty * np.eye(features.shape[1])
    weights = cho_solve(cho_factor(gram), features.T @ targets)
    guessed, true = (seen[known:] - centre) @ weights, bought[known:]
    judged = [j for j in range(true.shape[1]) if 0 < true[:, j].sum() < len(true)]
    areas = [
        area_under_curve(guessed[true[:, j] > 0, j], guessed[true[:, j] == 0, j]) for j in judged
    ]
    squares = ((guessed + mean - true) ** 2).sum() / ((true - mean) ** 2).sum()
    return Reconstruction(float(np.mean(areas)), float(squares))


def combined(
    embeddings: dict[str, LocalEmbedding], target: str, *, ridge: float, decay: float
) -> Float:
    """Every shopper's combined embedding at a target, as a coalition computes it in clear."""
    names = tuple(embeddings)
    blocks = {
        (first, second): embeddings[first].shoppers.T @ embeddings[second].shoppers
        for number, first in enumerate(names)
        for second in names[number + 1 :]
    }
    maps = CrossRetailerRidge.fit(blocks, names, ridge=ridge, decay=decay).maps
    shares = [embeddings[name].shoppers @ maps[name, target] for name in names if name != target]
    return np.asarray(np.sum(shares, axis=0), dtype=np.float64)


def experiment(
    counts: dict[str, csr_array],
    *,
    factors: int,
    ridge: float,
    decay: float,
    top_k: int | None,
) -> Outcome:
    """Reconstruct purchases at the second retailer from what the first one is shown.

    Parameters
    ----------
    counts : mapping of retailer to csr array, shape (shoppers, items)
        At least two retailers.
    factors, ridge, decay
        As in the coalition's terms.
    top_k : int or None
        Items that are shown of a shopper; None if the whole row is, as in a blinded release.
    """
    embeddings = {name: LocalEmbedding.fit(matrix, factors) for name, matrix in counts.items()}
    target, source = list(counts)[:2]
    model = embeddings[target]
    scores = model.scores(combined(embeddings, target, ridge=ridge, decay=decay))
    bought = (counts[source].toarray() > 0).astype(np.float64)
    known = len(bought) // 4
    everything = combined_embedding(scores, model.items, model.mean)
    shown = everything if top_k is None else only_best(scores, top_k)
    return Outcome(
        attack="reconstruction",
        attacker="a recipient of scores that has a quarter of the purchases at another retailer",
        measure="area under the curve of purchases at the other retailer",
        threshold=SUCCESS,
        unprotected=reconstruct(everything, bought, known).area,
        protected=reconstruct(shown, bought, known).area,
        protection="none, whole rows are shown"
        if top_k is None
        else f"the best {top_k} items only",
    )
