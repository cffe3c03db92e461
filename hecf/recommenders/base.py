"""What every recommender has: implicit's calls and scikit-learn's parameters.

A recommender is fitted with sums of statistics over shoppers. Fitted alone, the sum is its own
vector; fitted with a coalition, an encrypted sum takes its place. So the pooled twin of a federated
model is the same code on pooled data.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, csr_matrix

from hecf.data.user_items import UserItems
from hecf.errors import InvalidInput
from hecf.models.ranking import top_k
from hecf.recommenders.settings import Configurable
from hecf.recommenders.storage import read_arrays, write_arrays

Float = NDArray[np.float64]
Matrix = UserItems | csr_array | csr_matrix
NOTHING = -1
"""Index in place of an item when fewer than N are left after filtering; its score is -inf."""


class Summation(Protocol):
    """Sums one vector of every retailer."""

    def __call__(self, label: str, vector: Float, *, value_bound: float, whole: bool) -> Float:
        """Return the sum of the vectors that all retailers bring under this label.

        Parameters
        ----------
        label : str
            The same at every retailer, and another in each call.
        vector : float64 array, shape (n,)
        value_bound : float
            Largest absolute value that any retailer's vector may have, known to all.
        whole : bool
            Whether the values are whole numbers; if not, they are rounded as finely as fits.
        """
        ...

    @property
    def shoppers(self) -> int:
        """Most shoppers of any retailer, known to all."""
        ...

    @property
    def contribution_bound(self) -> float:
        """Largest Euclidean norm of what one shopper may add to a vector, known to all.

        Infinite where sums are exact. Where it is not, they carry noise for differential privacy.
        """
        ...


class Alone:
    """The sum over one's own vector only, exact and without a bound."""

    shoppers = 1 << 32
    contribution_bound = math.inf

    def __call__(self, label: str, vector: Float, *, value_bound: float, whole: bool) -> Float:
        """Return the vector."""
        return vector


class Recommender(Configurable, ABC):
    """A model of items that recommends to shoppers."""

    _arrays: ClassVar[tuple[str, ...]]
    """Names of the fitted arrays."""

    item_ids: tuple[str, ...] | None = None
    """Names of the items by index, if the model was fitted on :class:`UserItems`."""

    def fit(self, user_items: Matrix, summation: Summation | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        user_items : UserItems or sparse CSR array or matrix, shape (users, items)
            Counts.
        summation : Summation, optional
            How statistics are summed over retailers; alone by default.

        Returns
        -------
        Self

        Raises
        ------
        InvalidInput
            If a setting or the counts are out of range.
        """
        self._fit(counts_of(user_items), Alone() if summation is None else summation)
        self.item_ids = user_items.item_ids if isinstance(user_items, UserItems) else None
        return self

    def recommend(
        self,
        userid: int | ArrayLike,
        user_items: Matrix,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: ArrayLike | None = None,
        recalculate_user: bool = False,
        items: ArrayLike | None = None,
    ) -> tuple[NDArray[np.int32], Float]:
        """Recommend items to one or several users, as implicit does.

        Parameters
        ----------
        userid : int or array of int, shape (b,)
            Rows of the users in the model; models without user factors only look at `user_items`.
        user_items : UserItems or sparse CSR array or matrix, shape (b, items)
            The counts of just these users, in the order of `userid`.
        N : int
        filter_already_liked_items : bool
            Whether items that the user has are left out.
        filter_items, items : array of int, optional
            Items never to recommend, and the only ones to recommend.
        recalculate_user : bool
            Whether a user's factors are computed from `user_items`, as for a new user.

        Returns
        -------
        ids : int32 array, shape (N,) or (b, N)
            Best first; -1 where fewer than N items are left.
        scores : float64 array of the same shape

        Raises
        ------
        InvalidInput
            If the model is not fitted, shapes do not fit, or an index is out of range.
        """
        self._check_fitted()
        counts = counts_of(user_items)
        users = np.atleast_1d(np.asarray(userid))
        if users.ndim != 1 or users.dtype.kind not in "iu" or users.size != counts.shape[0]:
            raise InvalidInput(
                "users and rows of counts differ",
                got=f"{users.size} users, {counts.shape[0]} rows",
                expected="one row of counts for each user",
            )
        if counts.shape[1] != self.items:
            raise InvalidInput(
                "the counts have another catalogue than the model",
                got=f"{counts.shape[1]} items",
                expected=f"{self.items}",
            )
        scores = np.array(self._scores(users, counts, recalculate_user), dtype=np.float64)
        if filter_already_liked_items:
            scores[counts.nonzero()] = -np.inf
        return best(scores, N, filter_items, items, single=np.ndim(userid) == 0)

    def similar_items(
        self,
        itemid: int | ArrayLike,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: csr_array | csr_matrix | None = None,
        filter_items: ArrayLike | None = None,
        items: ArrayLike | None = None,
    ) -> tuple[NDArray[np.int32], Float]:
        """Find the items most similar to one or several items, as implicit does.

        Parameters
        ----------
        itemid : int or array of int, shape (b,)
        N : int
        recalculate_item : bool
            Whether an item is described by `item_users` instead of what the fit found of it; by
            models of factors only, which compare it with the factors of their own users.
        item_users : sparse CSR array or matrix, shape (b, users), optional
            The counts of these items by the users of the fit.
        filter_items, items : array of int, optional
            Items never to find, and the only ones to find.

        Returns
        -------
        ids : int32 array, shape (N,) or (b, N)
            Best first. As in implicit the item itself is among them.
        scores : float64 array of the same shape

        Raises
        ------
        InvalidInput
            If the model is not fitted, knows no similarity, or an index is out of range.
        """
        self._check_fitted()
        chosen = indices("itemid", np.atleast_1d(np.asarray(itemid)), self.items)
        if recalculate_item != (item_users is not None):
            raise InvalidInput("recalculate_item and item_users do not go together")
        if item_users is None:
            scores = self._item_similarities(chosen)
        else:
            rows = counts_of(item_users)
            if rows.shape[0] != chosen.size:
                raise InvalidInput(
                    "items and rows of counts differ",
                    got=f"{chosen.size} items, {rows.shape[0]} rows",
                    expected="one row of counts for each item",
                )
            scores = self._similarities_to(rows)
        return best(scores, N, filter_items, items, single=np.ndim(itemid) == 0)

    def similar_users(
        self,
        userid: int | ArrayLike,
        N: int = 10,
        filter_users: ArrayLike | None = None,
        users: ArrayLike | None = None,
    ) -> tuple[NDArray[np.int32], Float]:
        """Find the users most similar to one or several users of the fit, as `similar_items`."""
        raise InvalidInput(f"{type(self).__name__} keeps no users", expected="a model of factors")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write settings and fitted arrays to a ``.npz`` file with a format version; no pickle."""
        self._check_fitted()
        arrays = {name: getattr(self, name) for name in self._arrays}
        write_arrays(path, type(self).__name__, self.get_params(), self.item_ids, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        InvalidInput
            If the file is of another model or version, or broken.
        """
        settings, item_ids, arrays = read_arrays(path, cls.__name__, cls._arrays)
        model = cls(**{name: settings[name] for name in cls._settings() if name in settings})
        for name, values in arrays.items():
            setattr(model, name, values)
        model.item_ids = item_ids
        return model

    @property
    @abstractmethod
    def items(self) -> int:
        """Number of items of the fitted model."""

    @abstractmethod
    def _fit(self, counts: csr_array, summation: Summation) -> None: ...

    @abstractmethod
    def _scores(self, users: NDArray[np.int64], counts: csr_array, recalculate: bool) -> Float: ...

    @abstractmethod
    def _item_similarities(self, chosen: NDArray[np.int64]) -> Float: ...

    def _similarities_to(self, item_users: csr_array) -> Float:
        raise InvalidInput(
            f"{type(self).__name__} cannot recalculate an item", expected="a model of factors"
        )

    def _check_fitted(self) -> None:
        if not all(hasattr(self, name) for name in self._arrays):
            raise InvalidInput(f"this {type(self).__name__} is not fitted", expected="fit first")


def best(
    scores: Float,
    count: int,
    excluded: ArrayLike | None,
    allowed: ArrayLike | None,
    *,
    single: bool,
) -> tuple[NDArray[np.int32], Float]:
    """Pick the best of every row of scores, as all calls of a recommender return them.

    Parameters
    ----------
    scores : float64 array, shape (b, n)
        Changed: what may not be picked becomes -inf.
    count : int
    excluded, allowed : array of int, optional
        Columns never to pick, and the only ones to pick.
    single : bool
        Whether the one row was asked for by a number instead of an array.

    Returns
    -------
    ids : int32 array, shape (count,) or (b, count)
        Best first; -1 where nothing is left.
    scores : float64 array of the same shape

    Raises
    ------
    InvalidInput
        If the count or a column is out of range.
    """
    length = scores.shape[1]
    if count < 1:
        raise InvalidInput("N is out of range", got=count, expected="at least 1")
    if allowed is not None:
        mask = np.zeros(length, dtype=np.bool_)
        mask[indices("the only ones to pick", np.asarray(allowed), length)] = True
        scores[:, ~mask] = -np.inf
    if excluded is not None:
        scores[:, indices("what to leave out", np.asarray(excluded), length)] = -np.inf
    places, values = top_k(scores, min(count, length))
    ids = np.where(np.isneginf(values), NOTHING, places).astype(np.int32)
    return (ids[0], values[0]) if single else (ids, values)


def counts_of(user_items: Matrix) -> csr_array:
    """Sparse counts, by whatever the caller calls them.

    Raises
    ------
    InvalidInput
        If they are no sparse row matrix.
    """
    counts = user_items.counts if isinstance(user_items, UserItems) else user_items
    if not isinstance(counts, csr_array | csr_matrix) or counts.ndim != 2:
        raise InvalidInput(
            "user_items are not a sparse row matrix",
            got=type(user_items).__name__,
            expected="UserItems, csr_array or csr_matrix of two dimensions",
        )
    return csr_array(counts)


def indices(name: str, values: NDArray[Any], length: int) -> NDArray[np.int64]:
    """Check places among so many; an empty list is one of no places."""
    if values.size == 0:
        return np.empty(0, dtype=np.int64)
    wrong = values.dtype.kind not in "iu" or values.ndim != 1
    if wrong or not 0 <= int(values.min()) <= int(values.max()) < length:
        raise InvalidInput(f"{name} is out of range", expected=f"indices from 0 to {length - 1}")
    return values.astype(np.int64)
