from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
from implicit.recommender_base import RecommenderBase
from retail_logs import MEMBERS as OLD
from retail_logs import NEW_MEMBERS as NEW
from retail_logs import RETAILERS as NAMES
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.metrics.pairwise import cosine_similarity

import hecf
from hecf.coalition import rounds
from hecf.errors import InvalidInput
from hecf.models import CrossRetailerRidge
from hecf.models.cross_ridge import Blocks
from hecf.recommenders import load_recommender

TOLERANCE = 1e-3
EVERYTHING = {"filter_already_liked_items": False}


def of_others(frame: pd.DataFrame) -> pd.DataFrame:
    """What members 120 to 239 bought, as if members 0 to 119 had."""
    taken = frame[frame["user_id"].between("m00120", "m00239")]
    return taken.assign(user_id=[f"m{int(user[1:]) - 120:05}" for user in taken["user_id"]])


WEEK = {name: pd.concat([NEW[name], of_others(OLD[name])]) for name in ("bakery", "cafe")}
"""New shoppers and known ones, and nothing at the deli."""


@pytest.fixture(scope="module")
def coalition() -> hecf.LoyaltyCoalition:
    return hecf.LoyaltyCoalition(OLD, factors=4, top_k=5)


@pytest.fixture(scope="module")
def models(coalition):
    return coalition.fit()


@pytest.fixture(scope="module")
def updated(coalition, models):
    return coalition.update(models, WEEK)


def products(rows: dict[str, np.ndarray]) -> Blocks:
    return {(r, s): rows[r].T @ rows[s] for r in NAMES for s in NAMES if r < s}


def clear_scores(models, rows: dict[str, np.ndarray], target: str) -> np.ndarray:
    maps = models[target].regression.maps
    estimate = sum(rows[name] @ maps[name, target] for name in NAMES if name != target)
    return models[target].embedding.scores(estimate)


def check(found, scores: np.ndarray) -> None:
    """The items have their clear scores, and none is missing among the best."""
    ids, released = found
    np.testing.assert_allclose(
        released, np.take_along_axis(scores, ids.astype(int), axis=1), atol=TOLERANCE
    )
    best = -np.sort(-scores, axis=1)[:, : ids.shape[1]]
    np.testing.assert_allclose(released, best, atol=TOLERANCE)


def rows_of(models, users) -> dict[str, np.ndarray]:
    return {name: models[name].user_factors[users] for name in NAMES}


def test_regression_is_that_of_the_pooled_rows(models) -> None:
    rows = {name: models[name].user_factors for name in NAMES}
    ridge, decay, used = models["cafe"].chosen
    expected = CrossRetailerRidge.fit(
        products(rows), NAMES, ridge=ridge, decay=decay, used=int(used)
    )
    for pair, block in expected.maps.items():
        np.testing.assert_allclose(models["deli"].regression.maps[pair], block, atol=TOLERANCE)
    assert models["bakery"].kind in ("binary", "log1p")
    np.testing.assert_array_equal(models["bakery"].chosen, models["deli"].chosen)


def test_recommendations_equal_the_clear_scores(coalition, models) -> None:
    users = np.arange(3, 40)
    found = coalition.recommend(models, "cafe", users, N=8, **EVERYTHING)
    scores = clear_scores(models, rows_of(models, users), "cafe")
    check(found, scores)
    # Scores of other shoppers would not pass.
    with pytest.raises(AssertionError):
        check(found, scores[::-1])
    bought = coalition.user_items["cafe"].counts[users].toarray() > 0
    ids, _ = coalition.recommend(models, "cafe", users, N=8)
    assert ids.dtype == np.int32
    assert not np.take_along_axis(bought, np.maximum(ids, 0), axis=1)[ids >= 0].any()
    check(
        coalition.recommend(
            models, "cafe", users, N=2, items=[1, 4, 7, 9], filter_items=[7], **EVERYTHING
        ),
        np.where(np.isin(np.arange(scores.shape[1]), [1, 4, 9]), scores, -np.inf),
    )
    one = coalition.recommend(models, "cafe", 3, N=8, **EVERYTHING)
    assert [part.shape for part in one] == [(8,), (8,)]
    np.testing.assert_allclose(one[1], found[1][0], atol=TOLERANCE)


def test_arguments_are_those_of_implicit() -> None:
    expected = list(inspect.signature(RecommenderBase.recommend).parameters.values())
    found = list(inspect.signature(hecf.LoyaltyCoalition.recommend).parameters.values())
    assert [one.name for one in found] == ["self", "models", "target"] + [
        one.name for one in expected[1:]
    ]
    assert [one.default for one in found[5:]] == [one.default for one in expected[3:]]
    assert [one.name for one in inspect.signature(hecf.LoyaltyCoalition.fit).parameters.values()][
        1:
    ] != [one.name for one in expected[1:]]


def test_new_shoppers_are_folded_in(coalition, models) -> None:
    new = sorted({user for frame in NEW.values() for user in frame["user_id"]})[:30]
    known = {name: hecf.UserItems.from_frame(NEW[name]).with_users(new) for name in NAMES}
    users, options = np.arange(30), {"recalculate_user": True, **EVERYTHING}
    found = coalition.recommend(models, "deli", users, known, **options)
    counts = {name: known[name].with_items(models[name].item_ids).counts for name in NAMES}
    rows = {name: models[name].embedding.fold_in(counts[name]) for name in NAMES}
    check(found, clear_scores(models, rows, "deli"))
    again = coalition.recommend(models, "deli", users, counts, **options)
    np.testing.assert_allclose(again[1], found[1], atol=TOLERANCE)
    nobody = coalition.recommend(models, "deli", [0], {}, **options)
    check(nobody, models["deli"].embedding.scores(np.zeros((1, 4))))


def test_a_week_changes_known_shoppers_and_adds_new_ones(coalition, models, updated) -> None:
    model = updated["cafe"]
    pooled = {
        name: hecf.UserItems.from_frame(
            pd.concat([OLD[name], WEEK.get(name, OLD[name][:0])])
            .groupby(["user_id", "item_id"], as_index=False)
            .sum()
        )
        .with_users(model.user_ids)
        .with_items(models[name].item_ids)
        for name in NAMES
    }
    rows = {name: models[name].embedding.fold_in(pooled[name].counts) for name in NAMES}
    fitted = len(models["cafe"].user_ids)
    assert len(model.user_ids) > fitted + 100
    for name in NAMES:
        np.testing.assert_allclose(
            updated[name].counts.toarray(), pooled[name].counts.toarray(), atol=0
        )
        np.testing.assert_allclose(updated[name].user_factors, rows[name], atol=1e-9)
        np.testing.assert_allclose(model.own[name], rows[name].T @ rows[name], atol=1e-4)
    for pair, block in products(rows).items():
        np.testing.assert_allclose(model.blocks[pair], block, atol=1e-4)
    # Known shoppers have moved, and without them the blocks are others.
    moved = np.abs(rows["cafe"][:fitted] - models["cafe"].user_factors).max(axis=1) > 1e-6
    assert 50 < moved.sum() < fitted
    unmoved = {name: np.vstack([models[name].user_factors, rows[name][fitted:]]) for name in NAMES}
    assert np.abs(products(unmoved)["bakery", "cafe"] - model.blocks["bakery", "cafe"]).max() > 0.01
    users = np.arange(len(model.user_ids) - 20, len(model.user_ids))
    found = coalition.recommend(updated, "cafe", users, **EVERYTHING)
    check(found, clear_scores(updated, {name: rows[name][users] for name in NAMES}, "cafe"))


def test_a_week_of_few_shoppers_is_left_to_the_next(coalition, models, monkeypatch) -> None:
    def released(*arguments):
        raise AssertionError("something was computed")

    few = {name: frame[frame["user_id"] < "m01099"] for name, frame in NEW.items()}
    monkeypatch.setattr(rounds, "LocalServices", released)
    with pytest.raises(InvalidInput, match=r"got 9\d who bought something .* at least 100"):
        coalition.update(models, few)
    # Who buys nothing in the catalogues does not count.
    padded = few["cafe"].assign(user_id=lambda frame: "x" + frame["user_id"], item_id="mop")
    padded = padded.drop_duplicates("user_id")
    with pytest.raises(InvalidInput, match=r"got 9\d who bought something"):
        coalition.update(models, {**few, "cafe": pd.concat([few["cafe"], padded])})


def test_settings_are_chosen_and_changed_at_home(coalition, models, monkeypatch) -> None:
    fixed = hecf.CrossRetailer(factors=2, weighting="log1p", ridge=0.7, decay=0.25)
    fitted = coalition.fit(fixed)
    assert fitted["deli"].get_params() == fixed.get_params()
    np.testing.assert_array_equal(fitted["deli"].chosen, [0.7, 0.25, 2])
    assert str(fitted["deli"].kind) == "log1p"
    assert not fitted["deli"].maps[:, :, 2:].any()
    assert clone(fixed).get_params() == fixed.get_params()
    # Other settings are tried on the blocks that are there.
    monkeypatch.setattr(rounds, "LocalServices", None)
    again = {name: model.set_params(factors=4, ridge=0.1).solve() for name, model in fitted.items()}
    expected = CrossRetailerRidge.fit(
        fitted["cafe"].blocks, NAMES, ridge=0.1, decay=0.25, own=fitted["cafe"].own
    )
    for pair, block in expected.maps.items():
        np.testing.assert_allclose(again["cafe"].regression.maps[pair], block, atol=1e-12)
    with pytest.raises(InvalidInput, match="no such setting"):
        fixed.set_params(penalty=3)
    with pytest.raises(InvalidInput, match="factors to use"):
        fitted["cafe"].set_params(factors=5).solve()


def test_saved_models_go_on(coalition, updated, tmp_path) -> None:
    for name, model in updated.items():
        model.save(tmp_path / f"{name}.npz")
    loaded = {name: load_recommender(tmp_path / f"{name}.npz") for name in NAMES}
    assert loaded["deli"].get_params() == updated["deli"].get_params()
    assert loaded["deli"].user_ids == updated["deli"].user_ids
    assert loaded["deli"].item_ids == updated["deli"].item_ids
    for pair, block in updated["deli"].regression.maps.items():
        np.testing.assert_array_equal(loaded["deli"].regression.maps[pair], block)
    users = np.arange(9)
    before = coalition.recommend(updated, "cafe", users, **EVERYTHING)
    after = coalition.recommend(loaded, "cafe", users, **EVERYTHING)
    np.testing.assert_allclose(after[1], before[1], atol=TOLERANCE)
    more = coalition.update(loaded, NEW)
    assert len(more["cafe"].user_ids) >= len(loaded["cafe"].user_ids)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"] * 3


def test_what_a_retailer_knows_alone(coalition, models) -> None:
    cafe, entry = models["cafe"], coalition.user_items["cafe"]
    users = np.arange(7)
    approximate = cafe.user_factors @ cafe.item_factors.T
    expected = approximate[users] + cafe.mean
    ids, scores = cafe.recommend(users, entry.counts[users], N=4, **EVERYTHING)
    np.testing.assert_allclose(scores, np.take_along_axis(expected, ids, axis=1), atol=1e-9)
    ids, scores = cafe.similar_items(2, N=5)
    cosines = cosine_similarity(approximate.T)[2]
    np.testing.assert_allclose(scores, -np.sort(-cosines)[:5], atol=1e-9)
    assert ids[0] == 2
    alike, _ = cafe.similar_users(5, N=3)
    assert alike[0] == 5
    again = cafe.similar_items(
        2, N=5, recalculate_item=True, item_users=csr_array(entry.counts.T)[[2]]
    )
    assert again[0][0] == 2
    alone = hecf.CrossRetailer(factors=4, weighting=str(cafe.kind)).fit(entry)
    options = {"N": 4, "recalculate_user": True, **EVERYTHING}
    np.testing.assert_allclose(
        alone.recommend(users, entry.counts[users], **options)[1],
        cafe.recommend(users, entry.counts[users], **options)[1],
        atol=1e-9,
    )
    with pytest.raises(InvalidInput, match="no common rows"):
        hecf.Coalition(OLD, scheme="clear").fit(hecf.CrossRetailer(factors=4))


def test_what_does_not_fit_is_refused(coalition, models) -> None:
    with pytest.raises(InvalidInput, match="got kiosk, expected some of bakery, cafe, deli"):
        coalition.recommend(models, "kiosk", 0)
    with pytest.raises(InvalidInput, match="names no shopper"):
        coalition.recommend(models, "cafe", [])
    with pytest.raises(InvalidInput, match="userid is out of range"):
        coalition.recommend(models, "cafe", len(models["cafe"].user_ids))
    with pytest.raises(InvalidInput, match="described by user_items"):
        coalition.recommend(models, "cafe", 0, recalculate_user=True)
    with pytest.raises(InvalidInput, match=r"counts of deli do not fit: got shape \(2, 3\)"):
        coalition.recommend(models, "cafe", 0, {"deli": csr_array((2, 3))}, recalculate_user=True)
    with pytest.raises(InvalidInput, match="2 retailers up"):
        hecf.LoyaltyCoalition({"cafe": OLD["cafe"]})
    with pytest.raises(InvalidInput, match="no such retailer"):
        coalition.update(models, {"kiosk": NEW["cafe"]})
