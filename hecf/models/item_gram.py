"""Products of item columns: all that item-kNN, EASE and popularity need to know of the shoppers.

They add up: the matrix of all shoppers together is the sum of those of disjoint groups of them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from hecf.errors import InvalidInput
from hecf.models.weights import Weighting, interaction_weights, shortened

Float = NDArray[np.float64]


def item_gram(
    counts: csr_array | csr_matrix, kind: Weighting = "binary", bound: float = math.inf
) -> Float:
    """Compute ``X' X`` of the weights X of counts.

    Parameters
    ----------
    counts : sparse CSR array or matrix, shape (n, m)
    kind : {"binary", "log1p"}
    bound : float
        Largest Frobenius norm of what one row of counts adds, in a triangle, too; its weights are
        shortened to the root of it.

    Returns
    -------
    float64 array, shape (m, m)
        With binary weights, how many shoppers bought both items; the diagonal counts buyers.

    Raises
    ------
    InvalidInput
        If the counts are no sparse row matrix or out of range.
    """
    weights = shortened(interaction_weights(counts, kind), math.sqrt(bound))
    return np.asarray((weights.T @ weights).toarray(), dtype=np.float64)


def packed(symmetric: Float) -> Float:
    """Upper triangle of symmetric matrices, row after row.

    Parameters
    ----------
    symmetric : float64 array, shape (..., m, m)

    Returns
    -------
    float64 array, shape (..., m (m + 1) / 2)
    """
    rows, columns = np.triu_indices(symmetric.shape[-1])
    return np.ascontiguousarray(symmetric[..., rows, columns])


def unpacked(triangle: Float, side: int) -> Float:
    """Symmetric matrices of their upper triangles, as :func:`packed` writes them.

    Raises
    ------
    InvalidInput
        If the length is not ``side (side + 1) / 2``.
    """
    expected = side * (side + 1) // 2
    if triangle.shape[-1] != expected:
        raise InvalidInput(
            "a triangle has another length", got=triangle.shape[-1], expected=expected
        )
    rows, columns = np.triu_indices(side)
    symmetric = np.empty((*triangle.shape[:-1], side, side))
    symmetric[..., rows, columns] = triangle
    symmetric[..., columns, rows] = triangle
    return symmetric


def without_negative_part(symmetric: Float) -> Float:
    """Nearest symmetric matrices without negative eigenvalues, such as X'X has none.

    Noise gives them to a sum of products; Higham (1988, theorem 2.1) says what is nearest in the
    Frobenius norm.

    Parameters
    ----------
    symmetric : float64 array, shape (..., m, m)

    Returns
    -------
    float64 array of the same shape
    """
    values, vectors = np.linalg.eigh(symmetric)
    kept = (vectors * np.maximum(values, 0.0)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    # Rounding must not leave a diagonal below 0.
    diagonal = np.arange(symmetric.shape[-1])
    kept[..., diagonal, diagonal] = np.maximum(kept[..., diagonal, diagonal], 0.0)
    return np.asarray(kept, dtype=np.float64)


def checked_gram(gram: Float) -> Float:
    """Refuse what is no finite square matrix with a diagonal of at least 0.

    Raises
    ------
    InvalidInput
    """
    values = np.asarray(gram, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or values.size == 0:
        raise InvalidInput("products of items are not a square matrix", got=f"shape {values.shape}")
    if not np.isfinite(values).all() or (np.diagonal(values) < 0).any():
        raise InvalidInput(
            "products of items are out of range", expected="finite numbers, 0 up on the diagonal"
        )
    return values
