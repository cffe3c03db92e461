"""Purchases elsewhere out of released scores, with and without noise, with auxiliary data."""

from __future__ import annotations

import secrets

import numpy as np
import pytest

from hecf.data.synthetic import SyntheticCoalition
from hecf.he.sampling import gaussian
from hecf.models import LocalEmbedding
from hecf.privacy.attacks.reconstruction import (
    combined,
    combined_embedding,
    experiment,
    only_best,
    reconstruct,
)

COALITION = SyntheticCoalition(1200, retailers=("alder", "birch", "cedar"), items=100, seed=5)
FACTORS = 12


@pytest.fixture(scope="module")
def counts():
    return {name: COALITION.counts(name) for name in COALITION.retailers}


@pytest.fixture(scope="module")
def seen(counts):
    """Combined embedding, item model of the first retailer, purchases at the second."""
    fitted = {name: LocalEmbedding.fit(matrix, FACTORS) for name, matrix in counts.items()}
    embedding = combined(fitted, "alder", ridge=0.1, decay=0.5)
    return embedding, fitted["alder"], (counts["birch"].toarray() > 0).astype(np.float64)


def test_least_squares_give_the_embedding_back(seen) -> None:
    """What a recipient of whole rows learns: SECURITY.md says so."""
    embedding, model, _ = seen
    scores = embedding @ model.items + model.mean
    assert np.abs(combined_embedding(scores, model.items, model.mean) - embedding).max() < 1e-9
    # With the flooding of a release it still does, to the precision of the scores.
    rough = scores + 2.0**-20 * gaussian(scores.shape, secrets.token_bytes)
    found = combined_embedding(rough, model.items, model.mean)
    assert np.corrcoef(found.ravel(), embedding.ravel())[0, 1] > 0.999
    # Fewer scores than factors do not determine it.
    few = combined_embedding(scores[:, :4], model.items[:, :4], model.mean[:4])
    assert np.corrcoef(few.ravel(), embedding.ravel())[0, 1] < 0.9


def test_purchases_are_reconstructed_without_noise_and_less_and_less_with_it(seen) -> None:
    embedding, _, bought = seen
    spread = embedding.std()
    found = [
        reconstruct(
            embedding + level * spread * gaussian(embedding.shape, secrets.token_bytes), bought, 300
        )
        for level in (0.0, 1.0, 30.0)
    ]
    areas, errors = [r.area for r in found], [r.error for r in found]
    # Positive control: without noise the attack beats popularity clearly.
    assert areas[0] > 0.65
    assert errors[0] < 0.97
    assert areas[0] > areas[1] > areas[2]
    assert errors[0] < errors[1]
    # Drowned, nothing is left but popularity, which has an area of one half.
    assert abs(areas[2] - 0.5) < 0.04


def test_an_attacker_without_the_release_is_no_better_than_popularity(seen) -> None:
    """Negative control: auxiliary data alone, with somebody else's embeddings."""
    embedding, _, bought = seen
    shuffled = np.random.default_rng(6).permutation(embedding)
    assert abs(reconstruct(shuffled, bought, 300).area - 0.5) < 0.04


def test_best_items_show_less_than_whole_rows(counts) -> None:
    rows = experiment(counts, factors=FACTORS, ridge=0.1, decay=0.5, top_k=None)
    best = experiment(counts, factors=FACTORS, ridge=0.1, decay=0.5, top_k=5)
    assert rows.alive
    assert rows.protected == rows.unprotected
    # Recommendations say something of a shopper, so less is not nothing.
    assert 0.5 < best.protected < rows.protected - 0.03


def test_only_the_best_scores_are_kept() -> None:
    kept = only_best(np.array([[3.0, 1.0, 2.0], [0.5, 0.7, 0.6]]), 2)
    assert np.array_equal(kept > 0, [[True, False, True], [False, True, True]])
    assert kept[0, 0] - kept[0, 2] == pytest.approx(1.0)
