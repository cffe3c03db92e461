"""The Complete Journey data, cut by store into three franchise groups with the same catalogue.

A household that shops at stores of two groups is a different shopper at each: the groups have no
common loyalty number, and an encrypted sum of their statistics needs none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecf.data import _journey
from hecf.data.complete_journey import RETAILERS
from hecf.data.interactions import InteractionTable
from hecf.errors import InvalidInput

FRANCHISES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"metro": (0, 1, 2, 3, 4, 5, 6), "county": (7, 8), "village": (9,)}
)
"""Last digits of the store numbers of each group: a large one, a middling one and a small one."""
MINIMUM_BUYERS = 60


@dataclass(frozen=True, eq=False)
class CompleteJourneyFranchise:
    """What one of the three franchise groups knows.

    Parameters
    ----------
    name : str
        One of :data:`FRANCHISES`.
    training : InteractionTable
        Weeks 1 to 39: one row for each household and product, its count the number of transaction
        lines.
    later : InteractionTable
        The same for weeks 40 to 53.
    item_ids : tuple of str
        The catalogue that all groups share, sorted as text.
    item_names : mapping of str to str
        Readable name of every item.
    """

    name: str
    training: InteractionTable
    later: InteractionTable
    item_ids: tuple[str, ...]
    item_names: Mapping[str, str]


def load_franchises(
    minimum_buyers: int = MINIMUM_BUYERS,
) -> dict[str, CompleteJourneyFranchise]:
    """Load all three groups.

    Parameters
    ----------
    minimum_buyers : int
        Households that must have bought a product in weeks 1 to 39, at any of the groups.

    Returns
    -------
    dict of str to CompleteJourneyFranchise
        The catalogue has the products of the departments of the four retailers of
        :mod:`hecf.data.complete_journey` that enough households bought.

    Raises
    ------
    ConfigurationError
        If the data package or pyarrow is not installed.
    """
    departments = tuple(name for group in RETAILERS.values() for name in group)
    products = _journey.products(departments)
    columns = ("household_id", "store_id", "product_id", "week")
    lines = _journey.transactions(products["product_id"], columns)
    place = np.searchsorted(products["product_id"], lines["product_id"])
    in_training = lines["week"] <= _journey.TRAINING_WEEKS
    kept = _journey.popular(
        lines["household_id"], place, in_training, products["product_id"].size, minimum_buyers
    )
    ids = products["product_id"].astype(str).astype(object)
    sold = np.unique(place[kept])
    names = {ids[row]: _journey.label(products, row) for row in sold}
    catalogue = tuple(sorted(names))

    def part(chosen: NDArray[Any]) -> InteractionTable:
        return _journey.counted(lines["household_id"][chosen], place[chosen], ids)

    return {
        name: CompleteJourneyFranchise(
            name,
            part(here & in_training),
            part(here & ~in_training),
            catalogue,
            MappingProxyType(names),
        )
        for name, digits in FRANCHISES.items()
        for here in [kept & np.isin(lines["store_id"] % 10, digits)]
    }


def load_franchise(name: str) -> CompleteJourneyFranchise:
    """Load one group's own transactions, as :func:`load_franchises`.

    Raises
    ------
    InvalidInput
        If there is no such group.
    """
    if name not in FRANCHISES:
        raise InvalidInput(
            "the Complete Journey data has no such franchise group",
            got=name,
            expected=f"one of {', '.join(FRANCHISES)}",
        )
    return load_franchises()[name]
