"""Alternating least squares for implicit feedback, in steps whose statistics add up.

Hu, Koren and Volinsky 2008, section 4: with confidences c (``alpha`` times the weight of an
interaction, 1 elsewhere) the factors of one row solve

    ``(Y'Y + sum_i (c_i - 1) y_i y_i' + regularization I) x = sum_i c_i y_i``,

the sums being over its interactions. For shoppers the sums stay at home. For items they are over
shoppers, so those of several retailers add up, and the item step needs no shopper's factors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hecf.errors import InvalidInput
from hecf.models.item_gram import packed, unpacked

Float = NDArray[np.float64]
_START = 0.1


def initial_factors(items: int, factors: int) -> Float:
    """Start of the item factors: cosines of rising frequency.

    They are orthogonal, the same at every retailer, and need nothing random.

    Parameters
    ----------
    items, factors : int
        m, and d below m.

    Returns
    -------
    float64 array, shape (m, d)

    Raises
    ------
    InvalidInput
        If there are not fewer factors than items.
    """
    if not 1 <= factors < items:
        raise InvalidInput(
            "the number of factors does not suit the items",
            got=f"{factors} factors, {items} items",
            expected=f"1 to {max(items - 1, 0)} factors",
        )
    places = np.arange(items) + 0.5
    angles = np.pi / items * places[:, None] * np.arange(1, factors + 1)
    return np.asarray(_START * np.cos(angles), dtype=np.float64)


def normal_equations(
    confidences: csr_array, factors: Float, weights: Float | None = None
) -> tuple[Float, Float]:
    """Sum up the normal equations of every row, without the part that all rows share.

    Parameters
    ----------
    confidences : csr_array, shape (n, m)
        Confidence of every interaction, above 0.
    factors : float64 array, shape (m, d)
    weights : float64 array, shape (m,), optional
        Of every column's part in the sums; 1 by default.

    Returns
    -------
    matrices : float64 array, shape (n, d (d + 1) / 2)
        Upper triangles of ``sum_i (c_i - 1) y_i y_i'``.
    right : float64 array, shape (n, d)
        ``sum_i c_i y_i``.
    """
    weighed = factors if weights is None else weights[:, None] * factors
    outer = packed(weighed[:, :, None] * factors[:, None, :])
    excess = confidences.copy()
    excess.data = excess.data - 1.0
    return np.asarray(excess @ outer), np.asarray(confidences @ weighed)


def contribution_norms(confidences: csr_array, factors: Float) -> Float:
    """Euclidean norm of what each row adds to the normal equations of all columns.

    Parameters
    ----------
    confidences : csr_array, shape (n, m)
    factors : float64 array, shape (n, d)
        Of the rows.

    Returns
    -------
    float64 array, shape (n,)
        Of ``x x'`` for the part that the columns share, and of ``(c_i - 1) x x'`` and ``c_i x`` for
        each column, matrices as triangles.
    """
    squared = confidences.copy()
    squared.data = squared.data**2
    excess = confidences.copy()
    excess.data = (excess.data - 1.0) ** 2
    outer = (packed(factors[:, :, None] * factors[:, None, :]) ** 2).sum(axis=1)
    matrices = outer * (1.0 + np.asarray(excess.sum(axis=1)).ravel())
    right = (factors**2).sum(axis=1) * np.asarray(squared.sum(axis=1)).ravel()
    return np.asarray(np.sqrt(matrices + right), dtype=np.float64)


def solved(shared: Float, matrices: Float, right: Float, regularization: float) -> Float:
    """Solve the normal equations of every row.

    Parameters
    ----------
    shared : float64 array, shape (d, d)
        ``Y' Y``.
    matrices : float64 array, shape (n, d (d + 1) / 2)
    right : float64 array, shape (n, d)
    regularization : float
        Positive.

    Returns
    -------
    float64 array, shape (n, d)

    Raises
    ------
    InvalidInput
        If the equations have no solution, which noise above the regularization can cause.
    """
    side = shared.shape[0]
    left = unpacked(matrices, side) + shared + regularization * np.eye(side)
    try:
        return np.asarray(np.linalg.solve(left, right[:, :, None])[:, :, 0], dtype=np.float64)
    except np.linalg.LinAlgError:
        raise InvalidInput(
            "the normal equations have no solution",
            got=f"regularization {regularization:g}",
            expected="more regularization",
        ) from None


def row_factors(confidences: csr_array, factors: Float, regularization: float) -> Float:
    """Factors of every row of interactions: a step that stays at home.

    Parameters
    ----------
    confidences : csr_array, shape (n, m)
    factors : float64 array, shape (m, d)
    regularization : float

    Returns
    -------
    float64 array, shape (n, d)
    """
    matrices, right = normal_equations(confidences, factors)
    return solved(factors.T @ factors, matrices, right, regularization)
