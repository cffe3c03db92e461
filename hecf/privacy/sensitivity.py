"""How far one shopper can move what is released: clipping, and the sensitivities that follow.

Two data sets are neighbours if one has all rows of one shopper, at every retailer, and the other
has none of them. Rows are those of fixed local embeddings: how a retailer's own embedding depends
on the shopper is not bounded here.
"""

from __future__ import annotations

import math

import numpy as np

from hecf.errors import InvalidInput
from hecf.he.modular import Float


def clipped_rows(matrix: Float, bound: float) -> Float:
    """Shorten every row to a Euclidean norm of at most `bound`; its direction stays.

    Raises
    ------
    InvalidInput
        If the bound is not positive or the matrix not finite.
    """
    if not 0 < bound < math.inf or not np.isfinite(matrix).all():
        raise InvalidInput(
            "rows cannot be clipped", got=f"bound {bound:g}", expected="finite rows, positive bound"
        )
    norms = np.sqrt((matrix * matrix).sum(axis=1))
    factors = np.minimum(1.0, bound / np.maximum(norms, np.finfo(np.float64).tiny))
    return np.asarray(matrix * factors[:, None], dtype=np.float64)


def joint_bound(bound: float, retailers: int) -> float:
    """Bound of a row at each retailer so that all rows of a shopper together stay in `bound`."""
    return bound / math.sqrt(_retailers(retailers, 1))


def block_sensitivity(bound: float) -> float:
    """Frobenius norm by which one shopper moves one block ``A' B``: ``bound^2``."""
    return bound * bound


def blocks_sensitivity(bound: float, retailers: int) -> float:
    """Norm for all R (R - 1) / 2 blocks together: ``bound^2 sqrt(R (R - 1) / 2)``."""
    _retailers(retailers, 2)
    return bound * bound * math.sqrt(retailers * (retailers - 1) / 2)


def moment_sensitivity(bound: float, *, replaced: bool = False) -> float:
    """Norm for ``X' X``: ``bound^2``, or ``sqrt(2) bound^2`` when a row is replaced."""
    return bound * bound * (math.sqrt(2) if replaced else 1.0)


def _retailers(count: int, least: int) -> int:
    if count < least:
        raise InvalidInput("there are too few retailers", got=count, expected=f"at least {least}")
    return count
