from __future__ import annotations

import numpy as np
import pytest
from implicit.evaluation import ranking_metrics_at_k
from scipy.sparse import csr_array, csr_matrix
from sklearn.metrics import precision_score, recall_score

from hecf.errors import InvalidInput
from hecf.evaluation import (
    average_precision,
    calibrated_recall,
    compare,
    coverage,
    evaluate,
    hit_rate,
    ndcg,
    precision,
    recall,
)


def case(shoppers: int, items: int, k: int, seed: int, share: float = 0.3):
    generator = np.random.default_rng(seed)
    recommended = np.stack([generator.permutation(items)[:k] for _ in range(shoppers)])
    relevant = generator.random((shoppers, items)) < share
    relevant[:, 0] |= ~relevant.any(axis=1)
    return recommended, relevant


class FixedRanking:
    """The shape of an implicit model that recommends what it is told."""

    def __init__(self, recommended: np.ndarray) -> None:
        self.recommended = recommended

    def recommend(self, users, user_items, N):
        return self.recommended[users, :N], None


@pytest.mark.parametrize(("k", "share"), [(1, 0.3), (5, 0.1), (20, 0.6)])
def test_metrics_equal_implicit(k, share) -> None:
    recommended, relevant = case(60, 30, k, seed=3, share=share)
    truth = csr_matrix(relevant.astype(np.float64))
    expected = ranking_metrics_at_k(
        FixedRanking(recommended.astype(np.int32)), truth, truth, K=k, show_progress=False
    )
    assert average_precision(recommended, truth) == pytest.approx(expected["map"], abs=1e-12)
    assert ndcg(recommended, truth) == pytest.approx(expected["ndcg"], abs=1e-12)
    # What implicit calls precision is calibrated recall, pooled over the shoppers.
    places = np.minimum(relevant.sum(axis=1), k)
    rows = [
        calibrated_recall(recommended[[row]], csr_array(truth)[[row]]) for row in range(len(places))
    ]
    pooled = float(np.average(rows, weights=places))
    assert pooled == pytest.approx(expected["precision"], abs=1e-12)


def test_metrics_equal_scikit_learn() -> None:
    recommended, relevant = case(50, 25, 6, seed=5)
    chosen = np.zeros(relevant.shape, dtype=int)
    np.put_along_axis(chosen, recommended, 1, axis=1)
    truth = csr_array(relevant)
    for metric, oracle in ((recall, recall_score), (precision, precision_score)):
        expected = oracle(relevant.astype(int), chosen, average="samples")
        assert metric(recommended, truth) == pytest.approx(expected, abs=1e-12)
    assert hit_rate(recommended, truth) == (chosen & relevant).any(axis=1).mean()
    assert coverage(recommended, 25) == len(set(recommended.ravel().tolist())) / 25
    # The metrics differ among themselves here, so none can stand in for another.
    values = [m(recommended, truth) for m in (recall, precision, hit_rate, calibrated_recall)]
    assert len({round(value, 6) for value in values}) == 4


def test_order_matters_to_average_precision_only_among_these() -> None:
    truth = csr_array(np.array([[1, 0, 0, 1, 0]]))
    good, late = np.array([[0, 3, 1, 2]]), np.array([[1, 2, 3, 0]])
    assert average_precision(good, truth) == 1.0
    assert average_precision(late, truth) == pytest.approx((1 / 3 + 2 / 4) / 2)
    for metric in (recall, precision, hit_rate, calibrated_recall):
        assert metric(good, truth) == metric(late, truth)


def test_warm_and_cold_shoppers_are_judged_apart() -> None:
    recommended, relevant = case(40, 20, 4, seed=8)
    relevant[3] = False
    history = csr_array(np.ones((40, 7)) * (np.arange(40) % 4 != 0)[:, None])
    truth = csr_array(relevant)
    found = evaluate(recommended, truth, history=history)
    warm = np.setdiff1d(np.flatnonzero(np.arange(40) % 4 != 0), [3])
    cold = np.flatnonzero(np.arange(40) % 4 == 0)
    for name, rows in (("warm", warm), ("cold", cold)):
        assert found[name].shoppers == rows.size
        assert found[name].ndcg == pytest.approx(ndcg(recommended[rows], truth[rows]))
        assert found[name].coverage == coverage(recommended[rows], 20)
    assert found["all"].recall == pytest.approx(recall(recommended, truth))
    assert found["all"].shoppers == 39
    assert found["warm"].ndcg != found["cold"].ndcg
    assert set(evaluate(recommended, truth)) == {"all"}
    assert set(evaluate(recommended, truth, history=csr_array((40, 2)))) == {"all", "cold"}
    with pytest.raises(InvalidInput, match="history does not fit"):
        evaluate(recommended, truth, history=history[:5])


def test_clear_and_encrypted_stand_beside_each_other() -> None:
    recommended, relevant = case(30, 20, 5, seed=9)
    scores = -np.sort(-np.random.default_rng(1).random((30, 5)), axis=1)
    truth = csr_array(relevant)
    same = compare((recommended, scores), (recommended, scores + 1e-7), truth)
    assert same.overlap == 1.0
    assert same.largest_error == pytest.approx(1e-7)
    assert same.clear == same.encrypted
    others = np.stack([np.roll(np.arange(20), row)[:5] for row in range(30)])
    worse = compare((recommended, scores), (others, scores), truth)
    assert worse.overlap < 0.6
    assert worse.clear["all"] == same.clear["all"] != worse.encrypted["all"]
    assert worse.as_dict()["encrypted"]["all"]["k"] == 5
    with pytest.raises(InvalidInput, match="differ"):
        compare((recommended, scores), (recommended, scores[:, :4]), truth)


def test_coverage_refuses_an_empty_catalogue() -> None:
    with pytest.raises(InvalidInput, match="catalogue has no items"):
        coverage(np.array([[0]]), 0)


def test_places_without_an_item_hit_nothing() -> None:
    relevant = csr_array(np.array([[0, 0, 1], [1, 0, 0]]))
    # Row 1 starts after the relevant last item of row 0, which -1 must not stand for.
    short = np.array([[2, 0, -1], [-1, -1, -1]])
    full = np.array([[2, 0, 1], [1, 2, 0]])
    assert recall(short, relevant) == 0.5
    assert precision(short, relevant) == pytest.approx(1 / 6)
    assert coverage(short, 3) == pytest.approx(2 / 3)
    scores = np.array([[3.0, 2.0, -np.inf], [-np.inf] * 3])
    same = compare((short, scores), (short, scores), relevant)
    assert (same.overlap, same.largest_error) == (1.0, 0.0)
    with pytest.raises(InvalidInput, match="NaN or infinite"):
        compare((short, scores), (full, np.ones((2, 3))), relevant)
