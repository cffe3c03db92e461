"""Which recommended items hit: what every metric of recommendations is made of.

Shoppers who bought nothing relevant have no right answer, so they are left out of every mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from hecf.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class Hits:
    """Hits of the recommendations to every shopper with anything relevant.

    Parameters
    ----------
    found : bool array, shape (s, k)
        Whether the item at each rank is relevant, best rank first.
    totals : int64 array, shape (s,)
        How many items are relevant to each shopper, at least 1.
    shoppers : int64 array, shape (s,)
        Their rows among all shoppers.
    """

    found: NDArray[np.bool_]
    totals: NDArray[np.int64]
    shoppers: NDArray[np.int64]

    @property
    def attainable(self) -> NDArray[np.int64]:
        """Hits that k places could hold: ``min(k, relevant items)``."""
        return np.minimum(self.totals, self.found.shape[1])

    @classmethod
    def of(
        cls,
        recommended: NDArray[np.int64],
        relevant: csr_array | csr_matrix,
        relevant_total: NDArray[np.int64] | None = None,
    ) -> Hits:
        """Compare recommendations with what shoppers really bought.

        Parameters
        ----------
        recommended : int array, shape (b, k)
            Different item indices in each row, best first; -1 is a place without an item, which
            hits nothing.
        relevant : sparse CSR array or matrix, shape (b, m)
            Every entry other than 0 is an item the shopper really bought.
        relevant_total : int array, shape (b,), optional
            Relevant items of each shopper when some lie outside the m items that can be
            recommended; they count as missed. By default the entries of `relevant`.

        Raises
        ------
        InvalidInput
            If shapes do not fit, an index is out of range or doubled in a row, a total is below
            the entries of `relevant`, or no shopper has anything relevant.
        """
        rankings = np.asarray(recommended)
        if not isinstance(relevant, csr_array | csr_matrix) or relevant.ndim != 2:
            raise InvalidInput(
                "relevant items are not a sparse row matrix",
                got=type(relevant).__name__,
                expected="csr_array or csr_matrix",
            )
        shoppers, items = relevant.shape
        check_rankings("recommended", rankings, items)
        if rankings.shape[0] != shoppers:
            raise InvalidInput(
                "recommended and relevant items differ in shoppers",
                got=rankings.shape[0],
                expected=shoppers,
            )
        rows, columns = relevant.nonzero()
        # A doubled entry of the sparse matrix is still one item, hence unique.
        bought = np.unique(rows.astype(np.int64) * items + columns)
        inside = np.bincount(bought // items, minlength=shoppers)
        totals = inside if relevant_total is None else np.asarray(relevant_total)
        if totals.shape != (shoppers,) or totals.dtype.kind not in "iu":
            raise InvalidInput(
                "totals of relevant items do not fit",
                got=f"{totals.dtype} of shape {totals.shape}",
                expected=f"whole numbers of shape {(shoppers,)}",
            )
        short = int(np.count_nonzero(totals < inside))
        if short:
            raise InvalidInput(
                "totals of relevant items are below the relevant items given",
                got=f"{short} of {shoppers} shoppers",
                expected="none",
            )
        judged = np.flatnonzero(totals)
        if judged.size == 0:
            raise InvalidInput("no shopper has a relevant item", got=0, expected="at least 1")
        chosen = rankings[judged]
        found = np.isin(judged[:, None] * items + chosen, bought) & (chosen >= 0)
        return cls(found, totals[judged].astype(np.int64), judged)


def check_rankings(name: str, rankings: NDArray[np.int64], items: int | None = None) -> None:
    """Refuse rankings that are not rows of different item indices.

    Parameters
    ----------
    name : str
        For messages.
    rankings : int array, shape (b, k)
        -1 is a place without an item, where fewer than k could be recommended.
    items : int, optional
        Number of items, if known.

    Raises
    ------
    InvalidInput
        If the array is empty, not whole numbers, out of range, or doubled within a row.
    """
    if rankings.ndim != 2 or rankings.size == 0 or rankings.dtype.kind not in "iu":
        raise InvalidInput(
            f"{name} items are not rows of item indices",
            got=f"{rankings.dtype} of shape {rankings.shape}",
            expected="whole numbers of shape (shoppers, k)",
        )
    highest = int(rankings.max())
    if int(rankings.min()) < -1 or (items is not None and highest >= items):
        raise InvalidInput(
            f"{name} items are out of range",
            got=f"{int(rankings.min())} to {highest}",
            expected="0 up" if items is None else f"0 to {items - 1}",
        )
    ordered = np.sort(rankings, axis=1)
    doubled = int(np.count_nonzero((np.diff(ordered, axis=1) == 0) & (ordered[:, 1:] >= 0)))
    if doubled:
        raise InvalidInput(
            f"{name} items occur more than once in a row", got=f"{doubled} doubled", expected=0
        )
