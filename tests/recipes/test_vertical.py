"""The recipe of a retailer: the whole coalition against one pooled program in plain NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coalitions import Coalition, make_terms, purchases, run_retailers
from scipy.sparse import csr_array
from sklearn.linear_model import Ridge

from hecf.errors import InvalidInput, Mismatch, UnknownTask
from hecf.measure import Measurements
from hecf.models import LocalEmbedding
from hecf.protocol.tasks import ScoreTask
from hecf.protocol.terms import Terms
from hecf.recipes.vertical import Recommendations, VerticalRetailer

ITEMS = {"alder": 31, "birch": 40, "cedar": 53}
SEED = {"alder": 1, "birch": 2, "cedar": 3}
NOWHERE = 7
"""A member who never came in anywhere."""


def counts_of(terms: Terms) -> dict[str, np.ndarray]:
    return {
        name: purchases(
            SEED[name],
            terms.shoppers,
            ITEMS[name],
            absent=(NOWHERE, *range(10 * SEED[name], 10 * SEED[name] + 12)),
        )
        for name in terms.retailers
    }


def absent_rows(counts: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(counts.sum(axis=1) == 0).tolist())


class Pooled:
    """The model as one program would compute it that had all the data, without Gram blocks."""

    def __init__(self, terms: Terms, counts: dict[str, np.ndarray], kind: str) -> None:
        self._terms = terms
        self._parts = {name: self._embed(table, kind) for name, table in counts.items()}

    def _embed(self, counts: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        weights = (counts > 0).astype(float) if kind == "binary" else np.log1p(counts)
        present = counts.sum(axis=1) > 0
        mean = weights[present].mean(axis=0)
        scale = np.sqrt(weights[present].std(axis=0) + 0.01)
        left, strengths, right = np.linalg.svd((weights[present] - mean) / scale)
        d = self._terms.factors
        shoppers = np.zeros((len(counts), d))
        shoppers[present] = left[:, :d]
        return shoppers, strengths[:d, None] * right[:d] * scale, mean

    def scores(self, target: str, rows: tuple[int, ...]) -> np.ndarray:
        prior = np.arange(1, self._terms.factors + 1) ** -self._terms.decay
        own, items, mean = self._parts[target]
        stacked = np.hstack([p * prior for name, (p, *_) in self._parts.items() if name != target])
        model = Ridge(alpha=self._terms.ridge, fit_intercept=False, solver="svd")
        estimate = model.fit(stacked, own).predict(stacked[list(rows)])
        return estimate @ items + mean


def run(
    terms: Terms, folder: Path, kind: Any = "binary"
) -> tuple[dict[str, np.ndarray], dict[str, Recommendations]]:
    counts = counts_of(terms)
    fitted = {
        name: LocalEmbedding.fit(csr_array(table), terms.factors, kind=kind)
        for name, table in counts.items()
    }
    coalition = Coalition(terms, folder)
    rows = {name: absent_rows(table) for name, table in counts.items()}
    return counts, run_retailers(coalition, fitted, rows)


def largest_difference(found: Recommendations, exact: np.ndarray) -> float:
    return float(np.abs(found.scores - np.take_along_axis(exact, found.items, axis=1)).max())


@pytest.mark.parametrize("kind", ["binary", "log1p"])
def test_a_clear_coalition_equals_the_pooled_program(tmp_path: Path, kind: str) -> None:
    terms = make_terms(shoppers=180, factors=5, top_k=6)
    counts, found = run(terms, tmp_path, kind)
    pooled = Pooled(terms, counts, kind)
    for name, result in found.items():
        assert result.rows == absent_rows(counts[name])
        exact = pooled.scores(name, result.rows)
        assert largest_difference(result, exact) < 1e-8
        best = np.sort(exact, axis=1)[:, ::-1][:, : terms.top_k]
        np.testing.assert_allclose(result.scores, best, rtol=0, atol=1e-8)
        # The control: other tastes, another penalty or another weighting are seen at once.
        wrong = {**counts, "birch": counts["birch"][::-1]}
        other = {"binary": "log1p", "log1p": "binary"}[kind]
        for different in (
            Pooled(terms, wrong, kind),
            Pooled(make_terms(shoppers=180, factors=5, ridge=1.0), counts, kind),
            Pooled(terms, counts, other),
        ):
            assert largest_difference(result, different.scores(name, result.rows)) > 1e-3


@pytest.mark.parametrize("topology", ["coalition-key", "coalition-key-blinded"])
def test_an_encrypted_coalition_is_within_a_thousandth(tmp_path: Path, topology: str) -> None:
    terms = make_terms(scheme="ckks", shoppers=180, factors=5, top_k=6, topology=topology)
    counts, found = run(terms, tmp_path)
    pooled = Pooled(terms, counts, "binary")
    for name, result in found.items():
        exact = pooled.scores(name, result.rows)
        assert largest_difference(result, exact) < 1e-3
        kth = np.sort(exact, axis=1)[:, -terms.top_k]
        chosen = np.take_along_axis(exact, result.items, axis=1)
        assert (chosen.min(axis=1) > kth - 2e-3).all()


def test_a_member_whom_nobody_knows_is_scored_as_the_mean(tmp_path: Path) -> None:
    terms = make_terms(top_k=6)
    counts, found = run(terms, tmp_path)
    for name, result in found.items():
        present = counts[name].sum(axis=1) > 0
        mean = (counts[name][present] > 0).mean(axis=0)
        row = result.rows.index(NOWHERE)
        np.testing.assert_allclose(result.scores[row], np.sort(mean)[::-1][:6], rtol=0, atol=1e-8)
        np.testing.assert_allclose(mean[result.items[row]], result.scores[row], rtol=0, atol=1e-8)
        # Others are known elsewhere, and are not scored as the mean.
        others = np.delete(result.scores, row, axis=0)
        assert np.abs(others - result.scores[row]).max(axis=1).min() > 1e-4


def test_two_retailers_suffice(tmp_path: Path) -> None:
    terms = make_terms(retailers=("alder", "cedar"))
    counts, found = run(terms, tmp_path)
    pooled = Pooled(terms, counts, "binary")
    for name, result in found.items():
        assert largest_difference(result, pooled.scores(name, result.rows)) < 1e-8


@pytest.fixture
def fitted() -> LocalEmbedding:
    return LocalEmbedding.fit(csr_array(purchases(1, 150, 30, absent=(3, 4))), 4)


def alder(coalition: Coalition) -> VerticalRetailer:
    return VerticalRetailer(
        coalition.terms,
        "alder",
        coalition.node("alder"),
        coalition.key_holder("alder"),
        Measurements(),
    )


@pytest.mark.parametrize(
    ("changes", "rows", "problem"),
    [
        ({}, (), "names no shopper: got 0, expected at least 1"),
        ({}, (4, 3), "rows do not fit the directory"),
        ({}, (150,), "rows do not fit the directory"),
        ({"top_k": 31}, (3,), "the catalogue has an unsuitable size: got 30, expected 31"),
        ({"factors": 5}, (3,), "got shape .150, 4., expected 150 members and 5 factors"),
        ({"shoppers": 160}, (3,), "got shape .150, 4., expected 160 members and 4 factors"),
    ],
)
def test_what_does_not_suit_is_refused_before_anything_is_uploaded(
    tmp_path: Path, fitted: LocalEmbedding, changes: Any, rows: tuple[int, ...], problem: str
) -> None:
    coalition = Coalition(make_terms(**changes), tmp_path, patience=0.1)
    with pytest.raises(InvalidInput, match=problem):
        alder(coalition).run(fitted, rows)
    assert coalition.stored() == 0
    assert coalition.node_service.received == {}


def test_the_node_cannot_swap_the_task_of_one_target_for_another(
    tmp_path: Path, fitted: LocalEmbedding
) -> None:
    coalition = Coalition(make_terms(), tmp_path, patience=0.1)
    asked = ScoreTask(coalition.terms, "cedar", (1, 2), 40)
    coalition.node("cedar").declare(asked)
    service: Any = coalition.node_service
    service.await_task = lambda party, name: asked
    retailer = alder(coalition)
    with pytest.raises(Mismatch, match="another task: got score/cedar, expected score/birch"):
        retailer.assist(None, fitted, None, "birch")  # type: ignore[arg-type]
    assert coalition.stored() == 0


def test_shares_are_clipped_to_the_bound_of_the_plan(
    tmp_path: Path, fitted: LocalEmbedding
) -> None:
    coalition = Coalition(make_terms(retailers=("alder", "birch")), tmp_path, patience=0.1)
    retailer = alder(coalition)
    encryptor = retailer.join()
    asked = ScoreTask(coalition.terms, "birch", (10, 11), 40)
    coalition.node("birch").declare(asked)
    ridge: Any = type("Ridge", (), {"maps": {("alder", "birch"): 1e6 * np.eye(4)}})
    retailer.assist(encryptor, fitted, ridge, "birch")
    data = next(coalition.blocks.iterdir()).read_bytes()
    sent = np.frombuffer(data[-2 * 4 * 8 :], dtype="<f8").reshape(2, 4).T
    np.testing.assert_array_equal(sent, np.sign(fitted.shoppers[[10, 11]].T))


def test_a_key_holder_that_knows_no_task_is_repeated(
    tmp_path: Path, fitted: LocalEmbedding
) -> None:
    coalition = Coalition(make_terms(), tmp_path, patience=0.1)
    with pytest.raises(UnknownTask):
        alder(coalition).collect(ScoreTask(coalition.terms, "alder", (1,), 30), 1.0)
