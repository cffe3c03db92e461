"""A retailer of the topology ``own-key``: what its own members would like at the others."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from hecf.kits.kit import Kit
from hecf.measure import Measurements
from hecf.models import LocalEmbedding
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.recipes.own_key import OwnKeyRetailer
from hecf.recipes.vertical import Recommendations
from parties.processes.journal import FileJournal
from parties.processes.local_data import LocalData

KEYS = "query-keys.json"


def ask(
    kit: Kit,
    data: LocalData,
    embedding: LocalEmbedding,
    node: ComputeNode,
    key_holder: KeyHolder,
    measurements: Measurements,
    journal: FileJournal,
) -> dict[str, Recommendations]:
    """Take part, ask about one's own members, and return the best items by retailer.

    Raises
    ------
    HecfError
        If data, kit or another party is not as agreed.
    """
    retailer = OwnKeyRetailer(
        kit.terms,
        kit.party.name,
        node,
        key_holder,
        measurements,
        secrets.token_bytes,
        journal=journal,
        keys=FileJournal(kit.state / KEYS),
    )
    shoppers = min(kit.configuration.limits.queried_members, kit.terms.shoppers)
    return retailer.run(embedding, data.rows, shoppers)


def recommendations(data: LocalData, found: Mapping[str, Recommendations]) -> pa.Table:
    """Make the table of the best items: they are positions, whose names their owner knows."""
    parts = []
    for owner, best in found.items():
        count, k = best.items.shape
        columns = {
            "retailer": np.full(count * k, owner, dtype=object),
            "user_id": np.repeat(np.array(data.members[:count], dtype=object), k),
            "item": best.items.ravel(),
            "score": best.scores.ravel(),
            "rank": np.tile(np.arange(1, k + 1), count),
        }
        parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def catalogue(data: LocalData) -> pa.Table:
    """Make the table of one's own items by position, for the retailers that may recommend them."""
    return pa.table(
        {"item": np.arange(len(data.item_ids), dtype=np.int32), "item_id": list(data.item_ids)}
    )


def saw(kit: Kit, data: LocalData, found: Mapping[str, Recommendations]) -> dict[str, Any]:
    """Say what the retailer asked about and saw."""
    pairs = len(kit.terms.retailers) * (len(kit.terms.retailers) - 1) // 2
    asked = {owner: len(best.rows) for owner, best in found.items()}
    return {
        "scored": sum(asked.values()),
        "saw": [
            f"its own {data.interactions:,} interactions with {len(data.item_ids):,} items",
            f"{pairs} Gram blocks of {kit.terms.factors} x {kit.terms.factors} numbers",
            *(
                f"scores of {count:,} members of its own on the catalogue of {owner}, by position"
                for owner, count in asked.items()
            ),
        ],
    }
