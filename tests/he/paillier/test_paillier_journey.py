"""Franchises of one chain: the Complete Journey's stores in three groups, one catalogue.

Item counts and co-occurrence, summed under encryption, equal those of the pooled data exactly, and
so does the item-kNN that the franchises fit together.
"""

from __future__ import annotations

import numpy as np
import pytest
from paillier_party import Party
from scipy.sparse import csr_array, vstack

import hecf
from hecf.data.complete_journey_stores import FRANCHISES, load_franchises
from hecf.data.interactions import InteractionTable
from hecf.he.plan import LEFT
from hecf.he.scheme import scheme_by_name
from hecf.privacy.policy import ReleasePolicy
from hecf.privacy.release import ReleaseGate

ITEMS = 40


@pytest.fixture(scope="module")
def tables() -> dict[str, InteractionTable]:
    """What each group sold of the products that most households bought anywhere."""
    training = {name: franchise.training for name, franchise in load_franchises().items()}
    everything = np.concatenate([table.item_ids for table in training.values()])
    ids, buyers = np.unique(everything.astype(str), return_counts=True)
    best = set(ids[np.argsort(-buyers, kind="stable")[:ITEMS]])
    found = {}
    for name, table in training.items():
        kept = np.array([item in best for item in table.item_ids])
        found[name] = InteractionTable(
            table.user_ids[kept], table.item_ids[kept], table.counts[kept]
        )
    return found


@pytest.fixture(scope="module")
def coalition(tables: dict[str, InteractionTable]) -> hecf.Coalition:
    return hecf.Coalition(tables, scheme="paillier")


def statistics(counts: csr_array) -> np.ndarray:
    """Upper triangle of ``X' X``: buyers of items on its diagonal, co-occurrence elsewhere."""
    bought = (counts != 0).astype(np.float64)
    gram = (bought.T @ bought).toarray()
    return np.asarray(gram[np.triu_indices(ITEMS)], dtype=np.float64)


def test_encrypted_counts_and_cooccurrence_equal_the_pooled_ones(
    coalition: hecf.Coalition, large: Party
) -> None:
    scheme = scheme_by_name("paillier")
    own = [statistics(entry.counts) for entry in coalition.user_items.values()]
    plan = scheme.plan_sum(
        values=ITEMS * (ITEMS + 1) // 2,
        summands=len(FRANCHISES),
        value_bound=2500.0,
        precision=0.5,
    )
    uploads = [
        large.encryptor.encrypt(large.encryptor.encode(plan, LEFT, vector)).to_bytes()
        for vector in own
    ]
    operands = [scheme.operand(plan, LEFT, upload) for upload in uploads]
    total = scheme.operand(plan, LEFT, large.evaluator.sum(operands).to_bytes())
    gate = ReleaseGate(ReleasePolicy(minimum_shoppers=2, top_k=1), lambda count: bytes(count))
    released = gate.total(large.decryptor.decrypt_sum(plan, total))
    # The oracle pools what the franchises keep apart: their rows under each other.
    pooled = vstack([entry.counts for entry in coalition.user_items.values()])
    assert np.array_equal(released, statistics(csr_array(pooled)))
    assert all(not np.array_equal(vector, released) for vector in own)
    assert len(uploads[0]) < 20 * plan.values


def test_item_neighbours_of_the_franchises_are_those_of_the_pooled_data(
    coalition: hecf.Coalition,
) -> None:
    fitted = coalition.fit(hecf.ItemKNN(K=10))
    village = coalition.user_items["village"]
    pooled = csr_array(vstack([entry.counts for entry in coalition.user_items.values()]))
    twin = hecf.ItemKNN(K=10).fit(pooled)
    alone = hecf.ItemKNN(K=10).fit(village)
    for item in range(ITEMS):
        together, expected = fitted["village"].similar_items(item), twin.similar_items(item)
        assert np.array_equal(together[0], expected[0])
        assert np.array_equal(together[1], expected[1])
    # A small franchise alone has other neighbours.
    assert any(
        not np.array_equal(alone.similar_items(item)[0], twin.similar_items(item)[0])
        for item in range(ITEMS)
    )
