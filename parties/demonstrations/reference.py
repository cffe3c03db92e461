"""The clear twin of a coalition, for demonstrations only.

It pools what no party may pool: it reads every retailer's data from the kits of a demonstration,
computes the same model in NumPy without any protocol, and compares. It runs after the coalition
has ended, in a process of its own, and is no party.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hecf.errors import ConfigurationError
from hecf.evaluation import calibrated_recall, largest_error, ndcg, top_overlap
from hecf.kits.kit import Kit
from hecf.models import CrossRetailerRidge, LocalEmbedding, top_k
from parties.processes import local_data, retailer

_EXAMPLE_ITEMS = 10


@dataclass(frozen=True, eq=False)
class _Released:
    """What a retailer received, by position in its catalogue."""

    items: NDArray[np.int64]
    scores: NDArray[np.float64]


def compare(kits: Mapping[str, Kit], retailers: tuple[str, ...], example: str) -> dict[str, Any]:
    """Compute the clear twin and compare the released recommendations with it.

    Parameters
    ----------
    kits : mapping of str to Kit
        Kits of the retailers, whose output folders hold their recommendations.
    retailers : tuple of str
        The agreed order.
    example : str
        Retailer of which one member's best items are shown.

    Returns
    -------
    dict
        ``targets`` (recall and NDCG of the clear model), ``agreement``, ``seconds``, ``example``.
    """
    data = {name: local_data.load(kits[name]) for name in retailers}
    terms = kits[retailers[0]].terms
    start = time.perf_counter()
    embeddings = {name: _embedding(kits[name], data[name]) for name in retailers}
    blocks = {
        (first, second): embeddings[first].shoppers.T @ embeddings[second].shoppers
        for position, first in enumerate(retailers)
        for second in retailers[position + 1 :]
    }
    ridge = CrossRetailerRidge.fit(blocks, retailers, ridge=terms.ridge, decay=terms.decay)
    scores = {}
    for target in retailers:
        rows = list(data[target].rows)
        shares = [
            embeddings[source].shoppers[rows] @ ridge.maps[source, target]
            for source in retailers
            if source != target
        ]
        scores[target] = embeddings[target].scores(np.sum(shares, axis=0))
    best = {target: top_k(values, terms.top_k)[0] for target, values in scores.items()}
    seconds = time.perf_counter() - start

    released = {name: _released(kits[name], data[name], terms.top_k) for name in retailers}
    errors, overlaps, targets = [], [], {}
    for target in retailers:
        mine, clear = released[target], scores[target]
        errors.append(largest_error(mine.scores, np.take_along_axis(clear, mine.items, axis=1)))
        overlaps.append(top_overlap(mine.items, best[target]))
        relevant, total = data[target].relevant, data[target].relevant_total
        if relevant is None or total is None:
            raise ConfigurationError("nothing is known of what the members bought")
        targets[target] = {
            "recall": calibrated_recall(best[target], relevant, relevant_total=total),
            "ndcg": ndcg(best[target], relevant, relevant_total=total),
        }
    return {
        "targets": targets,
        "agreement": {
            "max_abs_score_error": max(errors),
            "top20_overlap": float(np.mean(overlaps)),
        },
        "seconds": seconds,
        "example": _example(example, data[example], released[example], scores[example]),
    }


def _embedding(kit: Kit, data: local_data.LocalData) -> LocalEmbedding:
    if kit.configuration.data is None:
        raise ConfigurationError("the kit is not a retailer's", got=kit.party.role)
    weighting = kit.configuration.data.weighting
    return LocalEmbedding.fit(data.training, kit.terms.factors, kind=weighting)


def _released(kit: Kit, data: local_data.LocalData, k: int) -> _Released:
    table = pq.read_table(kit.output / retailer.RECOMMENDATIONS)
    position = {item: index for index, item in enumerate(data.item_ids)}
    items = np.array([position[item] for item in table["item_id"].to_pylist()], dtype=np.int64)
    scores = np.array(table["score"].to_pylist(), dtype=np.float64)
    return _Released(items.reshape(-1, k), scores.reshape(-1, k))


def _example(
    target: str, data: local_data.LocalData, released: _Released, clear: NDArray[np.float64]
) -> dict[str, Any]:
    # The member of whom most is known afterwards makes the most telling example.
    row = int(np.argmax(data.relevant_total)) if data.relevant_total is not None else 0
    count = min(_EXAMPLE_ITEMS, released.items.shape[1])
    order, values = top_k(clear[row : row + 1], count)
    bought = set() if data.relevant is None else set(data.relevant[[row]].indices.tolist())

    def entry(item: int, score: float) -> dict[str, Any]:
        identifier = data.item_ids[item]
        return {
            "item": identifier,
            "name": data.item_names.get(identifier, identifier),
            "score": float(score),
            "bought": item in bought,
        }

    return {
        "target": target,
        "shopper": data.members[row],
        "encrypted": [
            entry(int(item), score)
            for item, score in zip(
                released.items[row, :count], released.scores[row, :count], strict=True
            )
        ],
        "clear": [entry(int(item), score) for item, score in zip(order[0], values[0], strict=True)],
    }
