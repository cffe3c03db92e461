"""What a retailer's shoppers buy, learnt from what they buy at other retailers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hecf.data.user_items import UserItems
from hecf.errors import InvalidInput
from hecf.models import CrossRetailerRidge, LocalEmbedding
from hecf.models.cross_ridge import Blocks, joint_products
from hecf.models.selection import DECAYS, RIDGES, choose_penalty, choose_weighting
from hecf.models.weights import Weighting, interaction_weights
from hecf.recommenders.base import Alone, Float, Summation
from hecf.recommenders.factors import FactorRecommender, divided

DEFAULT_FACTORS = 32


class CrossRetailer(FactorRecommender):
    """The vertical model: a local embedding, and a regression of it on those of other retailers.

    :meth:`fit` makes the embedding of one retailer, which says what it knows alone.
    :meth:`hecf.LoyaltyCoalition.fit` adds the regression from encrypted blocks, and its
    ``recommend`` asks the others.

    Parameters
    ----------
    factors : int, optional
        How many columns of each retailer's embedding the regression uses; alone, how many there
        are, at most 32 unless given.
    weighting : {"binary", "log1p"}, optional
        Weights of the counts.
    ridge, decay : float, optional
        As for :meth:`hecf.models.CrossRetailerRidge.fit`.

    Notes
    -----
    What is None is chosen at home, without an encrypted round: the weighting by purchases that are
    hidden on purpose, the rest by generalised cross-validation on the released blocks. To try
    others afterwards, use :meth:`set_params` and :meth:`solve`.

    Security
    --------
    Users' factors and counts describe shoppers and may not leave the retailer unencrypted; a saved
    model holds both.
    """

    _arrays: ClassVar[tuple[str, ...]] = (
        *("name", "retailers", "members", "kind"),
        *("shoppers", "item_factors", "mean", "scale"),
        *("user_factors", "counts_data", "counts_indices", "counts_indptr"),
        *("products", "maps", "chosen"),
    )
    name: NDArray[np.str_]
    """The retailer's name, a single text."""
    retailers: NDArray[np.str_]
    """All names in the agreed order, shape (R,)."""
    members: NDArray[np.str_]
    """Ids of the shared shoppers, shape (n,)."""
    kind: NDArray[np.str_]
    """Weights of the counts that were taken, a single text."""
    shoppers: Float
    """Orthonormal rows of the fit, shape (shoppers of the fit, d)."""
    mean: Float
    scale: Float
    counts_data: Float
    counts_indices: NDArray[np.int32]
    counts_indptr: NDArray[np.int32]
    products: Float
    """Products of all ordered pairs of embeddings, shape (R, R, d, d)."""
    maps: Float
    """From rows of the first retailer to a share of those of the second, shape (R, R, d, d)."""
    chosen: Float
    """Ridge, decay and columns that the regression has taken."""

    def __init__(
        self,
        factors: int | None = None,
        weighting: Weighting | None = None,
        ridge: float | None = None,
        decay: float | None = None,
    ) -> None:
        self.factors = factors
        self.weighting = weighting
        self.ridge = ridge
        self.decay = decay

    @property
    def items(self) -> int:
        """Number of items."""
        return int(self.item_factors.shape[0])

    @property
    def user_ids(self) -> tuple[str, ...]:
        """The shared shoppers, by row."""
        return tuple(self.members.tolist())

    @property
    def counts(self) -> csr_array:
        """Counts of the shared shoppers at this retailer, shape (n, m)."""
        shape = (self.members.size, self.items)
        return csr_array((self.counts_data, self.counts_indices, self.counts_indptr), shape=shape)

    @property
    def embedding(self) -> LocalEmbedding:
        """The embedding as it was fitted."""
        kind: Any = str(self.kind)
        return LocalEmbedding(self.shoppers, self.item_factors.T, self.mean, self.scale, kind)

    @property
    def blocks(self) -> Blocks:
        """Released products of every pair of retailers."""
        names = self.retailers.tolist()
        return {
            (r, s): self.products[i, j]
            for i, r in enumerate(names)
            for j, s in enumerate(names)
            if i < j
        }

    @property
    def own(self) -> Mapping[str, Float]:
        """Products of every retailer's rows with themselves: the identity before updates."""
        return {name: self.products[i, i] for i, name in enumerate(self.retailers.tolist())}

    @property
    def regression(self) -> CrossRetailerRidge:
        """The maps between all pairs of retailers."""
        names = self.retailers.tolist()
        maps = {
            (r, t): self.maps[i, j]
            for i, r in enumerate(names)
            for j, t in enumerate(names)
            if i != j
        }
        return CrossRetailerRidge(tuple(names), maps)

    @property
    def user_directions(self) -> Float:
        """Rows of the users at norm 1."""
        return divided(self.user_factors, np.linalg.norm(self.user_factors, axis=1))

    @property
    def item_directions(self) -> Float:
        """Columns of the items at norm 1: their products are correlations over the users."""
        return divided(self.item_factors, np.linalg.norm(self.item_factors, axis=1))

    def embedded(self, counts: csr_array, factors: int) -> LocalEmbedding:
        """Fit the embedding under these settings; raises InvalidInput if the counts do not suit."""
        kind = self.weighting or choose_weighting(counts, factors)
        return LocalEmbedding.fit(counts, factors, kind=kind)

    def joined(
        self,
        name: str,
        retailers: Sequence[str],
        embedding: LocalEmbedding,
        user_items: UserItems,
        rows: Float,
        blocks: Blocks,
        own: Mapping[str, Float],
    ) -> Self:
        """Return a model with these settings and what a coalition has released.

        Parameters
        ----------
        name : str
        retailers : sequence of str
            In the agreed order.
        embedding : LocalEmbedding
        user_items : UserItems
            Counts of the shared shoppers at this retailer.
        rows : float64 array, shape (n, d)
            Their rows in the embedding.
        blocks : mapping of (r, s) to float64 array, shape (d, d)
        own : mapping of str to float64 array, shape (d, d)

        Raises
        ------
        InvalidInput
            If the blocks do not fit, or a setting is out of range.
        """
        model = type(self)(**self.get_params())
        pairs = joint_products(blocks, retailers, own)
        products = np.array([[pairs[r, s] for s in retailers] for r in retailers])
        model._hold(name, retailers, embedding, user_items, rows, products)
        return model.solve()

    def solve(self) -> Self:
        """Solve the regression again from the released blocks, under the settings as they are.

        Nothing is encrypted and nobody is asked. The others must do the same with the same
        settings before they are asked for recommendations, or use the maps that they have.

        Raises
        ------
        InvalidInput
            If the model was not fitted with others, or a setting is out of range.
        """
        self._check_fitted()
        names, blocks, own = tuple(self.retailers.tolist()), self.blocks, self.own
        if not blocks:
            raise InvalidInput("this CrossRetailer was fitted alone", expected="a coalition")
        penalty = choose_penalty(
            blocks,
            names,
            self.members.size,
            own=own,
            ridges=RIDGES if self.ridge is None else (self.ridge,),
            decays=DECAYS if self.decay is None else (self.decay,),
            used=None if self.factors is None else (self.factors,),
        )
        found = CrossRetailerRidge.fit(
            blocks, names, ridge=penalty.ridge, decay=penalty.decay, own=own, used=penalty.used
        )
        self.chosen = np.array([penalty.ridge, penalty.decay, penalty.used])
        self.maps = np.zeros_like(self.products)
        for (source, target), part in found.maps.items():
            self.maps[names.index(source), names.index(target)] = part
        return self

    def _hold(
        self,
        name: str,
        retailers: Sequence[str],
        embedding: LocalEmbedding,
        user_items: UserItems,
        rows: Float,
        products: Float,
    ) -> None:
        self.name, self.kind = np.array(name), np.array(embedding.kind)
        self.retailers, self.members = np.array(retailers), np.array(user_items.user_ids)
        self.item_ids = user_items.item_ids
        self.shoppers, self.item_factors = embedding.shoppers, embedding.items.T
        self.mean, self.scale = embedding.mean, embedding.scale
        counts = user_items.counts
        self.user_factors, self.counts_data = rows, counts.data
        self.counts_indices, self.counts_indptr = counts.indices, counts.indptr
        self.products, self.maps, self.chosen = products, np.zeros_like(products), np.zeros(3)

    def _fit(self, counts: csr_array, summation: Summation) -> None:
        if not isinstance(summation, Alone):
            raise InvalidInput(
                "retailers with different shoppers have no common rows",
                got="CrossRetailer",
                expected="another recommender, or hecf.LoyaltyCoalition",
            )
        factors = self.factors or min(DEFAULT_FACTORS, min(counts.shape) - 1)
        embedding = self.embedded(counts, factors)
        users = UserItems.from_csr(counts)
        # There is nobody to learn from, and the columns are orthonormal.
        products = np.eye(factors)[None, None]
        self._hold("alone", ("alone",), embedding, users, embedding.shoppers, products)

    def _scores(self, users: NDArray[np.int64], counts: csr_array, recalculate: bool) -> Float:
        return super()._scores(users, counts, recalculate) + self.mean

    def _folded_in(self, counts: csr_array) -> Float:
        return self.embedding.fold_in(counts)

    def _directions_of(self, item_users: csr_array) -> Float:
        weights = interaction_weights(item_users, self.embedding.kind)
        own = self.own[str(self.name)]
        found = np.linalg.solve(own, np.asarray(weights @ self.user_factors).T).T
        return divided(found, np.linalg.norm(found, axis=1))
