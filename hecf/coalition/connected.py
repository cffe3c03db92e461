"""A retailer's side of a coalition of running parties, from a data frame to a recommender."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hecf.coalition.fits import FittedShoppers
from hecf.coalition.loading import user_items_of
from hecf.coalition.similarity import directions_of
from hecf.data.column_names import ColumnNames
from hecf.data.readers import stream_interactions
from hecf.data.user_items import UserItems
from hecf.errors import ConfigurationError, InvalidInput
from hecf.kits.connection import connected
from hecf.kits.kit import Kit
from hecf.measure import Measurements
from hecf.protocol.terms import Terms
from hecf.recipes.horizontal import HorizontalRetailer
from hecf.recipes.similarity import SimilarityRetailer
from hecf.recommenders import Recommender
from hecf.recommenders.factors import FactorRecommender
from hecf.rpc.identity import RETAILER

Model = TypeVar("Model", bound=Recommender)


class ConnectedCoalition:
    """One retailer of a coalition whose compute node and key holder are running elsewhere.

    It is made by :meth:`hecf.Coalition.connect`.

    Parameters
    ----------
    kit : Kit
        Of a retailer.
    user_items : UserItems
        The retailer's own counts by its shoppers and the shared catalogue.

    Raises
    ------
    InvalidInput
        If there are more shoppers than the terms allow for.

    Security
    --------
    What is private leaves this process encrypted only, under the key holder's key. What is fitted
    has been released to all retailers, except the factors of one's own shoppers.
    """

    def __init__(self, kit: Kit, user_items: UserItems) -> None:
        if len(user_items.user_ids) > kit.terms.shoppers:
            raise InvalidInput(
                "there are more shoppers than the terms allow for",
                got=len(user_items.user_ids),
                expected=f"at most {kit.terms.shoppers}",
            )
        self._kit = kit
        self.name: str = kit.party.name
        """The retailer's name in the terms."""
        self.terms: Terms = kit.terms
        self.item_ids: tuple[str, ...] = user_items.item_ids
        """The shared catalogue."""
        self.user_items: Mapping[str, UserItems] = MappingProxyType({self.name: user_items})
        """The retailer's own counts, by its name: nobody else's are here."""
        self.measurements = Measurements()
        """Seconds and bytes of what this retailer did."""

    def __repr__(self) -> str:
        return f"ConnectedCoalition({self.terms.coalition!r}, as {self.name!r})"

    def fit(self, recommender: Model, *, session: str = "fit") -> dict[str, Model]:
        """Fit a recommender on the shoppers of all retailers, over encrypted sums.

        Every retailer calls this at about the same time, with the same settings and catalogue.

        Parameters
        ----------
        recommender : Recommender
            Its settings are used; it is not changed.
        session : str
            Name of this fit, the same at every retailer and not used before: lower-case letters,
            digits and hyphens.

        Returns
        -------
        dict of str to Recommender
            The retailer's own model by its name, as :meth:`hecf.Coalition.fit` returns those of
            all. It equals the model of the pooled data up to the rounding of the sums.

        Raises
        ------
        InvalidInput
            If a setting does not suit the data.
        ReleaseRefused
            If fewer shoppers than the terms ask for have changed since an earlier fit, so that its
            sums and these would show them; nothing is sent then.
        Mismatch
            If another retailer has other terms, or fits another model under this session.
        PartyMissing, Unavailable
            If another party does not act or cannot be reached.
        """
        model = type(recommender)(**recommender.get_params())
        own = self.user_items[self.name]
        if not self.terms.private:
            fitted = FittedShoppers(self._kit.state / "fits")
            fitted.enter(own, self.terms.minimum_shoppers)
        with connected(self._kit, self.measurements) as (node, key_holder):
            summation = HorizontalRetailer(
                self.terms, self.name, node, key_holder, self.measurements, session
            )
            return {self.name: model.fit(own, summation)}

    def similar_users(
        self,
        model: FactorRecommender,
        userid: ArrayLike,
        target: str,
        candidates: int,
        N: int = 10,
        *,
        session: str = "similar-users",
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Find another retailer's shoppers who resemble some of one's own (look-alikes).

        The other retailer calls :meth:`answer_similar_users` at about the same time.

        Parameters
        ----------
        model : FactorRecommender
            The retailer's own of :meth:`fit`: all have the same item factors, so their shoppers
            can be compared.
        userid : int or array of int, shape (b,)
            Shoppers of one's own, by row of the counts that the model was fitted on.
        target : str
            The other retailer.
        candidates : int
            How many shoppers it has; both have to say the same.
        N : int
            At most the 20 that the terms release.
        session : str
            Name of the question, not used before: lower-case letters, digits and hyphens.

        Returns
        -------
        ids : int64 array, shape (N,) or (b, N)
            Rows of the target's counts, best first: who they are, only the target can tell.
        scores : float64 array of the same shape
            Products of their directions, flooded.

        Raises
        ------
        InvalidInput
            If there is no such retailer or shopper.
        ReleaseRefused
            If more is asked for than the terms release.
        PartyMissing, Unavailable
            If another party does not act or cannot be reached.
        """
        rows = directions_of(model, userid)
        with connected(self._kit, self.measurements) as (node, key_holder):
            retailer = SimilarityRetailer(
                self.terms, self.name, node, key_holder, self.measurements
            )
            found = retailer.ask(session, target, rows, candidates, N)
        if np.ndim(userid) == 0:
            return found.columns[0], found.scores[0]
        return found.columns, found.scores

    def answer_similar_users(
        self,
        model: FactorRecommender,
        source: str,
        N: int = 10,
        *,
        session: str = "similar-users",
    ) -> None:
        """Let another retailer find one's shoppers who resemble its own.

        Parameters
        ----------
        model : FactorRecommender
            The retailer's own of :meth:`fit`. All shoppers of its fit take part.
        source : str
            The retailer that asks.
        N : int
            Most shoppers that it may find for each of its own.
        session : str
            Name of the question.

        Raises
        ------
        Mismatch
            If it asks for more, or supposes another number of shoppers.
        PartyMissing, Unavailable
            If another party does not act or cannot be reached.

        Security
        --------
        The asker learns rows and similarities of the shoppers it finds, and it chooses for whom it
        asks; see :class:`hecf.protocol.tasks.SimilarityTask`.
        """
        with connected(self._kit, self.measurements) as (node, key_holder):
            retailer = SimilarityRetailer(
                self.terms, self.name, node, key_holder, self.measurements
            )
            retailer.answer(source, session, model.user_directions, N)


def connect(
    kit: Kit | str | os.PathLike[str],
    data: Any,
    columns: ColumnNames,
    catalogue: Sequence[str] | None,
) -> ConnectedCoalition:
    """Open a retailer's kit and its data; see :meth:`hecf.Coalition.connect`."""
    opened = kit if isinstance(kit, Kit) else Kit.load(Path(kit), role=RETAILER)
    named = opened.configuration.data
    if data is not None:
        own = user_items_of(data, columns)
    elif named is not None and named.interactions is not None:
        own = UserItems.from_tables(stream_interactions(named.interactions, columns))
    else:
        raise ConfigurationError("the kit names no file of interactions", got=opened.party.role)
    return ConnectedCoalition(opened, own if catalogue is None else own.with_items(catalogue))
