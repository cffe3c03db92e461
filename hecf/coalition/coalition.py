"""A coalition in one process, from data frames to recommenders."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, csr_matrix

from hecf.coalition.services import LocalServices
from hecf.coalition.similarity import most_similar_rows
from hecf.data.column_names import DEFAULT_COLUMNS, ColumnNames
from hecf.data.interactions import InteractionTable
from hecf.data.user_items import UserItems
from hecf.errors import InvalidInput
from hecf.measure import Measurements
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.protocol.terms import Terms
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

    Raises
    ------
    InvalidInput
        If there are fewer than two retailers, or data cannot be used.
    ConfigurationError
        If a name or the scheme is unsuitable.

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
    ) -> None:
        if len(data) < 2:
            raise InvalidInput("a coalition is too small", got=len(data), expected="2 retailers up")
        loaded = {name: user_items_of(entry, columns) for name, entry in data.items()}
        catalogue = sorted({item for entry in loaded.values() for item in entry.item_ids})
        self.item_ids: tuple[str, ...] = tuple(catalogue)
        """The shared catalogue: items of any retailer, sorted as text."""
        self.user_items: Mapping[str, UserItems] = MappingProxyType(
            {name: entry.with_items(catalogue) for name, entry in loaded.items()}
        )
        """Every retailer's counts by its own shoppers and the shared catalogue."""
        most = max(len(entry.user_ids) for entry in loaded.values())
        self.terms = Terms(
            coalition="in-memory",
            identifier=secrets.token_hex(16),
            scheme=scheme,
            retailers=tuple(loaded),
            # No directory: the shoppers are different. The number only bounds what is summed.
            shoppers=max(_MINIMUM_SHOPPERS, 1 << (most - 1).bit_length()),
            directory="0" * 64,
            factors=1,
        )

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
            with binary weights, otherwise up to the rounding of the sums.

        Raises
        ------
        InvalidInput
            If a setting does not suit the data.
        ParameterError
            If the sums do not fit the encryption parameters.
        """

        def take_part(name: str, node: ComputeNode, holder: KeyHolder, mine: Measurements) -> Model:
            summation = HorizontalRetailer(self.terms, name, node, holder, mine)
            model = type(recommender)(**recommender.get_params())
            return model.fit(self.user_items[name], summation)

        with LocalServices(self.terms) as services:
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
            If there is no such retailer or shopper.
        ReleaseRefused
            If more is asked for than the terms release.
        """
        for name in (source, target):
            if name not in models:
                raise InvalidInput("there is no such retailer", got=name, expected=list(models))
        users = np.atleast_1d(np.asarray(userid))
        mine, theirs = models[source].user_directions, models[target].user_directions
        if users.dtype.kind not in "iu" or not ((users >= 0) & (users < len(mine))).all():
            raise InvalidInput("userid is out of range", expected=f"0 to {len(mine) - 1}")
        ids, scores = most_similar_rows(self.terms, mine[users], theirs, N)
        return (ids[0], scores[0]) if np.ndim(userid) == 0 else (ids, scores)


def user_items_of(entry: Any, columns: ColumnNames) -> UserItems:
    """Take whatever form of interactions a caller brings."""
    if isinstance(entry, UserItems):
        return entry
    if isinstance(entry, InteractionTable):
        return UserItems.from_tables([entry])
    if isinstance(entry, csr_array | csr_matrix):
        return UserItems.from_csr(entry)
    return UserItems.from_frame(entry, columns)
