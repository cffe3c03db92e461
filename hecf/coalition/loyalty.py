"""A loyalty programme in one process: the same shoppers, every retailer its own catalogue."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from hecf.coalition.loading import loaded, user_items_of
from hecf.coalition.rounds import released_blocks, released_differences, released_scores
from hecf.coalition.similarity import most_similar_rows
from hecf.coalition.week import Week
from hecf.data.column_names import DEFAULT_COLUMNS, ColumnNames
from hecf.data.directory import MemberDirectory, PseudonymKey
from hecf.data.user_items import UserItems
from hecf.errors import InvalidInput
from hecf.he.similarity.plan import normalise_rows
from hecf.models import LocalEmbedding
from hecf.models.cross_ridge import Blocks
from hecf.protocol.terms import Terms
from hecf.recommenders import CrossRetailer
from hecf.recommenders.base import Matrix, best, counts_of, indices

Float = NDArray[np.float64]


class LoyaltyCoalition:
    """Several retailers with the same shoppers, who recommend with what the others know.

    Parameters
    ----------
    data : mapping of str to UserItems, InteractionTable, sparse matrix or data frame
        What each retailer brings, by its name (lower-case letters, digits and hyphens). Sparse
        matrices need user ids, so bring them as :class:`hecf.data.UserItems`.
    columns : ColumnNames
        What the columns of data frames are called.
    scheme : {"ckks", "clear"}
        ``clear`` does not encrypt; it is the twin to compare with.
    factors : int
        Columns d of each retailer's embedding, of which a model may use fewer.
    top_k : int
        Items released for a shopper.

    Raises
    ------
    InvalidInput
        If there are fewer than two retailers, or data cannot be used.
    ConfigurationError
        If a name, the scheme or a number is unsuitable; 100 shoppers are the fewest.

    Security
    --------
    All roles run in this process: this is for notebooks and experiments on data that may lie
    together. Retailers that may not see each other's data run ``hecf serve`` instead.
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        *,
        columns: ColumnNames = DEFAULT_COLUMNS,
        scheme: str = "ckks",
        factors: int = 32,
        top_k: int = 20,
    ) -> None:
        entries = loaded(data, columns)
        self._columns = columns
        members = sorted({user for entry in entries.values() for user in entry.user_ids})
        self.user_ids: tuple[str, ...] = tuple(members)
        """Shoppers of any retailer, sorted as text: the rows of every matrix."""
        self.user_items: Mapping[str, UserItems] = MappingProxyType(
            {name: entry.with_users(members) for name, entry in entries.items()}
        )
        """Every retailer's counts by the shared shoppers and its own catalogue."""
        directory = MemberDirectory.from_members(PseudonymKey.generate(), members)
        self.terms = Terms(
            coalition="in-memory",
            identifier=secrets.token_hex(16),
            scheme=scheme,
            retailers=tuple(entries),
            shoppers=len(directory),
            directory=directory.fingerprint,
            factors=factors,
            top_k=top_k,
        )

    def fit(self, recommender: CrossRetailer | None = None) -> dict[str, CrossRetailer]:
        """Fit every retailer's embedding at home and the joint regression over encrypted blocks.

        Parameters
        ----------
        recommender : CrossRetailer, optional
            Its settings are used; it is not changed.

        Returns
        -------
        dict of str to CrossRetailer
            The fitted model of every retailer.

        Raises
        ------
        InvalidInput
            If the data of a retailer does not suit the factors, or a setting is out of range.
        """
        settings = CrossRetailer() if recommender is None else recommender
        embeddings = {
            name: settings.embedded(entry.counts, self.terms.factors)
            for name, entry in self.user_items.items()
        }
        rows = {name: embedding.shoppers for name, embedding in embeddings.items()}
        blocks = released_blocks(self.terms, rows, rows)
        own = {name: np.eye(self.terms.factors) for name in rows}
        return self._joined(settings, embeddings, self.user_items, rows, blocks, own)

    def update(
        self, models: Mapping[str, CrossRetailer], data: Mapping[str, Any]
    ) -> dict[str, CrossRetailer]:
        """Take in what shoppers bought since, for example in a week: known shoppers and new ones.

        Counts are added to those of known shoppers. Their rows before and after are folded into the
        embeddings, which do not change, and only the difference that they make to the blocks is
        computed, under encryption; it is added to the old ones. The others are not encrypted again.

        Parameters
        ----------
        models : mapping of str to CrossRetailer
            Of :meth:`fit` or of an earlier update; they are not changed.
        data : mapping of str to UserItems, InteractionTable or data frame
            What was bought since, at any of the retailers. Items outside a catalogue are dropped.

        Returns
        -------
        dict of str to CrossRetailer

        Raises
        ------
        InvalidInput
            If fewer shoppers bought something than a release needs.

        Security
        --------
        The difference is of the shoppers in the update only, so there must be as many of them as
        for a release of the blocks, and every retailer learns who they are, though not where they
        bought. Leave a week with few shoppers to the next one.
        """
        self._check_names(data)
        fresh = {name: user_items_of(entry, self._columns) for name, entry in data.items()}
        week = Week.of(models, fresh)
        if week.active < self.terms.minimum_shoppers:
            raise InvalidInput(
                "the shoppers of an update are too few",
                got=f"{week.active} who bought something in the catalogues",
                expected=f"at least {self.terms.minimum_shoppers}",
            )
        blocks, squares = released_differences(self.terms, week, len(self.user_ids))
        first = next(iter(models.values()))
        return self._joined(
            first,
            {name: model.embedding for name, model in models.items()},
            week.user_items,
            week.rows,
            {pair: block + blocks[pair] for pair, block in first.blocks.items()},
            {name: square + squares[name] for name, square in first.own.items()},
        )

    def recommend(
        self,
        models: Mapping[str, CrossRetailer],
        target: str,
        userid: int | ArrayLike,
        user_items: Mapping[str, Matrix] | None = None,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: ArrayLike | None = None,
        recalculate_user: bool = False,
        items: ArrayLike | None = None,
    ) -> tuple[NDArray[np.int32], Float]:
        """Recommend a retailer's items with what the others know of the shoppers.

        After `target`, arguments and results are those of implicit; what a single retailer knows
        goes by its name.

        Parameters
        ----------
        models : mapping of str to CrossRetailer
        target : str
            Whose items are recommended.
        userid : int or array of int, shape (b,)
            Rows of the shoppers in the models.
        user_items : mapping of str to UserItems or sparse CSR array or matrix, optional
            The counts of just these shoppers, (b, items), in the order of `userid`, at any of the
            retailers; by default those that the models have.
        N : int
        filter_already_liked_items : bool
            Whether items that the shopper has at the target are left out.
        filter_items, items : array of int, optional
            Items never to recommend, and the only ones to recommend.
        recalculate_user : bool
            Whether shoppers are described by `user_items`, as new ones are, who are folded in. They
            have no row, and `userid` says only how many they are.

        Returns
        -------
        ids : int32 array, shape (N,) or (b, N)
            Best first; -1 where fewer than N items are left.
        scores : float64 array of the same shape

        Raises
        ------
        InvalidInput
            If there is no such retailer or shopper, or shapes do not fit.

        Security
        --------
        The target receives all scores of these shoppers, as in a coalition with blinded release.
        """
        self._check_names([target, *(user_items or {})])
        users = np.atleast_1d(np.asarray(userid))
        if users.ndim != 1 or users.dtype.kind not in "iu" or not users.size:
            raise InvalidInput("userid names no shopper", expected="a number or some numbers")
        if recalculate_user and user_items is None:
            raise InvalidInput("new shoppers are described by user_items", expected="user_items")
        if not recalculate_user:
            users = indices("userid", users, len(models[target].members))
        bought = {name: self._counts(models[name], users, user_items) for name in models}
        rows = {
            name: model.embedding.fold_in(bought[name])
            if recalculate_user
            else model.user_factors[users]
            for name, model in models.items()
            if name != target
        }
        scores = released_scores(self._terms_for(users.size), models, rows, target)
        if filter_already_liked_items:
            scores[bought[target].nonzero()] = -np.inf
        return best(scores, N, filter_items, items, single=np.ndim(userid) == 0)

    def similar_items(
        self,
        models: Mapping[str, CrossRetailer],
        source: str,
        itemid: ArrayLike,
        target: str,
        N: int = 10,
    ) -> tuple[NDArray[np.int64], Float]:
        """Find items of another catalogue that the same shoppers buy.

        With the released block ``M = P_s' P_t``, the covariance of two items over the shoppers is
        ``v_s' M v_t`` of their columns in the two embeddings; it is divided by their norms.

        Parameters
        ----------
        models : mapping of str to CrossRetailer
        source, target : str
            The retailer that asks, and the one whose items are found.
        itemid : int or array of int, shape (b,)
            Columns of the source's catalogue.
        N : int
            At most the `top_k` of the coalition.

        Returns
        -------
        ids : int64 array, shape (N,) or (b, N)
            Columns of the target's catalogue, best first.
        scores : float64 array of the same shape
            Correlations as far as the embeddings carry them, flooded.

        Raises
        ------
        InvalidInput
            If there is no such retailer or item.
        ReleaseRefused
            If more is asked for than the terms release.
        """
        self._check_names([source, target])
        if source == target:
            raise InvalidInput("similar items are of another retailer", got=target)
        items = np.atleast_1d(np.asarray(itemid))
        length = models[source].items
        if items.dtype.kind not in "iu" or not ((items >= 0) & (items < length)).all():
            raise InvalidInput("itemid is out of range", expected=f"0 to {length - 1}")
        blocks = models[source].blocks
        found = blocks.get((source, target))
        block = blocks[target, source].T if found is None else found
        mine = normalise_rows(models[source].item_factors[items]) @ block
        # A product of orthonormal columns does not lengthen a row, but its noise can.
        mine /= np.maximum(1.0, np.linalg.norm(mine, axis=1, keepdims=True))
        theirs = normalise_rows(models[target].item_factors)
        ids, scores = most_similar_rows(self.terms, source, target, mine, theirs, N)
        return (ids[0], scores[0]) if np.ndim(itemid) == 0 else (ids, scores)

    def _joined(
        self,
        settings: CrossRetailer,
        embeddings: Mapping[str, LocalEmbedding],
        entries: Mapping[str, UserItems],
        rows: Mapping[str, Float],
        blocks: Blocks,
        own: Mapping[str, Float],
    ) -> dict[str, CrossRetailer]:
        names = self.terms.retailers
        return {
            name: settings.joined(
                name, names, embeddings[name], entries[name], rows[name], blocks, own
            )
            for name in names
        }

    def _counts(
        self,
        model: CrossRetailer,
        users: NDArray[np.int64],
        user_items: Mapping[str, Matrix] | None,
    ) -> csr_array:
        """Look up counts of some shoppers at a retailer, (b, items), or take the given ones."""
        if user_items is None:
            return csr_array(model.counts[users])
        name, shape = str(model.name), (users.size, model.items)
        if name not in user_items:
            return csr_array(shape, dtype=np.float64)
        given = user_items[name]
        if isinstance(given, UserItems):
            given = given.with_items(self.user_items[name].item_ids)
        counts = counts_of(given)
        if counts.shape != shape:
            raise InvalidInput(
                f"the counts of {name} do not fit", got=f"shape {counts.shape}", expected=shape
            )
        return counts

    def _terms_for(self, shoppers: int) -> Terms:
        if shoppers < 1:
            raise InvalidInput("there is no shopper", got=shoppers, expected="at least 1")
        size = max(shoppers, self.terms.minimum_shoppers, self.terms.factors + 1)
        return replace(self.terms, identifier=secrets.token_hex(16), shoppers=size)

    def _check_names(self, names: Iterable[str]) -> None:
        unknown = sorted(set(names) - set(self.terms.retailers))
        if unknown:
            raise InvalidInput(
                "there is no such retailer",
                got=", ".join(unknown),
                expected=f"some of {', '.join(self.terms.retailers)}",
            )
