from __future__ import annotations

import numpy as np
import pytest
from retail_logs import FRANCHISES as DATA
from retail_logs import ITEMS
from scipy.sparse import csr_array, vstack
from sklearn.base import clone

import hecf
from hecf.errors import ConfigurationError, InvalidInput
from hecf.recommenders.items import summed_gram


def pooled(coalition: hecf.Coalition) -> csr_array:
    return csr_array(vstack([entry.counts for entry in coalition.user_items.values()]))


@pytest.mark.parametrize(
    ("model", "tolerance"),
    [
        (hecf.MostPopular(), 0.0),
        (hecf.ItemKNN(K=5), 0.0),
        (hecf.EASE(penalty=20.0), 0.0),
        (hecf.EASE(penalty=20.0, weighting="log1p"), 1e-6),
        (hecf.AlternatingLeastSquares(factors=4, iterations=3), 1e-5),
        (hecf.PureSVD(factors=4), 0.0),
        (hecf.PureSVD(factors=4, weighting="log1p"), 1e-6),
    ],
    ids=repr,
)
@pytest.mark.parametrize("scheme", ["ckks", "clear"])
def test_encrypted_models_equal_their_pooled_twins(model, tolerance, scheme) -> None:
    coalition = hecf.Coalition(DATA, scheme=scheme)
    fitted = coalition.fit(model)
    twin = clone(model).fit(pooled(coalition))
    alone = clone(model).fit(coalition.user_items["west"])
    mine = coalition.user_items["west"]
    assert list(fitted) == list(DATA)
    users = np.arange(len(mine.user_ids))
    first = 60 + 45

    def scores(of, offset: int = 0):
        everything = of.recommend(
            users + offset, mine, N=len(ITEMS), filter_already_liked_items=False
        )
        in_order = np.empty((users.size, len(ITEMS)))
        np.put_along_axis(in_order, np.maximum(everything[0], 0), everything[1], axis=1)
        return in_order

    difference = np.abs(scores(fitted["west"]) - scores(twin, first)).max()
    assert difference <= tolerance
    # What one retailer has alone is another model.
    assert np.abs(scores(alone) - scores(twin, first)).max() > 100 * max(tolerance, 1e-6)
    assert fitted["west"].item_ids == tuple(ITEMS)
    # All retailers have the same items' part.
    for name in type(model)._arrays:
        if not name.startswith("user_"):
            np.testing.assert_array_equal(
                getattr(fitted["north"], name), getattr(fitted["south"], name)
            )


def test_catalogue_is_shared_and_models_speak_of_items(tmp_path) -> None:
    coalition = hecf.Coalition(DATA, scheme="clear")
    assert coalition.item_ids == tuple(ITEMS)
    north = coalition.user_items["north"]
    assert north.counts[:, [0]].nnz == 0
    expected = DATA["north"].pivot_table("rating", "user_id", "item_id", fill_value=0)
    expected = expected.reindex(columns=ITEMS, fill_value=0)
    np.testing.assert_array_equal(north.counts.toarray(), expected.to_numpy())
    model = coalition.fit(hecf.EASE(penalty=20.0))["north"]
    ids, _ = model.recommend(0, north.counts[[0]], N=3)
    assert all(model.item_ids[index] in ITEMS for index in ids)


def test_a_retailer_that_fails_stops_the_others() -> None:
    coalition = hecf.Coalition(DATA, scheme="clear")
    with pytest.raises(InvalidInput, match="factors"):
        coalition.fit(hecf.AlternatingLeastSquares(factors=99))
    with pytest.raises(InvalidInput, match="bound"):
        coalition.fit(hecf.AlternatingLeastSquares(factors=4, statistics_bound=1e-3))


def test_unsuitable_coalitions_are_refused() -> None:
    with pytest.raises(InvalidInput, match="got 1"):
        hecf.Coalition({"north": DATA["north"]})
    with pytest.raises(ConfigurationError, match="name like"):
        hecf.Coalition({"North": DATA["north"], "south": DATA["south"]})
    with pytest.raises(ConfigurationError, match="scheme"):
        hecf.Coalition(DATA, scheme="rot13")


def test_high_counts_are_clipped_so_that_products_stay_bounded() -> None:
    huge = csr_array(np.array([[1e9, 1.0]]))
    found = summed_gram(huge, "log1p", hecf.recommenders.base.Alone())
    np.testing.assert_allclose(np.diagonal(found), np.log1p([1000, 1]) ** 2)
