"""The best items of each shopper, in an order that is the same everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hecf.errors import InvalidInput


def top_k(scores: NDArray[np.float64], k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the k items with the highest scores in each row.

    Parameters
    ----------
    scores : float64 array, shape (b, m)
        Minus infinity puts an item last.
    k : int
        1 to m.

    Returns
    -------
    indices : int64 array, shape (b, k)
        By descending score; equal scores by ascending index.
    scores : float64 array, shape (b, k)

    Raises
    ------
    InvalidInput
        If there are not two dimensions, a score is NaN, or k is out of range.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2:
        raise InvalidInput(
            "scores are not a matrix", got=f"shape {values.shape}", expected="(shoppers, items)"
        )
    if not 1 <= k <= values.shape[1]:
        raise InvalidInput(
            "k is out of range", got=k, expected=f"1 to {values.shape[1]}, the number of items"
        )
    undefined = int(np.count_nonzero(np.isnan(values)))
    if undefined:
        raise InvalidInput("scores are NaN", got=f"{undefined} of {values.size}", expected="none")
    # Only a stable sort of the whole row keeps equal scores in the order of their items.
    indices = np.argsort(-values, axis=1, kind="stable")[:, :k].astype(np.int64)
    return indices, np.take_along_axis(values, indices, axis=1)
