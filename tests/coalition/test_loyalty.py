from __future__ import annotations

import numpy as np
import pytest
from retail_logs import MEMBERS as OLD
from retail_logs import NEW_MEMBERS as NEW
from retail_logs import RETAILERS as NAMES

import hecf
from hecf.errors import InvalidInput
from hecf.models import CrossRetailerRidge
from hecf.models.cross_ridge import Blocks


@pytest.fixture(scope="module")
def coalition() -> hecf.LoyaltyCoalition:
    return hecf.LoyaltyCoalition(OLD, factors=4, top_k=5)


@pytest.fixture(scope="module")
def models(coalition):
    return coalition.fit()


def products(rows: dict[str, np.ndarray]) -> Blocks:
    return {(r, s): rows[r].T @ rows[s] for r in NAMES for s in NAMES if r < s}


def clear_scores(models, rows: dict[str, np.ndarray], target: str) -> np.ndarray:
    maps = models[target].ridge.maps
    estimate = sum(rows[name] @ maps[name, target] for name in NAMES if name != target)
    return models[target].embedding.scores(estimate)


def check(found, scores: np.ndarray) -> None:
    """The released items have their clear scores, and none is missing among the best."""
    np.testing.assert_allclose(
        found.scores, np.take_along_axis(scores, found.items.astype(int), axis=1), atol=1e-3
    )
    best = -np.sort(-scores, axis=1)[:, :5]
    np.testing.assert_allclose(found.scores, best, atol=1e-3)


def test_regression_is_that_of_the_pooled_rows(coalition, models) -> None:
    rows = {name: models[name].rows for name in NAMES}
    penalty = models["cafe"].penalty
    expected = CrossRetailerRidge.fit(
        products(rows), NAMES, ridge=penalty.ridge, decay=penalty.decay
    )
    for pair, block in expected.maps.items():
        np.testing.assert_allclose(models["deli"].ridge.maps[pair], block, atol=1e-3)
    assert models["bakery"].embedding.kind in ("binary", "log1p")
    assert models["bakery"].penalty == models["deli"].penalty


def test_recommendations_equal_the_clear_scores(coalition, models) -> None:
    users = coalition.user_ids[3:40]
    found = coalition.recommend(models, "cafe", users)
    scores = clear_scores(models, {name: models[name].rows[3:40] for name in NAMES}, "cafe")
    check(found, scores)
    # Scores of other shoppers would not pass.
    with pytest.raises(AssertionError):
        check(found, scores[::-1])


def test_new_shoppers_are_folded_in(coalition, models) -> None:
    new = sorted({user for frame in NEW.values() for user in frame["user_id"]})[:30]
    found = coalition.recommend(models, "deli", new, NEW)
    rows = {}
    for name in NAMES:
        frame = hecf.UserItems.from_frame(NEW[name]).with_users(new)
        counts = frame.with_items(models[name].item_ids).counts
        rows[name] = models[name].embedding.fold_in(counts)
    check(found, clear_scores(models, rows, "deli"))
    nobody = coalition.recommend(models, "deli", ["stranger"])
    check(nobody, models["deli"].embedding.scores(np.zeros((1, 4))))


def test_a_week_is_added_without_encrypting_the_past_again(coalition, models) -> None:
    updated = coalition.update(models, NEW)
    model = updated["cafe"]
    assert len(model.user_ids) > len(models["cafe"].user_ids) + 100
    rows = {name: updated[name].rows for name in NAMES}
    for pair, block in products(rows).items():
        np.testing.assert_allclose(model.blocks[pair], block, atol=1e-4)
    for name in NAMES:
        np.testing.assert_allclose(model.own[name], rows[name].T @ rows[name], atol=1e-4)
    assert (
        np.abs(model.blocks["bakery", "cafe"] - models["cafe"].blocks["bakery", "cafe"]).max()
        > 0.01
    )
    found = coalition.recommend(updated, "cafe", model.user_ids[-20:])
    check(found, clear_scores(updated, {name: rows[name][-20:] for name in NAMES}, "cafe"))
    with pytest.raises(InvalidInput, match="known"):
        coalition.update(updated, NEW)


def test_what_does_not_fit_is_refused(coalition, models) -> None:
    with pytest.raises(InvalidInput, match="got kiosk, expected some of bakery, cafe, deli"):
        coalition.recommend(models, "kiosk", ["m00001"])
    with pytest.raises(InvalidInput, match="there is no shopper"):
        coalition.recommend(models, "cafe", [])
    with pytest.raises(InvalidInput, match="2 retailers up"):
        hecf.LoyaltyCoalition({"cafe": OLD["cafe"]})
    few = {name: frame[frame["user_id"] < "m01003"] for name, frame in NEW.items()}
    with pytest.raises(InvalidInput, match="at least 100 new ones"):
        coalition.update(models, few)
