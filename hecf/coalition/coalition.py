"""A coalition in one process, from data frames to recommenders."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hecf.coalition.connected import ConnectedCoalition, connect
from hecf.coalition.loading import loaded
from hecf.coalition.services import LocalServices, MemoryLedger
from hecf.coalition.similarity import directions_of, most_similar_rows
from hecf.data.column_names import DEFAULT_COLUMNS, ColumnNames
from hecf.data.user_items import UserItems
from hecf.errors import InvalidInput
from hecf.kits.kit import Kit
from hecf.measure import Measurements
from hecf.privacy.budget import Privacy
from hecf.privacy.ledger import Ledger
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.protocol.terms import BLINDED, NO_DIRECTORY, Terms
from hecf.recipes.horizontal import HorizontalRetailer
from hecf.recommenders import FactorRecommender, Recommender

Model = TypeVar("Model", bound=Recommender)
_MINIMUM_SHOPPERS = 100


class Coalition:
    """Several retailers with one catalogue, who fit a recommender together.

    Parameters
    ----------
    data : mapping of str to UserItems, InteractionTable, sparse matrix or data frame
        What each retailer brings, by its name (lower-case letters, digits and hyphens).
    columns : ColumnNames
        What the columns of data frames are called.
    scheme : {"ckks", "paillier", "clear"}
        ``clear`` does not encrypt; it is the twin to compare with.
    privacy : Privacy, optional
        Budget of differential privacy, which all fits of this coalition share (extra ``dp``).
    topology : {"coalition-key-blinded", "coalition-key"}
        Whether the key holder may read sums under Paillier; it reads those under CKKS.

    Raises
    ------
    InvalidInput
        If there are fewer than two retailers, or data cannot be used.
    ConfigurationError
        If a name or the scheme is unsuitable.

    Security
    --------
    All roles run in this process: this is for notebooks and experiments on data that may lie
    together. Retailers that may not see each other's data use :meth:`connect`.
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        *,
        columns: ColumnNames = DEFAULT_COLUMNS,
        scheme: str = "ckks",
        privacy: Privacy | None = None,
        topology: str = BLINDED,
    ) -> None:
        entries = loaded(data, columns)
        catalogue = sorted({item for entry in entries.values() for item in entry.item_ids})
        self.item_ids: tuple[str, ...] = tuple(catalogue)
        """The shared catalogue: items of any retailer, sorted as text."""
        self.user_items: Mapping[str, UserItems] = MappingProxyType(
            {name: entry.with_items(catalogue) for name, entry in entries.items()}
        )
        """Every retailer's counts by its own shoppers and the shared catalogue."""
        most = max(len(entry.user_ids) for entry in entries.values())
        self.terms = Terms(
            coalition="in-memory",
            identifier=secrets.token_hex(16),
            scheme=scheme,
            retailers=tuple(entries),
            # It only bounds what is summed.
            shoppers=max(_MINIMUM_SHOPPERS, 1 << (most - 1).bit_length()),
            directory=NO_DIRECTORY,
            factors=1,
            # Everybody adds noise, so that each adds little.
            minimum_contributors=len(entries) if privacy else 2,
            topology=topology,
            **(privacy.agreed() if privacy else {}),
        )
        self._ledger = MemoryLedger(self.terms)

    @property
    def ledger(self) -> Ledger:
        """What was released so far; ``ledger.spent_epsilon`` is what that has cost."""
        return self._ledger.ledger

    @classmethod
    def connect(
        cls,
        kit: Kit | str | os.PathLike[str],
        data: Any = None,
        *,
        columns: ColumnNames = DEFAULT_COLUMNS,
        catalogue: Sequence[str] | None = None,
    ) -> ConnectedCoalition:
        """Join a coalition of running parties as the retailer of a kit.

        Parameters
        ----------
        kit : Kit or path
            A retailer's ``party.toml``, as ``hecf provision`` has made it.
        data : UserItems, InteractionTable, sparse matrix or data frame, optional
            The retailer's own interactions; by default the file that the kit names.
        columns : ColumnNames
            What the columns of a data frame, or of the file, are called.
        catalogue : sequence of str, optional
            The shared items, in an order that all retailers use. By default the retailer's own,
            sorted as text, which suits if everybody sells the same.

        Returns
        -------
        ConnectedCoalition
            With ``fit``, which returns what that of a coalition in one process does. Nothing is
            sent before it is called.

        Raises
        ------
        ConfigurationError
            If the kit cannot be used or is not a retailer's.
        InvalidInput
            If the data cannot be used, or there are more shoppers than the terms allow for.
        """
        return connect(kit, data, columns, catalogue)

    def fit(self, recommender: Model) -> dict[str, Model]:
        """Fit a recommender on the shoppers of all retailers, over encrypted sums.

        Parameters
        ----------
        recommender : Recommender
            Its settings are used; it is not changed.

        Returns
        -------
        dict of str to Recommender
            The fitted model of every retailer. It equals the model of the pooled data: exactly
            with binary weights, otherwise up to the rounding of the sums, and up to the noise of
            an agreed privacy.

        Raises
        ------
        InvalidInput
            If a setting does not suit the data.
        ParameterError
            If the sums do not fit the encryption parameters.
        LimitExceeded
            If the budget of privacy does not suffice for the sums of this fit.
        """

        def take_part(name: str, node: ComputeNode, holder: KeyHolder, mine: Measurements) -> Model:
            summation = HorizontalRetailer(self.terms, name, node, holder, mine)
            model = type(recommender)(**recommender.get_params())
            return model.fit(self.user_items[name], summation)

        with LocalServices(self.terms, self._ledger) as services:
            return services.run(self.terms.retailers, take_part)

    def similar_users(
        self,
        models: Mapping[str, FactorRecommender],
        source: str,
        userid: ArrayLike,
        target: str,
        N: int = 10,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Find another retailer's shoppers who resemble some of one's own (look-alikes).

        Parameters
        ----------
        models : mapping of str to FactorRecommender
            Of :meth:`fit`: all have the same item factors, so their shoppers can be compared.
        source, target : str
            The retailer that asks, and the one whose shoppers are found.
        userid : int or array of int, shape (b,)
            Shoppers of the source, by row of its counts.
        N : int
            At most the 20 that the terms release.

        Returns
        -------
        ids : int64 array, shape (N,) or (b, N)
            Rows of the target's counts, best first: who they are, only the target can tell.
        scores : float64 array of the same shape
            Products of their directions, flooded.

        Raises
        ------
        InvalidInput
            If there is no such retailer or shopper, or the two retailers are the same.
        ReleaseRefused
            If more is asked for than the terms release.
        """
        for name in (source, target):
            if name not in models:
                raise InvalidInput("there is no such retailer", got=name, expected=list(models))
        mine, theirs = directions_of(models[source], userid), models[target].user_directions
        ids, scores = most_similar_rows(self.terms, source, target, mine, theirs, N)
        return (ids[0], scores[0]) if np.ndim(userid) == 0 else (ids, scores)
