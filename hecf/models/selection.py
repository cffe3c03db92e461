"""Choices that a retailer makes at home: penalties from released blocks, weights from its own data.

Neither needs another encrypted round. The penalties follow from the released blocks alone, so every
retailer finds the same ones and nobody has to announce them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hecf.errors import InvalidInput
from hecf.models.cross_ridge import Blocks, joint_prior, joint_products
from hecf.models.embedding import LocalEmbedding
from hecf.models.ranking import top_k
from hecf.models.weights import Weighting

Float = NDArray[np.float64]
RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
DECAYS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHARES = (1.0, 0.75, 0.5, 0.25)
"""Of the factors: how many columns of each source are tried."""
_PLACES = 20


@dataclass(frozen=True)
class Penalty:
    """Settings of the joint regression, and their generalised cross-validation score.

    Parameters
    ----------
    ridge, decay : float
        As for :meth:`CrossRetailerRidge.fit`, as `used` is.
    used : int
        Columns of each source that enter the regression.
    score : float
        Lower is better; comparable among choices for the same blocks only.
    """

    ridge: float
    decay: float
    used: int
    score: float


def choose_penalty(
    blocks: Blocks,
    retailers: Sequence[str],
    shoppers: int,
    *,
    own: Mapping[str, Float] | None = None,
    ridges: Sequence[float] = RIDGES,
    decays: Sequence[float] = DECAYS,
    used: Sequence[int] | None = None,
) -> Penalty:
    """Choose ridge, decay and columns by generalised cross-validation (Golub, Heath, Wahba 1979).

    The residual of the regression and its effective degrees of freedom need Gram blocks only. The
    scores of all targets are added; column k of a target counts ``1 / (k + 1) ** 2``, since early
    columns carry most of the weights. All columns of the targets count, whatever is tried of the
    sources, so the scores of different numbers of columns are comparable.

    Parameters
    ----------
    blocks : mapping of (r, s) to float64 array, shape (d, d)
    retailers : sequence of str
    shoppers : int
        Rows of the embeddings.
    own : mapping of str to float64 array, shape (d, d), optional
        As for :meth:`CrossRetailerRidge.fit`.
    ridges, decays : sequence of float
        What is tried.
    used : sequence of int, optional
        Numbers of columns of each source that are tried, by default four :data:`SHARES` of them.
        The released blocks of all columns hold those of fewer.

    Returns
    -------
    Penalty

    Raises
    ------
    InvalidInput
        If the blocks do not fit or nothing is tried.
    """
    if not ridges or not decays:
        raise InvalidInput("there is nothing to choose from", got=(len(ridges), len(decays)))
    names = tuple(retailers)
    products = joint_products(blocks, names, own)
    factors = products[names[0], names[0]].shape[0]
    columns = used or sorted({math.ceil(share * factors) for share in SHARES}, reverse=True)
    best: Penalty | None = None
    for count, decay in product(columns, decays):
        prior = joint_prior(factors, decay, count)
        spectra = [_spectrum(products, names, target, prior) for target in names]
        for ridge in ridges:
            score = sum(_validation(spectrum, ridge, shoppers) for spectrum in spectra)
            if best is None or score < best.score:
                best = Penalty(float(ridge), float(decay), int(count), float(score))
    assert best is not None  # noqa: S101 - both sequences have an element
    return best


def choose_weighting(counts: csr_array, factors: int) -> Weighting:
    """Choose the weights whose embedding finds hidden purchases best.

    Of every shopper with at least three items one is hidden, the embedding is fitted on the rest,
    and the share of hidden items among the 20 best is compared.

    Parameters
    ----------
    counts : csr_array, shape (n, m)
    factors : int

    Returns
    -------
    {"binary", "log1p"}
        The first of equally good ones.

    Raises
    ------
    InvalidInput
        If the interactions do not suit the factors.
    """
    known = csr_array(counts, copy=True)
    sizes = np.diff(known.indptr)
    rows = np.flatnonzero(sizes >= 3)
    # A place that depends on the row only: the same at every run, and any item can be hidden.
    places = known.indptr[rows] + rows % np.maximum(sizes[rows], 1)
    hidden = known.indices[places]
    known.data[places] = 0.0
    known.eliminate_zeros()
    found = {}
    for kind in get_args(Weighting):
        model = LocalEmbedding.fit(known, factors, kind=kind)
        scores = model.scores(model.shoppers[rows])
        entries = csr_array(known[rows])
        scores[entries.nonzero()] = -np.inf
        best, _ = top_k(scores, min(_PLACES, scores.shape[1]))
        found[kind] = float((best == hidden[:, None]).any(axis=1).mean()) if rows.size else 0.0
    chosen: Weighting = max(found, key=lambda kind: found[kind])
    return chosen


def _spectrum(
    products: Blocks, names: tuple[str, ...], target: str, prior: Float
) -> tuple[Float, Float, Float]:
    """Eigenvalues of the scaled Gram, the products with the target rotated, the target's norms."""
    sources = [name for name in names if name != target]
    scale = np.tile(prior, len(sources))[:, None]
    gram = np.block([[products[r, s] for s in sources] for r in sources])
    values, vectors = np.linalg.eigh(scale * gram * scale.T)
    aligned = np.vstack([products[r, target] for r in sources])
    norms = np.diagonal(products[target, target])
    return np.maximum(values, 0.0), vectors.T @ (scale * aligned), norms


def _validation(spectrum: tuple[Float, Float, Float], ridge: float, shoppers: int) -> float:
    values, rotated, norms = spectrum
    solution = rotated / (values + ridge)[:, None]
    residual = norms - 2 * (solution * rotated).sum(0) + (solution**2 * values[:, None]).sum(0)
    freedom = float((values / (values + ridge)).sum())
    if freedom >= shoppers:
        return np.inf
    weights = joint_prior(norms.size, 2.0)
    return float((weights * residual).sum() / (1 - freedom / shoppers) ** 2)
