from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, csr_matrix
from sklearn.metrics import ndcg_score, recall_score

from hecf.errors import InvalidInput
from hecf.evaluation.metrics import (
    average_precision,
    calibrated_recall,
    hit_rate,
    ndcg,
    precision,
    recall,
)

METRICS = (average_precision, calibrated_recall, hit_rate, ndcg, precision, recall)


def case(shoppers: int, items: int, k: int, seed: int, share: float = 0.3):
    generator = np.random.default_rng(seed)
    recommended = np.stack([generator.permutation(items)[:k] for _ in range(shoppers)])
    relevant = generator.random((shoppers, items)) < share
    relevant[0, 0] = True
    return recommended, relevant


def looped(recommended, relevant, totals=None):
    """Both metrics by plain loops."""
    recalls, gains = [], []
    for number, (row, truth) in enumerate(zip(recommended, relevant, strict=True)):
        total = int(truth.sum()) if totals is None else int(totals[number])
        if total == 0:
            continue
        hits = [bool(truth[item]) for item in row]
        places = min(len(row), total)
        recalls.append(sum(hits) / places)
        gain = sum(1 / math.log2(rank + 2) for rank, hit in enumerate(hits) if hit)
        gains.append(gain / sum(1 / math.log2(rank + 2) for rank in range(places)))
    return sum(recalls) / len(recalls), sum(gains) / len(gains)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(1, 15), st.data(), st.sampled_from([0.02, 0.3, 0.9]))
def test_metrics_equal_plain_loops(shoppers, items, data, share) -> None:
    k = data.draw(st.integers(1, items))
    recommended, relevant = case(shoppers, items, k, data.draw(st.integers(0, 99)), share)
    outside = np.array(data.draw(st.lists(st.integers(0, 3), min_size=shoppers, max_size=shoppers)))
    totals = relevant.sum(axis=1) + outside
    sparse = csr_array(relevant.astype(float))
    for given_totals in (None, totals):
        expected = looped(recommended, relevant, given_totals)
        result = (
            calibrated_recall(recommended, sparse, given_totals),
            ndcg(recommended, sparse, given_totals),
        )
        np.testing.assert_allclose(result, expected, rtol=1e-12)


@pytest.mark.parametrize("k", [1, 5, 30])
def test_ndcg_equals_scikit_learn(k) -> None:
    recommended, relevant = case(40, 30, k, seed=2)
    relevant = relevant[relevant.any(axis=1)]
    recommended = recommended[: len(relevant)]
    scores = np.zeros(relevant.shape)
    ranks = np.broadcast_to(np.arange(k, 0, -1), recommended.shape)
    np.put_along_axis(scores, recommended, ranks, axis=1)
    expected = ndcg_score(relevant.astype(int), scores, k=k, ignore_ties=True)
    assert ndcg(recommended, csr_matrix(relevant)) == pytest.approx(expected, abs=1e-12)
    # The comparison is alive: the worst order of the same items scores less.
    if k > 1:
        assert ndcg(recommended[:, ::-1], csr_matrix(relevant)) != pytest.approx(expected, abs=1e-4)


def test_recall_equals_scikit_learn_when_all_relevant_items_fit() -> None:
    recommended, relevant = case(40, 30, 20, seed=4, share=0.2)
    keep = relevant.any(axis=1) & (relevant.sum(axis=1) <= 20)
    recommended, relevant = recommended[keep], relevant[keep]
    chosen = np.zeros(relevant.shape, dtype=int)
    np.put_along_axis(chosen, recommended, 1, axis=1)
    expected = recall_score(relevant.astype(int), chosen, average="samples")
    assert calibrated_recall(recommended, csr_array(relevant)) == pytest.approx(expected)


def test_perfect_and_empty_recommendations() -> None:
    relevant = csr_array(np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    best, worst = np.array([[1, 0], [0, 1]]), np.array([[2, 3], [2, 3]])
    assert calibrated_recall(best, relevant) == 1.0
    assert ndcg(best, relevant) == pytest.approx(1.0)
    assert calibrated_recall(worst, relevant) == ndcg(worst, relevant) == 0.0


def test_stored_zeros_and_doubled_entries_of_the_sparse_matrix() -> None:
    indices = np.array([0, 0, 1])
    relevant = csr_array((np.array([1.0, 1.0, 0.0]), indices, np.array([0, 3])), shape=(1, 3))
    assert calibrated_recall(np.array([[0, 1]]), relevant) == 1.0
    assert calibrated_recall(np.array([[1, 2]]), relevant) == 0.0


GOOD = np.array([[0, 1], [2, 1]])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("recommended", "totals", "message"),
    [
        (np.array([[0, 3], [2, 1]]), None, "got 0 to 3, expected 0 to 2"),
        (np.array([[0, -2], [2, 1]]), None, "got -2 to 2"),
        (np.array([[0, 0], [2, 1]]), None, "1 doubled"),
        (GOOD.astype(float), None, "got float64"),
        (GOOD[:, :0], None, "not rows of item indices"),
        (GOOD[0], None, "not rows of item indices"),
        (GOOD[:1], None, "got 1, expected 2"),
        (GOOD, np.array([2, 0]), "got 1 of 2 shoppers"),
        (GOOD, np.array([2]), r"shape \(1,\)"),
        (GOOD, np.array([2.0, 1.0]), "got float64"),
    ],
)
def test_bad_input_is_refused(metric, recommended, totals, message) -> None:
    relevant = csr_array(np.array([[1, 1, 0], [0, 0, 1]]))
    assert metric(GOOD, relevant, np.array([2, 1])) > 0
    with pytest.raises(InvalidInput, match=message):
        metric(recommended, relevant, totals)


@pytest.mark.parametrize("metric", METRICS)
def test_nobody_to_judge_is_refused(metric) -> None:
    with pytest.raises(InvalidInput, match="no shopper has a relevant item"):
        metric(GOOD, csr_array((2, 3)))
    with pytest.raises(InvalidInput, match="got ndarray"):
        metric(GOOD, np.ones((2, 3)))
    # Shoppers whose purchases all lie outside the catalogue are judged, and nothing is found.
    assert metric(GOOD, csr_array((2, 3)), np.array([1, 0])) == 0.0
