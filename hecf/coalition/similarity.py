"""Similar rows of two retailers of a coalition in one process."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hecf.coalition.services import LocalServices
from hecf.errors import InvalidInput
from hecf.he.similarity.scores import TopSimilar
from hecf.measure import Measurements
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.protocol.terms import Terms
from hecf.recipes.similarity import SimilarityRetailer
from hecf.recommenders.factors import FactorRecommender

Float = NDArray[np.float64]
_LABEL = "rows"


def most_similar_rows(
    terms: Terms, source: str, target: str, left: Float, right: Float, count: int
) -> tuple[NDArray[np.int64], Float]:
    """Find the most similar rows of another retailer, under encryption.

    Parameters
    ----------
    terms : Terms
    source, target : str
        The retailer that asks, and the other one.
    left : float64 array, shape (a, d)
        Rows of the retailer that asks, norm at most 1.
    right : float64 array, shape (b, d)
        Rows of the other retailer, norm at most 1.
    count : int
        1 to the terms' top_k, and at most half of b.

    Returns
    -------
    rows : int64 array, shape (a, count)
        Positions in `right`, best first.
    scores : float64 array, shape (a, count)

    Raises
    ------
    InvalidInput
        If the rows do not fit each other, or a norm is above 1.
    ReleaseRefused
        If more is asked for than the terms release.

    Notes
    -----
    Few rows are packed, a result of some megabytes. The result of many fills a ring of 8192 rows
    and columns: over 1 GB from node to key holder, through a temporary folder, and some seconds.

    Security
    --------
    All roles run in this process. Whoever asks with rows of its own choice learns where the
    other's rows lie: with d independent questions, everything about the best ones.
    """
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise InvalidInput(
            "rows of two retailers do not fit each other",
            got=f"{left.shape} and {right.shape}",
            expected="the same number of columns",
        )

    found: list[TopSimilar] = []

    def take_part(name: str, node: ComputeNode, holder: KeyHolder, mine: Measurements) -> None:
        retailer = SimilarityRetailer(terms, name, node, holder, mine)
        if name == source:
            found.append(retailer.ask(_LABEL, target, left, len(right), count))
        else:
            retailer.answer(source, _LABEL, right, count)

    with LocalServices(terms) as services:
        services.run((source, target), take_part)
    return found[0].columns, found[0].scores


def directions_of(model: FactorRecommender, userid: ArrayLike) -> Float:
    """Return the directions of some users of a fit, one a row.

    Raises
    ------
    InvalidInput
        If there is no such user.
    """
    users, directions = np.atleast_1d(np.asarray(userid)), model.user_directions
    if users.dtype.kind not in "iu" or not ((users >= 0) & (users < len(directions))).all():
        raise InvalidInput("userid is out of range", expected=f"0 to {len(directions) - 1}")
    return np.asarray(directions[users])
