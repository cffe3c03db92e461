"""How far two computations of the same thing agree, such as clear and encrypted ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hecf.errors import InvalidInput
from hecf.evaluation.hits import check_rankings


def top_overlap(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Mean share of items that two rankings of the same shoppers have in common.

    Parameters
    ----------
    a, b : int array, shape (shoppers, k)
        Different item indices in each row. Their order does not matter; -1, a place without an
        item, agrees with itself.

    Returns
    -------
    float
        0 to 1; 1 means the same k items for every shopper.

    Raises
    ------
    InvalidInput
        If shapes differ, or rows are not different item indices.
    """
    first, second = np.asarray(a), np.asarray(b)
    check_rankings("first", first)
    check_rankings("second", second)
    _check_shapes(first, second)
    # One more than the items, so that -1 is no item of the row before.
    width = max(int(first.max()), int(second.max())) + 2
    offsets = np.arange(first.shape[0], dtype=np.int64)[:, None] * width
    return float(np.isin(first + offsets, second + offsets).mean())


def largest_error(a: ArrayLike, b: ArrayLike) -> float:
    """Largest absolute difference of two arrays.

    Parameters
    ----------
    a, b : array of numbers
        Of one shape; broadcasting would hide a wrong shape, so it is refused.

    Returns
    -------
    float
        In the units of the arrays.

    Raises
    ------
    InvalidInput
        If shapes differ, the arrays are empty, or a value is NaN or infinite.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    _check_shapes(first, second)
    if first.size == 0:
        raise InvalidInput("there is nothing to compare", got=first.shape, expected="values")
    wrong = int(np.count_nonzero(~(np.isfinite(first) & np.isfinite(second))))
    if wrong:
        raise InvalidInput(
            "values to compare are NaN or infinite", got=f"{wrong} of {first.size}", expected="none"
        )
    return float(np.abs(first - second).max())


def _check_shapes(first: NDArray[np.generic], second: NDArray[np.generic]) -> None:
    if first.shape != second.shape:
        raise InvalidInput("the compared arrays differ", got=second.shape, expected=first.shape)
