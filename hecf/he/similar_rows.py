"""Choose between the two ways to compare encrypted rows: packed products, or panels in tiles.

A panel of :mod:`hecf.he.similarity` holds N x N scores and two polynomials' worth of words for each
row and column of its ring, so it has about a gigabyte however few rows are compared. A packed
product (:mod:`hecf.he.product`) grows with the scores. Few rows are packed; many fill panels.
"""

from __future__ import annotations

from hecf.errors import ParameterError
from hecf.he.parameters import ParameterSet
from hecf.he.product.plan import ProductPlan
from hecf.he.product.planner import plan_packed_similarity
from hecf.he.similarity.plan import PUBLIC_KEY, SimilarityPlan
from hecf.he.similarity.planner import plan_similarity

PACKED_BYTES = 64 << 20
"""Largest result of packed products. It bounds their ciphertexts, too, each of which is a release
of the budget, while a panel is one."""


def plan_similar_rows(
    *,
    scheme: str,
    inner: int,
    left: int,
    right: int,
    precision: float,
    statistical_bits: int,
    releases: int,
    parameters: ParameterSet | None = None,
) -> ProductPlan | SimilarityPlan:
    """Plan the similarities of two retailers' rows of norm at most 1, for a release.

    Parameters
    ----------
    scheme : {"ckks", "clear"}
    inner : int
        d, columns of both matrices of rows.
    left, right : int
        Rows of each.
    precision : float
        Largest standard deviation of a released entry.
    statistical_bits, releases : int
        Strength of the flooding noise; at least one release.
    parameters : ParameterSet, optional
        Parameters of an existing key. The plan may drop primes from their end.

    Returns
    -------
    ProductPlan
        If its result has at most :data:`PACKED_BYTES`. Its operands are the rows transposed.
    SimilarityPlan
        If there are more rows.

    Raises
    ------
    ParameterError
        If an argument is out of range, or no parameters in the security table, or none under
        the key, reach the precision.
    """
    try:
        packed = plan_packed_similarity(
            scheme=scheme,
            inner=inner,
            left=left,
            right=right,
            precision=precision,
            statistical_bits=statistical_bits,
            releases=releases,
            parameters=parameters,
        )
    except ParameterError:
        # Panels have less noise; they may reach the precision.
        packed = None
    if packed is not None and packed.result_bytes <= PACKED_BYTES:
        return packed
    return plan_similarity(
        scheme=scheme,
        inner=inner,
        left=left,
        right=right,
        precision=precision,
        encryption=PUBLIC_KEY,
        statistical_bits=statistical_bits,
        releases=releases,
        parameters=parameters,
    )
