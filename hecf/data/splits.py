"""Splits of interactions: hidden shoppers, by time, the last of each shopper, and by party."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hecf.data.directory import normalised_member_id
from hecf.data.interactions import InteractionTable, encode_ids
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


def split_by_time(table: InteractionTable, start: int) -> tuple[InteractionTable, InteractionTable]:
    """Cut a table at a moment, as a recommender meets the data in real life.

    Parameters
    ----------
    table : InteractionTable
        With timestamps.
    start : int
        First moment of the later part, in the unit of the timestamps.

    Returns
    -------
    earlier, later : InteractionTable

    Raises
    ------
    InvalidInput
        If there are no timestamps, or one part would be empty.
    """
    later = _timestamps(table) >= start
    return _parts(table, later, "earlier or later than the moment of the split")


def leave_last(
    table: InteractionTable, count: int = 1
) -> tuple[InteractionTable, InteractionTable]:
    """Put the last interactions of every shopper aside (leave-one-out with a count of 1).

    Parameters
    ----------
    table : InteractionTable
        With timestamps; of equal ones, the later row counts as the later interaction.
    count : int
        Interactions put aside for each shopper. A shopper who has no more than these keeps them
        all, because without any history nothing can be recommended to her.

    Returns
    -------
    earlier, last : InteractionTable
        Rows in the order of the table.

    Raises
    ------
    InvalidInput
        If there are no timestamps, the count is below 1, or no shopper has more than these.
    """
    if count < 1:
        raise InvalidInput("the number of interactions to leave is too small", got=count)
    stamps = _timestamps(table)
    users, codes = encode_ids(table.user_ids)
    order = np.lexsort((np.arange(len(table)), stamps, codes))
    sizes = np.bincount(codes, minlength=users.size)
    # Rows of a shopper lie together in this order, so her last place is a running total.
    from_last = np.cumsum(sizes)[codes[order]] - 1 - np.arange(len(table))
    last = np.zeros(len(table), dtype=np.bool_)
    last[order] = (from_last < count) & (sizes[codes[order]] > count)
    return _parts(table, last, f"with more than {count} interactions of a shopper")


def split_by_party(
    table: InteractionTable, party_of: Mapping[str, str], by: Literal["user", "item"]
) -> dict[str, InteractionTable]:
    """Give every party its own rows of a pooled table, to try out what a coalition would bring.

    Parameters
    ----------
    table : InteractionTable
    party_of : mapping of str to str
        The party of each item (the same shoppers, different catalogues) or of each user (the same
        catalogue, different shoppers). Rows of ids that are not in it are dropped.
    by : {"user", "item"}

    Returns
    -------
    dict of str to InteractionTable
        By party, sorted by name; a party without rows is left out.

    Raises
    ------
    InvalidInput
        If `by` is neither, or no row belongs to any party.
    """
    columns = {"user": table.user_ids, "item": table.item_ids}
    if by not in columns:
        raise InvalidInput("a split is by user or by item", got=by, expected="user or item")
    distinct, codes = encode_ids(columns[by])
    parties = np.array([party_of.get(entry, "") for entry in distinct.tolist()])[codes]
    names = sorted(set(parties.tolist()) - {""})
    if not names:
        raise InvalidInput("no row belongs to a party", got=f"0 of {len(table)}")
    return {name: table.where(parties == name) for name in names}


def _timestamps(table: InteractionTable) -> NDArray[np.int64]:
    if table.timestamps is None:
        raise InvalidInput(
            "the interactions have no timestamps", expected="a timestamp column to split by"
        )
    return table.timestamps


def _parts(
    table: InteractionTable, chosen: NDArray[np.bool_], which: str
) -> tuple[InteractionTable, InteractionTable]:
    marked = int(np.count_nonzero(chosen))
    if marked in (0, len(table)):
        raise InvalidInput(
            "a part of the split is empty",
            got=f"{marked} of {len(table)} rows put aside",
            expected=f"rows {which}",
        )
    return table.where(~chosen), table.where(chosen)
