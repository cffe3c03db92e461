"""The local embedding: what one retailer knows of its shoppers, in d numbers for each.

Orthonormal columns are the point. They make every retailer's numbers comparable, bound every
entry of a cross-Gram block by 1, and leave ``P'P = I`` nothing to send.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix
from scipy.sparse.linalg import LinearOperator, svds

from hecf.errors import InvalidInput
from hecf.models.weights import Weighting, interaction_weights

DENSE_ENTRIES = 100_000
FEWEST_DIRECTIONS = 4
SCALE_FLOOR = 1e-2
ORTHONORMAL_TOLERANCE = 1e-6

Factorisation = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class LocalEmbedding:
    """A rank-d model of weights: ``X ~ shoppers @ items + mean`` for shoppers who came in.

    Parameters
    ----------
    shoppers : float64 array, shape (n, d)
        P: columns are orthonormal, and the row of an absent shopper is exactly zero.
    items : float64 array, shape (d, m)
        S V', brought back from the scaled columns to weights.
    mean : float64 array, shape (m,)
        Mean weight of each item over the shoppers who came in.
    scale : float64 array, shape (m,)
        What the columns were divided by, positive.
    kind : {"binary", "log1p"}
        Weights of the counts.

    Raises
    ------
    InvalidInput
        If shapes do not fit, a value is not finite, or the columns are not orthonormal.

    Security
    --------
    A row of `shoppers` describes one shopper, and `items` the retailer's business. Neither may
    leave the retailer unencrypted. A zero row says that the shopper never came in.
    """

    shoppers: NDArray[np.float64]
    items: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    kind: Weighting

    def __post_init__(self) -> None:
        for name, dimensions in (("shoppers", 2), ("items", 2), ("mean", 1), ("scale", 1)):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.ndim != dimensions or not np.isfinite(values).all():
                raise InvalidInput(
                    f"{name} of a local embedding cannot be used",
                    got=f"shape {values.shape}",
                    expected=f"{dimensions} dimensions of finite numbers",
                )
            object.__setattr__(self, name, values)
        factors = self.shoppers.shape[1]
        if self.items.shape != (factors, self.mean.size):
            raise InvalidInput(
                "items of a local embedding do not fit",
                got=f"shape {self.items.shape}",
                expected=f"shape {(factors, self.mean.size)}",
            )
        if self.scale.shape != self.mean.shape or (self.scale <= 0).any():
            raise InvalidInput(
                "the scale of a local embedding does not fit",
                got=f"shape {self.scale.shape}",
                expected=f"{self.mean.size} positive numbers",
            )
        error = np.abs(self.shoppers.T @ self.shoppers - np.eye(factors)).max(initial=0.0)
        if factors == 0 or error > ORTHONORMAL_TOLERANCE:
            raise InvalidInput(
                "shoppers of a local embedding are not orthonormal columns",
                got=f"{factors} columns, largest deviation {error:.1e}",
                expected=f"at least 1 column, at most {ORTHONORMAL_TOLERANCE:.0e}",
            )

    @property
    def factors(self) -> int:
        """Columns d of the embedding."""
        return int(self.shoppers.shape[1])

    @classmethod
    def fit(
        cls,
        counts: csr_array | csr_matrix,
        factors: int,
        *,
        kind: Weighting = "binary",
        column_power: float = 0.5,
    ) -> LocalEmbedding:
        """Fit the embedding by a truncated SVD of centred, column-scaled weights.

        Parameters
        ----------
        counts : sparse CSR array or matrix, shape (n, m)
            One row for each member; a row without counts is an absent shopper.
        factors : int
            d, below the present shoppers and the items.
        kind : {"binary", "log1p"}
            Weights of the counts.
        column_power : float
            Columns are divided by ``(standard deviation + 0.01) ** column_power`` first: 0 lets
            the most bought items rule, 1 makes all items equal, as a correlation would.

        Returns
        -------
        LocalEmbedding
            Deterministic: each right singular vector has its largest entry positive.

        Raises
        ------
        InvalidInput
            If counts are out of range, there are too few shoppers or items for the factors, or
            the weights have fewer independent directions than factors.

        Notes
        -----
        Small matrices, and those of which nearly every direction is asked for, are factored by the
        dense SVD; all others by implicitly restarted Lanczos (ARPACK) on the sparse weights, which
        are centred without being filled. The two agree to about 1e-13.
        """
        if not 0 <= column_power <= 2:
            raise InvalidInput("column_power is out of range", got=column_power, expected="0 to 2")
        weights = interaction_weights(counts, kind)
        present = np.flatnonzero(np.diff(weights.indptr))
        limit = min(present.size, weights.shape[1])
        if not 1 <= factors < limit:
            raise InvalidInput(
                "the number of factors does not suit the interactions",
                got=f"{factors} factors, {present.size} shoppers with interactions, "
                f"{weights.shape[1]} items",
                expected=f"1 to {max(limit - 1, 0)} factors",
            )
        rows = csr_array(weights[present])
        mean = np.asarray(rows.mean(axis=0), dtype=np.float64).ravel()
        square = np.asarray(rows.power(2).mean(axis=0), dtype=np.float64).ravel()
        deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
        scale = (deviation + SCALE_FLOOR) ** column_power
        large = present.size * mean.size > DENSE_ENTRIES
        if large and limit >= FEWEST_DIRECTIONS * factors:
            left, strengths, right = _sparse_factors(rows, mean, scale, factors)
        else:
            left, strengths, right = _dense_factors(rows, mean, scale, factors)
        length = np.sqrt(present.size * (square / scale**2).sum())
        noise = max(present.size, mean.size) * np.finfo(np.float64).eps * length
        if strengths[-1] <= noise:
            # Directions without strength are arbitrary and differ from machine to machine.
            raise InvalidInput(
                "the interactions have fewer independent directions than factors",
                got=f"{factors} factors",
                expected=f"at most {int(np.count_nonzero(strengths > noise))}",
            )
        signs = np.sign(right[np.arange(factors), np.abs(right).argmax(axis=1)])
        shoppers = np.zeros((weights.shape[0], factors))
        shoppers[present] = left * signs
        return cls(shoppers, (strengths * signs)[:, None] * right * scale, mean, scale, kind)

    def fold_in(self, counts: csr_array | csr_matrix) -> NDArray[np.float64]:
        """Rows of shoppers who were not there at the fit, by projection on its directions.

        Parameters
        ----------
        counts : sparse CSR array or matrix, shape (b, m)
            Of the same catalogue.

        Returns
        -------
        float64 array, shape (b, d)
            What the fit gave to a shopper it saw; the row of an absent shopper is zero.

        Raises
        ------
        InvalidInput
            If the counts are of another catalogue or out of range.
        """
        weights = interaction_weights(counts, self.kind)
        if weights.shape[1] != self.mean.size:
            raise InvalidInput(
                "counts do not fit the catalogue of the embedding",
                got=f"{weights.shape[1]} items",
                expected=self.mean.size,
            )
        # Rows of items / scale are the right singular vectors times their strengths.
        directions = self.items / self.scale
        inverse = directions / (directions**2).sum(axis=1)[:, None] / self.scale
        rows = weights @ inverse.T - inverse @ self.mean
        return np.asarray(np.where(np.diff(weights.indptr)[:, None] > 0, rows, 0.0))

    def scores(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predicted weights of all items.

        Parameters
        ----------
        rows : float64 array, shape (b, d)
            Rows of `shoppers`, or estimates of them.

        Returns
        -------
        float64 array, shape (b, m)

        Raises
        ------
        InvalidInput
            If the rows have another number of columns.
        """
        if rows.ndim != 2 or rows.shape[1] != self.factors:
            raise InvalidInput(
                "rows do not fit the embedding",
                got=f"shape {rows.shape}",
                expected=f"{self.factors} columns",
            )
        return np.asarray(rows @ self.items + self.mean, dtype=np.float64)


def _dense_factors(
    rows: csr_array, mean: NDArray[np.float64], scale: NDArray[np.float64], factors: int
) -> Factorisation:
    left, strengths, right = np.linalg.svd((rows.toarray() - mean) / scale, full_matrices=False)
    return left[:, :factors], strengths[:factors], right[:factors]


def _sparse_factors(
    rows: csr_array, mean: NDArray[np.float64], scale: NDArray[np.float64], factors: int
) -> Factorisation:
    shoppers, items = rows.shape

    def forward(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        scaled = (vectors.T / scale).T
        return np.asarray(rows @ scaled - mean @ scaled)

    def backward(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        product = rows.T @ vectors - np.multiply.outer(mean, vectors.sum(axis=0))
        return np.asarray((product.T / scale).T)

    centred = LinearOperator(
        (shoppers, items),
        matvec=forward,
        rmatvec=backward,
        matmat=forward,
        rmatmat=backward,
        dtype=np.float64,
    )
    # A constant start would be orthogonal to every centred column, so a fixed irregular one.
    start = np.random.default_rng(0).standard_normal(min(shoppers, items))
    left, strengths, right = svds(centred, k=factors, v0=start)
    order = np.argsort(-strengths)
    return left[:, order], np.asarray(strengths[order], dtype=np.float64), right[order]
