from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from retail_logs import FRANCHISES as DATA
from retail_logs import MEMBERS as OLD
from sklearn.metrics.pairwise import cosine_similarity

import hecf
from hecf.errors import InvalidInput, ReleaseRefused

TOLERANCE = 6 * 2.0**-10
USERS = np.array([3, 1, 7])


def check(found, expected: np.ndarray) -> None:
    ids, scores = found
    np.testing.assert_allclose(scores, np.take_along_axis(expected, ids, axis=1), atol=TOLERANCE)
    best = -np.sort(-expected, axis=1)[:, : ids.shape[1]]
    np.testing.assert_allclose(scores, best, atol=TOLERANCE)


@pytest.mark.parametrize("scheme", ["ckks", "clear"])
def test_look_alikes_are_the_nearest_factors(scheme) -> None:
    coalition = hecf.Coalition(DATA, scheme=scheme)
    models = coalition.fit(hecf.AlternatingLeastSquares(factors=4, iterations=2))
    mine, theirs = models["west"].user_factors, models["south"].user_factors
    expected = cosine_similarity(mine[USERS], theirs)
    found = coalition.similar_users(models, "west", USERS, "south", N=6)
    check(found, expected)
    with pytest.raises(AssertionError):
        check(found, expected[::-1])


def test_look_alikes_by_axes_are_those_of_the_pooled_decomposition() -> None:
    coalition = hecf.Coalition(DATA, scheme="clear")
    models = coalition.fit(hecf.PureSVD(factors=4))
    bought = {name: entry.counts.toarray() > 0 for name, entry in coalition.user_items.items()}
    _, _, axes = np.linalg.svd(np.vstack(list(bought.values())).astype(float))
    unit = {name: rows / np.linalg.norm(rows, axis=1)[:, None] for name, rows in bought.items()}
    expected = unit["west"][USERS] @ axes[:4].T @ axes[:4] @ unit["south"].T
    check(coalition.similar_users(models, "west", USERS, "south", N=6), expected)


def test_one_shopper_and_what_is_refused() -> None:
    coalition = hecf.Coalition(DATA, scheme="clear")
    models = coalition.fit(hecf.AlternatingLeastSquares(factors=4, iterations=2))
    one, scores = coalition.similar_users(models, "west", 3, "south", N=6)
    assert one.shape == scores.shape == (6,)
    with pytest.raises(InvalidInput, match="no such retailer"):
        coalition.similar_users(models, "west", 3, "east")
    with pytest.raises(InvalidInput, match="out of range"):
        coalition.similar_users(models, "west", 20, "south")
    with pytest.raises(ReleaseRefused, match="got 21"):
        coalition.similar_users(models, "west", 3, "south", N=21)


@pytest.mark.parametrize("pair", [("bakery", "deli"), ("deli", "bakery")])
def test_items_across_catalogues_are_those_of_the_same_shoppers(pair) -> None:
    source, target = pair
    coalition = hecf.LoyaltyCoalition(OLD, factors=12, top_k=5, scheme="clear")
    models = coalition.fit(hecf.CrossRetailer(weighting="binary"))
    items = np.arange(6)
    found = coalition.similar_items(models, source, items, target, N=5)
    approximate = [models[name].user_factors @ models[name].embedding.items for name in pair]
    lengths = [np.linalg.norm(values, axis=0) for values in approximate]
    expected = approximate[0].T @ approximate[1] / np.outer(*lengths)
    check(found, expected[items])
    # Twelve factors carry most of what the counts themselves say.
    dense = [coalition.user_items[name].counts.toarray() > 0 for name in pair]
    true = np.corrcoef(dense[0].T, dense[1].T)[: dense[0].shape[1], dense[0].shape[1] :][items]
    assert np.corrcoef(true.ravel(), expected[items].ravel())[0, 1] > 0.7
    with pytest.raises(InvalidInput, match="another retailer"):
        coalition.similar_items(models, source, 0, source)
    with pytest.raises(InvalidInput, match="out of range"):
        coalition.similar_items(models, source, 99, target)


def test_a_retailer_with_fewer_rows_than_agreed_is_not_looked_into() -> None:
    coalition = hecf.Coalition(DATA, scheme="clear")
    models = coalition.fit(hecf.AlternatingLeastSquares(factors=4, iterations=1))
    rows = len(models["west"].user_factors)
    coalition.terms = replace(coalition.terms, minimum_rows=rows)
    coalition.similar_users(models, "south", USERS, "west", N=2)
    coalition.terms = replace(coalition.terms, minimum_rows=rows + 1)
    with pytest.raises(ReleaseRefused, match=f"too few rows: got {rows}, expected at least"):
        coalition.similar_users(models, "south", USERS, "west", N=2)
