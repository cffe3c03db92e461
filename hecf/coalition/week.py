"""What some shoppers bought since a fit, and how it moves their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from hecf.data.user_items import UserItems
from hecf.recommenders import CrossRetailer

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Week:
    """The shoppers of an update, known and new ones.

    Parameters
    ----------
    active : int
        How many of them bought something in the catalogues.
    before : mapping of str to float64 array, shape (known, d)
        Rows that known ones among them had at each retailer.
    after : mapping of str to float64 array, shape (known + new, d)
        Rows that all of them have now.
    user_items : mapping of str to UserItems
        Counts of everybody, new ones last.
    rows : mapping of str to float64 array, shape (everybody, d)
        Rows of everybody.
    """

    active: int
    before: Mapping[str, Float]
    after: Mapping[str, Float]
    user_items: Mapping[str, UserItems]
    rows: Mapping[str, Float]

    @classmethod
    def of(cls, models: Mapping[str, CrossRetailer], fresh: Mapping[str, UserItems]) -> Week:
        """Fold what was bought into the embeddings, which do not change."""
        users = next(iter(models.values())).user_ids
        known = {user: row for row, user in enumerate(users)}
        met = sorted({user for entry in fresh.values() for user in entry.user_ids})
        places = np.array([known.get(user, -1) for user in met], dtype=np.int64)
        old, new = np.flatnonzero(places >= 0), np.flatnonzero(places < 0)
        everybody = (*users, *(met[place] for place in new))
        bought = np.zeros(len(met), dtype=np.bool_)
        user_items, rows, before, after = {}, {}, {}, {}
        for name, model in models.items():
            week = _arranged(fresh.get(name), met, model)
            bought |= np.diff(week.indptr) > 0
            total = _added(model.counts, week, places)
            user_items[name] = UserItems(total, everybody, model.item_ids or ())
            after[name] = model.embedding.fold_in(user_items[name].with_users(met).counts)
            before[name] = model.user_factors[places[old]]
            rows[name] = np.vstack([model.user_factors, after[name][new]])
            rows[name][places[old]] = after[name][old]
        return cls(int(np.count_nonzero(bought)), before, after, user_items, rows)


def _arranged(entry: UserItems | None, users: Sequence[str], model: CrossRetailer) -> csr_array:
    """Arrange counts of some shoppers by a retailer's catalogue, (b, items)."""
    if entry is None:
        return csr_array((len(users), model.items), dtype=np.float64)
    return entry.with_users(users).with_items(model.item_ids or ()).counts


def _added(counts: csr_array, week: csr_array, places: NDArray[np.int64]) -> csr_array:
    """Add counts of a week on the shoppers' rows, or below where there is no row (-1)."""
    new = np.flatnonzero(places < 0)
    rows = places.copy()
    rows[new] = counts.shape[0] + np.arange(new.size)
    entries = week.tocoo()
    shape = (counts.shape[0] + new.size, counts.shape[1])
    moved = csr_array((entries.data, (rows[entries.coords[0]], entries.coords[1])), shape=shape)
    empty = csr_array((new.size, counts.shape[1]), dtype=np.float64)
    return csr_array(csr_array(vstack([counts, empty])) + moved)
