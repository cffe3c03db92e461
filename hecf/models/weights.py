"""How a count of purchases becomes the weight of an interaction."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from scipy.sparse import csr_array, csr_matrix

from hecf.errors import InvalidInput

Weighting = Literal["binary", "log1p"]


def interaction_weights(counts: csr_array | csr_matrix, kind: Weighting) -> csr_array:
    """Weigh counts.

    Parameters
    ----------
    counts : sparse CSR array or matrix, shape (n, m)
        Finite and not negative. Entries stored as 0 count as no interaction.
    kind : {"binary", "log1p"}
        ``binary`` is 1 for any interaction; ``log1p`` is log(1 + count), which damps heavy
        buyers (Hu, Koren and Volinsky 2008, section 5).

    Returns
    -------
    csr_array of float64, shape (n, m)
        Without stored zeros; the input is not changed.

    Raises
    ------
    InvalidInput
        If the counts are no sparse row matrix, are out of range, or the kind is unknown.
    """
    checked = checked_counts(counts)
    if kind == "binary":
        checked.data = np.ones_like(checked.data)
    elif kind == "log1p":
        checked.data = np.log1p(checked.data)
    else:
        raise InvalidInput(
            "there is no such weighting",
            got=kind,
            expected=f"one of {', '.join(get_args(Weighting))}",
        )
    return checked


def shortened(weights: csr_array, bound: float) -> csr_array:
    """Shorten rows to a Euclidean norm of at most `bound`, which may be infinite.

    Parameters
    ----------
    weights : csr_array of float64, shape (n, m)
    bound : float

    Raises
    ------
    InvalidInput
        If the bound is not positive.
    """
    if not bound > 0:
        raise InvalidInput("rows cannot be shortened", got=bound, expected="a bound above 0")
    if math.isinf(bound):
        return weights
    norms = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
    factors = np.minimum(1.0, bound / np.maximum(norms, np.finfo(np.float64).tiny))
    out = weights.copy()
    out.data = out.data * np.repeat(factors, np.diff(out.indptr))
    return out


def checked_counts(counts: csr_array | csr_matrix) -> csr_array:
    """Copy of counts as float64, doubled entries summed and stored zeros removed.

    Raises
    ------
    InvalidInput
        If the counts are no sparse row matrix, or some are NaN, infinite or negative.
    """
    if not isinstance(counts, csr_array | csr_matrix) or counts.ndim != 2:
        raise InvalidInput(
            "counts are not a sparse row matrix",
            got=type(counts).__name__,
            expected="csr_array or csr_matrix of two dimensions",
        )
    if counts.dtype.kind not in "biuf":
        raise InvalidInput("counts are not numbers", got=counts.dtype, expected="float64")
    copy: csr_array[np.float64] = csr_array(counts.astype(np.float64))
    wrong = int(np.count_nonzero(~np.isfinite(copy.data) | (copy.data < 0)))
    if wrong:
        raise InvalidInput(
            "counts are out of range",
            got=f"{wrong} values NaN, infinite or negative",
            expected="finite numbers of at least 0",
        )
    copy.sum_duplicates()
    copy.eliminate_zeros()
    return copy
