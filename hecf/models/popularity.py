"""The most popular items: the recommendation that needs to know nothing of a shopper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from hecf.errors import InvalidInput
from hecf.models.weights import checked_counts


@dataclass(frozen=True, eq=False)
class MostPopular:
    """Scores items by how many shoppers bought them.

    Parameters
    ----------
    scores : float64 array, shape (m,)
        Buyers of each item.

    Raises
    ------
    InvalidInput
        If the scores are not one row of finite numbers.
    """

    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or not np.isfinite(self.scores).all():
            raise InvalidInput(
                "scores of a popularity model cannot be used",
                got=f"shape {self.scores.shape}",
                expected="one dimension of finite numbers",
            )

    @classmethod
    def fit(cls, counts: csr_array | csr_matrix) -> MostPopular:
        """Count the buyers of each item.

        Parameters
        ----------
        counts : sparse CSR array or matrix, shape (n, m)
            How often does not matter, only whether.

        Returns
        -------
        MostPopular

        Raises
        ------
        InvalidInput
            If the counts are no sparse row matrix or out of range.
        """
        checked = checked_counts(counts)
        return cls(np.bincount(checked.indices, minlength=checked.shape[1]).astype(np.float64))
