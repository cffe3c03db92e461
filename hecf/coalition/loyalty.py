"""A loyalty programme in one process: the same shoppers, every retailer its own catalogue."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hecf.coalition.cross_retailer import CrossRetailerModel
from hecf.coalition.loading import loaded, user_items_of
from hecf.coalition.services import LocalServices
from hecf.coalition.similarity import most_similar_rows
from hecf.data.column_names import DEFAULT_COLUMNS, ColumnNames
from hecf.data.directory import MemberDirectory, PseudonymKey
from hecf.data.user_items import UserItems
from hecf.errors import InvalidInput
from hecf.he.similarity.plan import normalise_rows
from hecf.measure import Measurements
from hecf.models import CrossRetailerRidge, LocalEmbedding
from hecf.models.cross_ridge import Blocks
from hecf.models.selection import choose_penalty, choose_weighting
from hecf.models.weights import Weighting
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.protocol.terms import Terms
from hecf.recipes.horizontal import HorizontalRetailer
from hecf.recipes.vertical import Recommendations, VerticalRetailer

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
        Columns d of each retailer's embedding.
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

    def fit(self, weighting: Weighting | None = None) -> dict[str, CrossRetailerModel]:
        """Fit every retailer's embedding at home and the joint regression over encrypted blocks.

        Parameters
        ----------
        weighting : {"binary", "log1p"}, optional
            Weights of the counts; by default each retailer chooses on its own data.

        Returns
        -------
        dict of str to CrossRetailerModel
            Ridge and decay are chosen by generalised cross-validation on the released blocks.

        Raises
        ------
        InvalidInput
            If the data of a retailer does not suit the factors.
        """
        factors = self.terms.factors
        embeddings = {
            name: LocalEmbedding.fit(
                entry.counts, factors, kind=weighting or choose_weighting(entry.counts, factors)
            )
            for name, entry in self.user_items.items()
        }
        rows = {name: embedding.shoppers for name, embedding in embeddings.items()}
        blocks = self._blocks(self.terms, rows)
        return self._models(embeddings, self.user_ids, rows, blocks, {})

    def update(
        self, models: Mapping[str, CrossRetailerModel], data: Mapping[str, Any]
    ) -> dict[str, CrossRetailerModel]:
        """Take in new shoppers, for example of a week, without encrypting the old ones again.

        Their rows are folded into the embeddings, which do not change; the blocks of these rows
        are computed under encryption and added to the old ones.

        Parameters
        ----------
        models : mapping of str to CrossRetailerModel
            Of :meth:`fit` or of an earlier update.
        data : mapping of str to UserItems, InteractionTable or data frame
            Of the new shoppers, for any of the retailers. Items outside a catalogue are dropped.

        Returns
        -------
        dict of str to CrossRetailerModel

        Raises
        ------
        InvalidInput
            If a shopper is known already, or there are fewer new ones than a release needs.
        """
        known = next(iter(models.values())).user_ids
        loaded = {name: user_items_of(entry, self._columns) for name, entry in data.items()}
        self._check_names(loaded)
        new = sorted({user for entry in loaded.values() for user in entry.user_ids})
        doubled = len(set(new) & set(known))
        if doubled or len(new) < self.terms.minimum_shoppers:
            raise InvalidInput(
                "the shoppers of an update do not suit it",
                got=f"{len(new)} shoppers, {doubled} of them known",
                expected=f"at least {self.terms.minimum_shoppers} new ones",
            )
        rows = {name: _folded(models[name], loaded.get(name), new) for name in models}
        added = self._blocks(self._terms_for(len(new)), rows)
        triangles = self._own_blocks(rows)
        blocks = {pair: next(iter(models.values())).blocks[pair] + added[pair] for pair in added}
        own = {name: models[name].own[name] + triangles[name] for name in models}
        stacked = {name: np.vstack([models[name].rows, rows[name]]) for name in models}
        embeddings = {name: model.embedding for name, model in models.items()}
        return self._models(embeddings, (*known, *new), stacked, blocks, own)

    def recommend(
        self,
        models: Mapping[str, CrossRetailerModel],
        target: str,
        user_ids: Sequence[str],
        data: Mapping[str, Any] | None = None,
    ) -> Recommendations:
        """Recommend a retailer's items with what the others know of the shoppers.

        Parameters
        ----------
        models : mapping of str to CrossRetailerModel
        target : str
        user_ids : sequence of str
            Members of the fit, or new ones.
        data : mapping of str to UserItems, InteractionTable or data frame, optional
            What the other retailers know of new shoppers, who are folded in.

        Returns
        -------
        Recommendations
            ``rows`` are positions in `user_ids`, ``items`` columns of the target's catalogue.

        Raises
        ------
        InvalidInput
            If there is no such retailer or no shopper.
        """
        self._check_names({target: None, **(data or {})})
        loaded = {name: user_items_of(entry, self._columns) for name, entry in (data or {}).items()}
        users = tuple(user_ids)
        # The plan of the key needs a directory of some size; the rows above the users stay empty.
        terms = self._terms_for(len(users))
        rows = {}
        for name, model in models.items():
            known = model.rows_of(users)
            fresh = _folded(model, loaded.get(name), users)
            chosen = np.where(np.abs(fresh).max(axis=1, keepdims=True) > 0, fresh, known)
            rows[name] = np.vstack([chosen, np.zeros((terms.shoppers - len(users), terms.factors))])

        def take_part(
            name: str, node: ComputeNode, holder: KeyHolder, mine: Measurements
        ) -> Recommendations | None:
            retailer = VerticalRetailer(terms, name, node, holder, mine)
            encryptor = retailer.join()
            if name == target:
                task, unit = retailer.declare(models[name].embedding, tuple(range(len(users))))
                return retailer.collect(task, unit)
            retailer.share(encryptor, rows[name], models[name].ridge, target)
            return None

        with LocalServices(terms) as services:
            found = services.run(terms.retailers, take_part)[target]
        if found is None:
            raise InvalidInput("there is no such retailer", got=target)
        return found

    def similar_items(
        self,
        models: Mapping[str, CrossRetailerModel],
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
        models : mapping of str to CrossRetailerModel
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
        self._check_names({source: None, target: None})
        if source == target:
            raise InvalidInput("similar items are of another retailer", got=target)
        items = np.atleast_1d(np.asarray(itemid))
        length = len(models[source].item_ids)
        if items.dtype.kind not in "iu" or not ((items >= 0) & (items < length)).all():
            raise InvalidInput("itemid is out of range", expected=f"0 to {length - 1}")
        blocks = models[source].blocks
        found = blocks.get((source, target))
        block = blocks[target, source].T if found is None else found
        mine = normalise_rows(models[source].embedding.items.T[items]) @ block
        # A product of orthonormal columns does not lengthen a row, but its noise can.
        mine /= np.maximum(1.0, np.linalg.norm(mine, axis=1, keepdims=True))
        theirs = normalise_rows(models[target].embedding.items.T)
        ids, scores = most_similar_rows(self.terms, source, target, mine, theirs, N)
        return (ids[0], scores[0]) if np.ndim(itemid) == 0 else (ids, scores)

    def _blocks(self, terms: Terms, rows: Mapping[str, Float]) -> Blocks:
        def take_part(
            name: str, node: ComputeNode, holder: KeyHolder, mine: Measurements
        ) -> Blocks:
            retailer = VerticalRetailer(terms, name, node, holder, mine)
            return retailer.blocks(retailer.join(), rows[name])

        with LocalServices(terms) as services:
            return next(iter(services.run(terms.retailers, take_part).values()))

    def _own_blocks(self, rows: Mapping[str, Float]) -> dict[str, Float]:
        """Products of each retailer's new rows with themselves, known to all afterwards.

        Each fills its own part of one vector, so their sum is all of them.
        """
        names, size = self.terms.retailers, self.terms.factors**2

        def take_part(name: str, node: ComputeNode, holder: KeyHolder, mine: Measurements) -> Float:
            vector = np.zeros(len(names) * size)
            start = names.index(name) * size
            vector[start : start + size] = (rows[name].T @ rows[name]).ravel()
            summation = HorizontalRetailer(self.terms, name, node, holder, mine)
            return summation("own-blocks", vector, value_bound=1.0, whole=False)

        with LocalServices(self.terms) as services:
            total = next(iter(services.run(names, take_part).values()))
        shape = (self.terms.factors, self.terms.factors)
        return {
            name: part.reshape(shape)
            for name, part in zip(names, np.split(total, len(names)), strict=True)
        }

    def _models(
        self,
        embeddings: Mapping[str, LocalEmbedding],
        users: tuple[str, ...],
        rows: Mapping[str, Float],
        blocks: Blocks,
        own: Mapping[str, Float],
    ) -> dict[str, CrossRetailerModel]:
        names = self.terms.retailers
        full = {name: own.get(name, np.eye(self.terms.factors)) for name in names}
        penalty = choose_penalty(blocks, names, len(users), own=full)
        ridge = CrossRetailerRidge.fit(
            blocks, names, ridge=penalty.ridge, decay=penalty.decay, own=full
        )
        return {
            name: CrossRetailerModel(
                name,
                embeddings[name],
                self.user_items[name].item_ids,
                users,
                rows[name],
                dict(blocks),
                full,
                ridge,
                penalty,
            )
            for name in names
        }

    def _terms_for(self, shoppers: int) -> Terms:
        if shoppers < 1:
            raise InvalidInput("there is no shopper", got=shoppers, expected="at least 1")
        size = max(shoppers, self.terms.minimum_shoppers, self.terms.factors + 1)
        return replace(self.terms, identifier=secrets.token_hex(16), shoppers=size)

    def _check_names(self, names: Mapping[str, Any]) -> None:
        unknown = sorted(set(names) - set(self.terms.retailers))
        if unknown:
            raise InvalidInput(
                "there is no such retailer",
                got=", ".join(unknown),
                expected=f"some of {', '.join(self.terms.retailers)}",
            )


def _folded(model: CrossRetailerModel, entry: UserItems | None, users: Sequence[str]) -> Float:
    if entry is None:
        return np.zeros((len(users), model.embedding.factors))
    arranged = entry.with_users(users).with_items(model.item_ids)
    return model.embedding.fold_in(arranged.counts)
