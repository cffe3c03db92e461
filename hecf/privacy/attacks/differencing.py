"""A shopper's row from two releases of which one covers her and the other does not.

``P'S`` is a sum over shoppers of ``p_i s_i'``, so two blocks that differ by one shopper differ by
a matrix of rank one, whose singular vectors are her rows at both retailers up to scale.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hecf.he.modular import Float
from hecf.he.sampling import RandomBytes, gaussian
from hecf.privacy.attacks.outcome import Outcome

SUCCESS = 0.9
MOST_ROWS = 4096


def rank_one(before: Float, after: Float) -> tuple[Float, Float]:
    """Return unit vectors along the shopper's rows at both retailers, of one unknown sign."""
    left, _, right = np.linalg.svd(before - after)
    return left[:, 0], right[0]


def similarity(found: Float, true: Float) -> float:
    """Absolute cosine of two vectors."""
    return float(abs(found @ true) / (np.linalg.norm(found) * np.linalg.norm(true)))


def experiment(
    shoppers: int,
    factors: int,
    release: Callable[[Float], Float],
    random: RandomBytes,
    protection: str,
) -> Outcome:
    """Subtract two blocks of which one lacks a shopper, exact and as they are released.

    Parameters
    ----------
    shoppers, factors : int
        Rows and columns of both embeddings.
    release : callable
        What happens to a block before it leaves the key holder.
    random : callable
        Source of cryptographically secure bytes.
    protection : str
        What `release` does, for the outcome.
    """
    # Of the others only their number counts, which sets the size of every row.
    rows = min(shoppers, MOST_ROWS)
    left, right = (gaussian((rows, factors), random) / shoppers**0.5 for _ in range(2))
    with_her, without = left.T @ right, left[1:].T @ right[1:]

    def reached(before: Float, after: Float) -> float:
        first, second = rank_one(before, after)
        return min(similarity(first, left[0]), similarity(second, right[0]))

    return Outcome(
        attack="differencing",
        attacker="a retailer with two blocks that differ by one shopper",
        measure="cosine of the found row with the shopper's, the worse of both retailers",
        threshold=SUCCESS,
        unprotected=reached(with_her, without),
        protected=reached(release(with_her), release(without)),
        protection=protection,
    )
