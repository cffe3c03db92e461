"""Item-based nearest neighbours by cosine (Sarwar et al. 2001, section 3.1.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from hecf.errors import InvalidInput
from hecf.models.item_gram import checked_gram


def cosine_neighbours(gram: NDArray[np.float64], neighbours: int) -> csr_array:
    """Keep the most similar items of every item.

    Parameters
    ----------
    gram : float64 array, shape (m, m)
        Products of the item columns.
    neighbours : int
        K, at least 1; an item has itself not among them.

    Returns
    -------
    csr_array of float64, shape (m, m)
        Row i holds ``gram_ij / sqrt(gram_ii gram_jj)`` for the K best j, equal ones by ascending
        index, and nothing that is not above 0.

    Raises
    ------
    InvalidInput
        If the matrix or K is out of range.
    """
    products = checked_gram(gram)
    if neighbours < 1:
        raise InvalidInput("the number of neighbours is too small", got=neighbours, expected="1 up")
    norms = np.sqrt(np.diagonal(products))
    inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    cosines = products * inverse[:, None] * inverse
    np.fill_diagonal(cosines, 0.0)
    count = min(neighbours, len(norms))
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    values = np.take_along_axis(cosines, order, axis=1)
    rows = np.broadcast_to(np.arange(len(norms))[:, None], order.shape)
    kept = values > 0
    return csr_array(coo_array((values[kept], (rows[kept], order[kept])), shape=cosines.shape))
