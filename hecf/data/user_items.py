"""One retailer's interactions as a sparse matrix that remembers whose rows and columns it has.

:class:`InteractionMatrix` has the rows of the coalition's member directory; this one has the
retailer's own shoppers, whom nobody else needs to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, csr_matrix

from hecf.data.column_names import DEFAULT_COLUMNS, ColumnNames
from hecf.data.interactions import InteractionTable, encode_ids
from hecf.data.readers import interactions_from_frame
from hecf.errors import InvalidInput

_PENDING = 1 << 21
"""Entries of parts that are collected before they are summed."""


@dataclass(frozen=True, eq=False)
class UserItems:
    """Interactions by shopper and item.

    Parameters
    ----------
    counts : sparse CSR array or matrix of float64, shape (users, items)
        Finite and not negative; doubled entries are summed and zeros removed.
    user_ids : tuple of str, length users
    item_ids : tuple of str, length items

    Raises
    ------
    InvalidInput
        If the ids do not fit the shape or are doubled, or a count is out of range.
    """

    counts: csr_array
    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.counts, csr_array | csr_matrix) or self.counts.ndim != 2:
            raise InvalidInput(
                "counts are not a sparse row matrix",
                got=type(self.counts).__name__,
                expected="csr_array or csr_matrix of two dimensions",
            )
        counts = csr_array(self.counts.astype(np.float64))
        wrong = int(np.count_nonzero(~np.isfinite(counts.data) | (counts.data < 0)))
        if wrong:
            raise InvalidInput(
                "counts are out of range",
                got=f"{wrong} values NaN, infinite or negative",
                expected="finite numbers of at least 0",
            )
        counts.sum_duplicates()
        counts.eliminate_zeros()
        object.__setattr__(self, "counts", counts)
        for name, length in zip(("user_ids", "item_ids"), counts.shape, strict=True):
            ids = tuple(getattr(self, name))
            if len(ids) != length or not all(isinstance(entry, str) and entry for entry in ids):
                raise InvalidInput(
                    f"{name} do not fit the matrix",
                    got=f"{len(ids)} ids",
                    expected=f"{length} texts that are not empty",
                )
            if len(set(ids)) != length:
                raise InvalidInput(
                    f"{name} name something more than once",
                    got=f"{length - len(set(ids))} doubled of {length}",
                    expected="different ids",
                )
            object.__setattr__(self, name, ids)

    def __repr__(self) -> str:
        users, items = self.counts.shape
        return f"UserItems({users} users x {items} items, {self.counts.nnz} entries)"

    @classmethod
    def from_frame(cls, frame: Any, columns: ColumnNames = DEFAULT_COLUMNS) -> UserItems:
        """Take interactions from any data frame, as :func:`interactions_from_frame` reads them."""
        return cls.from_tables([interactions_from_frame(frame, columns)])

    @classmethod
    def from_csr(
        cls,
        counts: csr_array | csr_matrix,
        user_ids: Sequence[str] | None = None,
        item_ids: Sequence[str] | None = None,
    ) -> UserItems:
        """Take a sparse row matrix; without ids, rows and columns are called by their number."""
        if not isinstance(counts, csr_array | csr_matrix) or counts.ndim != 2:
            raise InvalidInput(
                "counts are not a sparse row matrix",
                got=type(counts).__name__,
                expected="csr_array or csr_matrix of two dimensions",
            )
        users, items = (
            tuple(str(number) for number in range(length)) if ids is None else tuple(ids)
            for ids, length in zip((user_ids, item_ids), counts.shape, strict=True)
        )
        return cls(csr_array(counts), users, items)

    @classmethod
    def from_tables(cls, tables: Iterable[InteractionTable]) -> UserItems:
        """Sum the counts of parts, such as :func:`stream_interactions` yields.

        Parameters
        ----------
        tables : iterable of InteractionTable
            They are taken one at a time, so memory holds one part and the matrix so far.

        Returns
        -------
        UserItems
            Users and items sorted as text. A count of 0 makes no entry, but its ids are kept.

        Raises
        ------
        InvalidInput
            If there is no part, or one is refused while it is read.
        """
        users: dict[str, int] = {}
        items: dict[str, int] = {}
        total = csr_array((0, 0), dtype=np.float64)
        pending: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
        for table in tables:
            rows = _numbered(table.user_ids, users)
            columns = _numbered(table.item_ids, items)
            pending.append((rows, columns, table.counts))
            if sum(part[0].size for part in pending) >= _PENDING:
                total = _summed(total, pending, (len(users), len(items)))
                pending.clear()
        if not users:
            raise InvalidInput("there are no interactions", got="0 rows", expected="at least 1")
        total = _summed(total, pending, (len(users), len(items)))
        order = sorted(users)
        # Ids were numbered as they came; the matrix is the same however the file is ordered.
        taken = np.array([users[user] for user in order])
        sorted_rows: csr_array[np.float64] = csr_array(total[taken])
        del total
        names = sorted(items)
        places = np.empty(len(names), dtype=sorted_rows.indices.dtype)
        places[[items[item] for item in names]] = np.arange(len(names))
        arranged = csr_array(
            (sorted_rows.data, places[sorted_rows.indices], sorted_rows.indptr),
            shape=sorted_rows.shape,
        )
        return cls(arranged, tuple(order), tuple(names))

    @cached_property
    def user_rows(self) -> dict[str, int]:
        """Row of every user id."""
        return {user: row for row, user in enumerate(self.user_ids)}

    @cached_property
    def item_columns(self) -> dict[str, int]:
        """Column of every item id."""
        return {item: column for column, item in enumerate(self.item_ids)}

    def with_items(self, item_ids: Sequence[str]) -> UserItems:
        """Arrange the columns by another catalogue.

        Parameters
        ----------
        item_ids : sequence of str
            Items that nobody here bought become empty columns; others are dropped.

        Raises
        ------
        InvalidInput
            If the catalogue is empty or doubled.
        """
        catalogue = tuple(item_ids)
        if not catalogue:
            raise InvalidInput("the catalogue has no items", got=0, expected="at least 1")
        return type(self)(
            _arranged(self.counts.T.tocsr(), self.item_columns, catalogue).T.tocsr(),
            self.user_ids,
            catalogue,
        )

    def with_users(self, user_ids: Sequence[str]) -> UserItems:
        """Arrange the rows by other users; who never came in becomes an empty row."""
        users = tuple(user_ids)
        return type(self)(_arranged(self.counts, self.user_rows, users), users, self.item_ids)


def _numbered(ids: NDArray[np.object_], numbers: dict[str, int]) -> NDArray[np.int64]:
    """Return the number of every id, giving the next numbers to new ones."""
    distinct, codes = encode_ids(ids)
    mapped = np.array([numbers.setdefault(entry, len(numbers)) for entry in distinct])
    return np.asarray(mapped[codes], dtype=np.int64)


def _summed(
    total: csr_array,
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]],
    shape: tuple[int, int],
) -> csr_array:
    if not parts:
        return total
    # Indices of 32 bits suffice for more shoppers than anybody has, and are half of the memory.
    rows, columns = (np.concatenate([part[k] for part in parts]).astype(np.int32) for k in (0, 1))
    counts = np.concatenate([part[2] for part in parts])
    starts = np.pad(total.indptr, (0, shape[0] - total.shape[0]), mode="edge")
    grown = csr_array((total.data, total.indices, starts), shape=shape)
    added: csr_array[np.float64] = csr_array(coo_array((counts, (rows, columns)), shape=shape))
    return csr_array(grown + added)


def _arranged(rows: csr_array, known: dict[str, int], wanted: Sequence[str]) -> csr_array:
    """Rows in the wanted order, empty where an id is unknown."""
    places = np.array([known.get(entry, -1) for entry in wanted], dtype=np.int64)
    taken = np.flatnonzero(places >= 0)
    chooser = coo_array(
        (np.ones(taken.size), (taken, places[taken])), shape=(len(wanted), rows.shape[0])
    )
    return csr_array(csr_array(chooser) @ rows)
