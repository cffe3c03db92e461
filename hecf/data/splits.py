"""Which shoppers' history a retailer hides, so that recommendations to them can be judged."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from hecf.data.directory import normalised_member_id
from hecf.errors import InvalidInput


def held_out(
    member_id: str, retailer: str, retailers: Sequence[str], fraction: float, seed: int
) -> bool:
    """Whether a member's history is hidden at a retailer.

    A number u in [0, 1) is drawn from the member id and the seed by SHA-256. Retailer i hides
    the members with ``i * fraction <= u < (i + 1) * fraction``. So every member is hidden at one
    retailer at most, each retailer decides alone and without a roster, and any process at any
    time decides alike.

    Parameters
    ----------
    member_id : str
        The id from which pseudonyms are made; it is normalised in the same way.
    retailer : str
        The retailer that asks.
    retailers : sequence of str
        All retailers in the agreed order.
    fraction : float
        Share of members that each retailer hides, from 0 to ``1 / len(retailers)``.
    seed : int
        Another seed hides other members.

    Raises
    ------
    InvalidInput
        If the retailer is not among the retailers, one is named twice, or the fraction is out of
        range.
    """
    if retailer not in retailers:
        raise InvalidInput("no such retailer", got=retailer, expected=f"one of {list(retailers)}")
    if len(set(retailers)) != len(retailers):
        raise InvalidInput(
            "retailers are named more than once", got=list(retailers), expected="different names"
        )
    if not (math.isfinite(fraction) and fraction >= 0 and len(retailers) * fraction <= 1):
        raise InvalidInput(
            "the held-out fraction is out of range",
            got=fraction,
            expected=f"0 to 1/{len(retailers)}, so that a member is hidden at one retailer at most",
        )
    digest = hashlib.sha256(f"{seed}:{normalised_member_id(member_id)}".encode()).digest()
    # A float64 holds 53 bits; with more, the quotient could round up to 1.
    draw = (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)
    number = list(retailers).index(retailer)
    return number * fraction <= draw < (number + 1) * fraction
