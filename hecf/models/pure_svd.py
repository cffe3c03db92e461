"""PureSVD: the leading axes of the items (Cremonesi, Koren and Turrin 2010, section 3.3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from hecf.errors import InvalidInput
from hecf.models.item_gram import checked_gram

Float = NDArray[np.float64]


def leading_axes(gram: Float, factors: int) -> tuple[Float, Float]:
    """Compute the right singular vectors of X with the largest singular values, from ``X' X``.

    Parameters
    ----------
    gram : float64 array, shape (m, m)
        ``X' X``; only its lower triangle is read.
    factors : int
        d, at most m.

    Returns
    -------
    axes : float64 array, shape (m, d)
        Orthonormal columns, the strongest first. The largest entry of each is positive.
    strengths : float64 array, shape (d,)
        Singular values.

    Raises
    ------
    InvalidInput
        If the matrix is out of range, or d does not suit it.

    Notes
    -----
    Equal singular values leave their axes undetermined: two machines may then turn them
    differently. What the axes together say of a shopper's items stays the same.
    """
    products = checked_gram(gram)
    items = len(products)
    if not 1 <= factors <= items:
        raise InvalidInput(
            "the number of factors does not suit the items",
            got=f"{factors} factors, {items} items",
            expected=f"1 to {items} factors",
        )
    values, vectors = eigh(products, subset_by_index=(items - factors, items - 1))
    axes = np.ascontiguousarray(vectors[:, ::-1])
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(factors)]
    # Libraries differ in the sign of an eigenvector, and all retailers need the same one.
    return axes * np.where(largest < 0, -1.0, 1.0), np.sqrt(np.maximum(values[::-1], 0.0))
