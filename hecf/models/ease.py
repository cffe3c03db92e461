"""EASE: the shallow linear autoencoder in closed form (Steck 2019, equation 8)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from hecf.errors import InvalidInput
from hecf.models.item_gram import checked_gram


def ease_weights(gram: NDArray[np.float64], penalty: float) -> NDArray[np.float64]:
    """Solve ``min |X - X B|^2 + penalty |B|^2`` with a diagonal of zeros.

    Parameters
    ----------
    gram : float64 array, shape (m, m)
        ``X' X``.
    penalty : float
        Positive, in units of squared weights.

    Returns
    -------
    float64 array, shape (m, m)
        B: column j holds what every item says of item j.

    Raises
    ------
    InvalidInput
        If the matrix or the penalty is out of range, or noise in the matrix exceeds the penalty.
    """
    products = checked_gram(gram)
    if not (math.isfinite(penalty) and penalty > 0):
        raise InvalidInput("the penalty is out of range", got=penalty, expected="a positive number")
    regular = products + penalty * np.eye(len(products))
    try:
        precision = cho_solve(cho_factor(regular), np.eye(len(products)))
    except LinAlgError:
        raise InvalidInput(
            "the products of items contradict each other",
            got=f"an eigenvalue below {-penalty:g}",
            expected="a matrix X'X, or a penalty above its noise",
        ) from None
    weights = precision / -np.diagonal(precision)
    np.fill_diagonal(weights, 0.0)
    return np.asarray(weights, dtype=np.float64)
