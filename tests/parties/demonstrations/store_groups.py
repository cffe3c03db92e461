"""Three small groups of stores in place of those of the Complete Journey data."""

from __future__ import annotations

from retail_logs import FRANCHISES

import hecf
from hecf.data.complete_journey_stores import CompleteJourneyFranchise
from hecf.data.interactions import InteractionTable
from hecf.data.readers import interactions_from_frame


def small_groups() -> dict[str, CompleteJourneyFranchise]:
    """Groups that later buy other items than before."""
    items = hecf.Coalition(FRANCHISES, scheme="clear").item_ids
    groups = {}
    for name, frame in FRANCHISES.items():
        table = interactions_from_frame(frame)
        later = InteractionTable(table.user_ids, table.item_ids[::-1].copy(), table.counts)
        names = {item: item for item in items}
        groups[name] = CompleteJourneyFranchise(name, table, later.aggregated(), items, names)
    return groups
