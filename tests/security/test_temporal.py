"""A new purchase out of two states of public lists (Calandrino et al. 2011)."""

from __future__ import annotations

import secrets

import numpy as np
import pytest

from hecf.data.synthetic import SyntheticCoalition
from hecf.he.sampling import gaussian
from hecf.privacy.attacks.temporal import (
    cosines,
    experiment,
    experiment_across,
    infer,
    similar_items,
)


@pytest.fixture(scope="module")
def bought() -> np.ndarray:
    counts = SyntheticCoalition(400, retailers=("alder",), items=80, seed=7).counts("alder")
    dense = (counts.toarray() > 0).astype(np.float64)
    return dense[dense.sum(axis=1) > 0]


def test_lists_are_those_of_the_cosine() -> None:
    together = np.array([[4.0, 2.0, 1.0], [2.0, 4.0, 0.0], [1.0, 0.0, 1.0]])
    # Cosines of item 0: 2 / 4 with item 1 and 1 / 2 with item 2; ties keep the order.
    assert similar_items(together, 2).tolist() == [[1, 2], [0, 2], [0, 1]]
    assert together[0, 0] == 4.0


def test_the_item_that_rises_everywhere_is_named() -> None:
    before = np.array([[3, 4], [3, 4], [0, 1], [0, 1], [0, 1]])
    after = np.array([[2, 3], [3, 2], [0, 1], [0, 1], [0, 1]])
    assert infer(before, after, np.array([0, 1]), 5) == 2
    # Known items are not guessed.
    after[0] = [1, 2]
    assert infer(before, after, np.array([0, 1]), 5) == 2


def test_exact_lists_name_new_purchases_and_noisy_ones_do_not(bought: np.ndarray) -> None:
    exact = experiment(bought, lambda counts: counts, length=20, protection="none")
    assert exact.alive
    assert exact.protected == exact.unprotected
    noisy = experiment(
        bought,
        lambda counts: counts + 10 * gaussian(counts.shape, secrets.token_bytes),
        length=20,
        protection="noise",
    )
    assert noisy.alive
    assert not noisy.succeeded
    assert noisy.protected < 0.1


def test_lists_between_two_retailers_name_purchases_at_the_other() -> None:
    made = SyntheticCoalition(400, retailers=("alder", "birch"), items=80, seed=7)
    asker, source = ((made.counts(n).toarray() > 0).astype(np.float64) for n in made.retailers)

    def best(similar: np.ndarray, length: int = 20) -> np.ndarray:
        return np.argsort(-similar, axis=1, kind="stable")[:, :length]

    shown = experiment_across(asker, source, best, protection="none")
    assert shown.alive
    assert shown.unprotected > 0.9
    assert 0.5 < shown.protected <= shown.unprotected
    hidden = experiment_across(asker, source, lambda _: None, protection="none shown")
    assert hidden.protected == 0.0
    noisy = experiment_across(
        asker,
        source,
        lambda similar: best(similar + gaussian(similar.shape, secrets.token_bytes)),
        protection="noise",
    )
    assert noisy.protected < 0.2


def test_cosines_are_those_of_the_columns() -> None:
    left, right = np.array([[1.0, 0.0], [1.0, 2.0]]), np.array([[3.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(cosines(left, right), [[0.5**0.5, 0.0], [0.0, 0.0]])


def test_without_a_purchase_nothing_is_named_but_by_chance(bought: np.ndarray) -> None:
    """Negative control: the same lists twice."""
    lists = similar_items(bought.T @ bought, 20)
    known = np.flatnonzero(bought[0])[:10]
    assert infer(lists, lists, known, bought.shape[1]) == np.setdiff1d(np.arange(80), known)[0]
