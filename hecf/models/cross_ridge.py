"""Ridge regression from the other retailers' embeddings to one's own, out of Gram blocks alone.

No shopper's row is needed: the d x d blocks ``P_r' P_s`` are all the sufficient statistics, since
every ``P_r' P_r`` is the identity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from hecf.errors import InvalidInput
from hecf.models.denoising import consistent_blocks, shrunk_block

Blocks = Mapping[tuple[str, str], NDArray[np.float64]]


def joint_prior(factors: int, decay: float, used: int | None = None) -> NDArray[np.float64]:
    """Scale of each factor before the ridge penalty: ``(k + 1) ** -decay`` for k from 0.

    Later factors carry less of a shopper's taste, so they are penalised more. The scale is
    public and needs nothing of any retailer.

    Parameters
    ----------
    factors : int
        d, at least 1.
    decay : float
        0 treats all factors alike.
    used : int, optional
        The factors from this one on have scale 0, which leaves them out: columns of an embedding
        are ordered by strength, so the first ones are the embedding of fewer factors.

    Returns
    -------
    float64 array, shape (d,)

    Raises
    ------
    InvalidInput
        If factors, decay or used is out of range.
    """
    if factors < 1:
        raise InvalidInput("the number of factors is out of range", got=factors, expected="1 up")
    if not (math.isfinite(decay) and decay >= 0):
        raise InvalidInput("decay is out of range", got=decay, expected="a finite number, 0 up")
    if used is not None and not 1 <= used <= factors:
        raise InvalidInput(
            "the factors to use are out of range", got=used, expected=f"1..{factors}"
        )
    scale = np.arange(1, factors + 1, dtype=np.float64) ** -decay
    scale[factors if used is None else used :] = 0.0
    return scale


@dataclass(frozen=True, eq=False)
class CrossRetailerRidge:
    """For every source r and target t the map that takes r's rows to its share of t's rows.

    The estimate of a shopper's row at t is ``sum_r e_r @ maps[r, t]`` over the other retailers,
    where ``e_r`` is the shopper's row at r (zeros if she never came in there).

    Parameters
    ----------
    retailers : tuple of str
        In the agreed order.
    maps : mapping of (source, target) to float64 array, shape (d, d)
        One for every ordered pair of different retailers.

    Raises
    ------
    InvalidInput
        If a map is missing, superfluous, badly shaped or not finite.
    """

    retailers: tuple[str, ...]
    maps: Blocks

    def __post_init__(self) -> None:
        object.__setattr__(self, "retailers", tuple(self.retailers))
        pairs = [(r, t) for r in self.retailers for t in self.retailers if r != t]
        object.__setattr__(
            self, "maps", MappingProxyType(_checked(self.maps, pairs, "map of the regression"))
        )

    @classmethod
    def fit(
        cls,
        blocks: Blocks,
        retailers: Sequence[str],
        *,
        ridge: float,
        decay: float,
        noise: float = 0.0,
        own: Mapping[str, NDArray[np.float64]] | None = None,
        used: int | None = None,
    ) -> CrossRetailerRidge:
        """Solve one ridge regression for each target.

        With G the Gram matrix of the sources' embeddings side by side, A its products with the
        target's embedding and D the prior, solves ``(D G D + ridge I) W = D A`` and returns the
        blocks of ``D W`` (Hoerl and Kennard 1970, with the prior as column scale).

        Parameters
        ----------
        blocks : mapping of (r, s) to float64 array, shape (d, d)
            ``P_r' P_s`` for r before s in the agreed order, and no others.
        retailers : sequence of str
            At least two, in the agreed order.
        ridge : float
            Penalty, positive, in units of squared orthonormal columns.
        decay : float
            Exponent of :func:`joint_prior`.
        noise : float
            Standard deviation of the noise with which the blocks were released. Above 0 they are
            denoised first (:mod:`hecf.models.denoising`).
        own : mapping of str to float64 array, shape (d, d), optional
            ``P_r' P_r`` of retailers whose columns are no longer orthonormal, because rows were
            added to them; the identity for the others.
        used : int, optional
            How many columns of each source enter; all by default. The others' rows of the maps
            are zero.

        Returns
        -------
        CrossRetailerRidge

        Raises
        ------
        InvalidInput
            If a block is missing, superfluous, badly shaped or not finite, a parameter is out of
            range, or the blocks cannot come from orthonormal embeddings: then ``G`` has an
            eigenvalue below ``-ridge`` and the regression would amplify noise.
        """
        names = tuple(retailers)
        if len(names) < 2 or len(set(names)) != len(names):
            raise InvalidInput(
                "the retailers do not suit a cross-retailer model",
                got=list(names),
                expected="at least two different names",
            )
        if not (math.isfinite(ridge) and ridge > 0):
            raise InvalidInput("ridge is out of range", got=ridge, expected="a positive number")
        checked = _checked(blocks, list(combinations(names, 2)), "Gram block")
        if noise > 0 and own is not None:
            raise InvalidInput("only blocks of orthonormal embeddings can be denoised")
        if noise > 0:
            shrunk = {pair: shrunk_block(block, noise) for pair, block in checked.items()}
            checked = consistent_blocks(shrunk, names)
        products = joint_products(checked, names, own)
        prior = joint_prior(products[names[0], names[0]].shape[0], decay, used)
        maps: dict[tuple[str, str], NDArray[np.float64]] = {}
        for target in names:
            sources = [name for name in names if name != target]
            scale = np.tile(prior, len(sources))[:, None]
            gram = np.block([[products[r, s] for s in sources] for r in sources])
            aligned = np.vstack([products[r, target] for r in sources])
            try:
                factor = cho_factor(scale * gram * scale.T + ridge * np.eye(scale.size))
            except LinAlgError:
                raise InvalidInput(
                    f"the Gram blocks of the sources of {target!r} contradict each other",
                    got=f"an eigenvalue below {-ridge:g}",
                    expected="blocks of orthonormal embeddings, or a ridge above their noise",
                ) from None
            solution = scale * cho_solve(factor, scale * aligned)
            for source, part in zip(sources, np.split(solution, len(sources)), strict=True):
                maps[source, target] = np.ascontiguousarray(part)
        return cls(names, maps)


def joint_products(
    blocks: Blocks,
    retailers: Sequence[str],
    own: Mapping[str, NDArray[np.float64]] | None = None,
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Products of every ordered pair of embeddings, each with itself included.

    Parameters
    ----------
    blocks : mapping of (r, s) to float64 array, shape (d, d)
        For r before s in the agreed order, and no others.
    retailers : sequence of str
    own : mapping of str to float64 array, shape (d, d), optional
        As for :meth:`CrossRetailerRidge.fit`.

    Raises
    ------
    InvalidInput
        If a block is missing, superfluous, badly shaped or not finite.
    """
    names = tuple(retailers)
    checked = _checked(blocks, list(combinations(names, 2)), "Gram block")
    factors = next(iter(checked.values())).shape[0]
    diagonal = {(name, name): np.eye(factors) for name in names}
    diagonal |= {(name, name): block for name, block in (own or {}).items()}
    return {
        **checked,
        **{(s, r): block.T for (r, s), block in checked.items()},
        **_checked(diagonal, [(name, name) for name in names], "own Gram block"),
    }


def _checked(
    blocks: Blocks, pairs: Sequence[tuple[str, str]], what: str
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Return exactly the blocks of these pairs, all finite and of one square shape."""
    missing = sorted(set(pairs) - set(blocks))
    superfluous = sorted(set(blocks) - set(pairs))
    if missing or superfluous:
        raise InvalidInput(
            f"there is not one {what} for each pair of retailers",
            got=f"missing {missing}, superfluous {superfluous}",
            expected=f"{len(pairs)} pairs",
        )
    arrays = {pair: np.asarray(blocks[pair], dtype=np.float64) for pair in pairs}
    side = next(iter(arrays.values())).shape[:1] if arrays else ()
    for pair, array in arrays.items():
        if array.ndim != 2 or array.size == 0 or array.shape != side * 2:
            raise InvalidInput(
                f"the {what} of {pair} has another shape",
                got=array.shape,
                expected="one square shape for all",
            )
        if not np.isfinite(array).all():
            raise InvalidInput(
                f"the {what} of {pair} is not finite",
                got=f"{int(np.count_nonzero(~np.isfinite(array)))} values NaN or infinite",
                expected="finite numbers",
            )
    return arrays
