"""A shopper's new purchase from two states of a list of similar items (Calandrino et al. 2011).

Lists of similar items follow from how often items are bought together. When a shopper who is known
to have bought some items buys another one, that item moves up in the lists of all of them at
once (Calandrino, Kilzer, Narayanan, Felten and Shmatikov, IEEE Security and Privacy 2011,
section III.A). The attacker needs nothing but the public lists and the shopper's known items.

Between two retailers the lists are those of a similarity task: for every item of the one that
asks, the most similar items of the other, by the shoppers of both. Who asks twice knows what its
own shoppers bought at home, and looks for what rose in the lists of those items.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hecf.he.modular import Float
from hecf.privacy.attacks.outcome import Outcome

SUCCESS = 0.2
KNOWN = 10
"""Purchases of a shopper that the attacker knows, at most."""
TARGETS = 100


def similar_items(together: Float, length: int) -> NDArray[np.int64]:
    """Return lists of the items most similar by cosine, shape (items, length), best first."""
    size = np.sqrt(np.maximum(np.diag(together), 1.0))
    cosine = together / np.outer(size, size)
    np.fill_diagonal(cosine, -np.inf)
    return np.argsort(-cosine, axis=1, kind="stable")[:, :length]


def infer(
    before: NDArray[np.int64], after: NDArray[np.int64], known: NDArray[np.int64], items: int
) -> int:
    """Return the item that moved up in most lists of the known items."""
    moved = _moved(before, after, known, items)
    moved[known] = -1
    return int(np.argmax(moved))


def _moved(
    before: NDArray[np.int64], after: NDArray[np.int64], known: NDArray[np.int64], items: int
) -> Float:
    """In how many lists of the known items each item moved up; ties by how far."""
    length = before.shape[1]
    places = np.full((2, len(known), items), length)
    for moment, lists in enumerate((before, after)):
        np.put_along_axis(places[moment], lists[known], np.arange(length)[np.newaxis], axis=1)
    moved = (places[1] < places[0]).sum(axis=0).astype(np.float64)
    further: Float = (places[0] - places[1]).clip(0).sum(axis=0) / (length * len(known) + 1)
    return np.asarray(moved + further)


def experiment(
    bought: Float, release: Callable[[Float], Float], *, length: int, protection: str
) -> Outcome:
    """Let shoppers buy one item more each, and infer it from exact and from released lists.

    Parameters
    ----------
    bought : float64 array, shape (shoppers, items)
        0 or 1.
    release : callable
        What happens to the counts of items bought together before lists are made of them.
    length : int
        Items in a list.
    protection : str
        What `release` does, for the outcome.
    """
    together = bought.T @ bought
    exact: list[bool] = []
    noisy: list[bool] = []
    for shopper in range(min(TARGETS, len(bought))):
        known = np.flatnonzero(bought[shopper])[:KNOWN]
        # Every shopper buys the item that the one before her, of another taste, has and she not.
        fresh = np.flatnonzero((bought[shopper - 1] > 0) & (bought[shopper] == 0))
        if len(known) < 2 or not len(fresh):
            continue
        item = fresh[len(fresh) // 2]
        more = together.copy()
        more[item] += bought[shopper]
        more[:, item] += bought[shopper]
        more[item, item] += 1
        for hits, show in ((exact, lambda counts: counts), (noisy, release)):
            before, after = (similar_items(show(counts), length) for counts in (together, more))
            hits.append(infer(before, after, known, bought.shape[1]) == item)
    return Outcome(
        attack="temporal",
        attacker="a reader of published lists of similar items who knows what a shopper bought",
        measure="share of the new purchases that are named at the first guess",
        threshold=SUCCESS,
        unprotected=float(np.mean(exact)) if exact else 0.0,
        protected=float(np.mean(noisy)) if noisy else 0.0,
        protection=protection,
    )


def cosines(left: Float, right: Float) -> Float:
    """Cosines of columns with columns, float64 of shape (left items, right items)."""
    norms = [np.maximum(np.linalg.norm(each, axis=0), 1e-12) for each in (left, right)]
    return np.asarray((left / norms[0]).T @ (right / norms[1]))


def experiment_across(
    asker: Float,
    source: Float,
    release: Callable[[Float], NDArray[np.int64] | None],
    *,
    protection: str,
) -> Outcome:
    """Let shoppers of both buy one item more each at the source, and infer it from lists.

    Without protection the lists are exact, and hold half of the source's items.

    Parameters
    ----------
    asker, source : float64 array, shape (shoppers, items)
        0 or 1, of the same shoppers.
    release : callable
        Makes released lists of cosines, (items of the asker, n); None if none are.
    protection : str
        What `release` does, for the outcome.
    """
    before = cosines(asker, source)
    shown, length = release(before), source.shape[1] // 2
    exact: list[bool] = []
    given: list[bool] = []
    for shopper in range(min(TARGETS, len(asker))):
        known = np.flatnonzero(asker[shopper])[:KNOWN]
        fresh = np.flatnonzero((source[shopper - 1] > 0) & (source[shopper] == 0))
        if len(known) < 2 or not len(fresh):
            continue
        item = int(fresh[len(fresh) // 2])
        more = source[:, item].copy()
        more[shopper] = 1
        after = before.copy()
        after[:, item] = cosines(asker, more[:, np.newaxis])[:, 0]
        exact.append(_risen(_best(before, length), _best(after, length), known, after) == item)
        lists = release(after)
        risen = -1 if shown is None or lists is None else _risen(shown, lists, known, after)
        given.append(risen == item)
    return Outcome(
        attack="temporal",
        attacker="a retailer that asks twice for items similar to its own, and knows what its "
        "shoppers bought at home",
        measure="share of the new purchases at the other that are named at the first guess",
        threshold=SUCCESS,
        unprotected=float(np.mean(exact)) if exact else 0.0,
        protected=float(np.mean(given)) if given else 0.0,
        protection=protection,
    )


def _best(similar: Float, length: int) -> NDArray[np.int64]:
    return np.argsort(-similar, axis=1, kind="stable")[:, :length]


def _risen(
    before: NDArray[np.int64], after: NDArray[np.int64], known: NDArray[np.int64], shape: Float
) -> int:
    return int(np.argmax(_moved(before, after, known, shape.shape[1])))
