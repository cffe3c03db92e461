"""Seeded synthetic coalitions of any size: the same shoppers at several retailers.

Every shopper has a few tastes, which follow her to all retailers, so that what one retailer knows
says something about another. Items are bought by a Zipf law, and not every shopper comes in
everywhere. Rows are generated in blocks, so that 10^6 shoppers need the memory of one block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from hecf.data.interactions import InteractionTable
from hecf.errors import InvalidInput

BLOCK_ROWS = 8192
_REPEAT = 0.4


@dataclass(frozen=True)
class SyntheticCoalition:
    """A made-up loyalty programme, the same for the same fields on every machine.

    A shopper who comes in buys item j at least once with probability ``1 - exp(-r_j)``, where
    ``r_j`` is proportional to ``activity * (j + 1) ** -skew * exp(strength * taste . v_j)`` and
    adds up to about `basket`; how often she buys it is geometric.

    Parameters
    ----------
    shoppers : int
        Rows, the same at every retailer.
    retailers : tuple of str
        Different names.
    items : int
        Catalogue of each retailer.
    basket : float
        About how many purchases a shopper of median activity makes at one retailer.
    tastes : int
        Rank of what shoppers have in common.
    strength : float
        How much tastes matter; 0 leaves popularity alone.
    skew : float
        Exponent of the popularity of items; 0 makes all alike.
    presence : float
        Share of the shoppers who come in at a retailer, drawn for each retailer independently.
    seed : int

    Raises
    ------
    InvalidInput
        If a field is out of its range.
    """

    shoppers: int
    retailers: tuple[str, ...] = ("grocer", "drugstore", "butcher", "produce")
    items: int = 200
    basket: float = 15.0
    tastes: int = 8
    strength: float = 1.0
    skew: float = 0.8
    presence: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in (("shoppers", 1), ("items", 2), ("tastes", 1), ("seed", 0)):
            if getattr(self, name) < low:
                raise InvalidInput(
                    f"{name} of a synthetic coalition is out of range",
                    got=getattr(self, name),
                    expected=f"{low} up",
                )
        if not self.retailers or len(set(self.retailers)) != len(self.retailers):
            raise InvalidInput(
                "the retailers of a synthetic coalition cannot be used",
                got=list(self.retailers),
                expected="different names",
            )
        ranges = {"basket": 1e6, "strength": 10.0, "skew": 10.0, "presence": 1.0}
        for name, highest in ranges.items():
            if not 0 <= getattr(self, name) <= highest:
                raise InvalidInput(
                    f"{name} of a synthetic coalition is out of range",
                    got=getattr(self, name),
                    expected=f"0 to {highest:g}",
                )

    def blocks(self, retailer: str) -> Iterator[csr_array]:
        """Yield the purchases at a retailer, a block of shoppers at a time.

        Yields
        ------
        csr array of float64, shape (up to BLOCK_ROWS, items)
            Counts; a shopper who never came in is a row without entries.

        Raises
        ------
        InvalidInput
            If there is no such retailer.
        """
        if retailer not in self.retailers:
            raise InvalidInput(
                "no such retailer", got=retailer, expected=" or ".join(self.retailers)
            )
        number = self.retailers.index(retailer)
        directions, popularity = self._items(number)
        for block, start in enumerate(range(0, self.shoppers, BLOCK_ROWS)):
            rows = min(BLOCK_ROWS, self.shoppers - start)
            # Tastes and activity belong to the shopper, so every retailer draws the same ones.
            shopper = np.random.default_rng((self.seed, 1, block))
            tastes = shopper.standard_normal((rows, self.tastes), dtype=np.float32)
            activity = np.exp(0.5 * shopper.standard_normal(rows, dtype=np.float32))
            visit = np.random.default_rng((self.seed, 2, number, block))
            activity *= visit.random(rows) < self.presence
            rates = np.exp(tastes @ directions)
            rates *= popularity * activity[:, None]
            bought = visit.random(rates.shape, dtype=np.float32) < -np.expm1(-rates)
            counts = csr_array(bought, dtype=np.float64)
            counts.data = visit.geometric(1 - _REPEAT, counts.nnz).astype(np.float64)
            yield counts

    def counts(self, retailer: str) -> csr_array:
        """Return all purchases at a retailer, shape (shoppers, items)."""
        return csr_array(vstack(list(self.blocks(retailer)), format="csr"))

    def table(self, retailer: str) -> InteractionTable:
        """Return the purchases at a retailer as a table with ids such as a retailer would bring."""
        counts = self.counts(retailer)
        members = np.array(self.members, dtype=object)
        items = np.array([f"{retailer}-{item:05d}" for item in range(self.items)], dtype=object)
        rows = np.repeat(np.arange(self.shoppers), np.diff(counts.indptr))
        return InteractionTable(members[rows], items[counts.indices], counts.data)

    @property
    def members(self) -> tuple[str, ...]:
        """Ids of all shoppers in the order of the rows."""
        return tuple(f"member-{number:08d}" for number in range(self.shoppers))

    def _items(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Taste directions (tastes, items) and mean rates (items,) of a retailer."""
        random = np.random.default_rng((self.seed, 0, number))
        directions = random.standard_normal((self.tastes, self.items))
        directions *= self.strength / math.sqrt(self.tastes)
        popularity = np.arange(1, self.items + 1) ** -self.skew
        # The mean of exp(taste . v) is exp(|v|^2 / 2), which must not change how much is bought.
        popularity *= self.basket / popularity.sum()
        rates = random.permutation(popularity) * np.exp(-0.5 * (directions**2).sum(axis=0))
        return directions.astype(np.float32), rates.astype(np.float32)
