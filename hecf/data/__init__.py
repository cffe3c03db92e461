"""Interactions, the member directory that aligns their rows, splits and the demonstration data."""

from __future__ import annotations

from hecf.data.column_names import ColumnNames
from hecf.data.directory import MemberDirectory, PseudonymKey
from hecf.data.interactions import InteractionMatrix, InteractionTable
from hecf.data.readers import interactions_from_frame, read_interactions, stream_interactions
from hecf.data.splits import held_out, leave_last, split_by_party, split_by_time
from hecf.data.user_items import UserItems

__all__ = [
    "ColumnNames",
    "InteractionMatrix",
    "InteractionTable",
    "MemberDirectory",
    "PseudonymKey",
    "UserItems",
    "held_out",
    "interactions_from_frame",
    "leave_last",
    "read_interactions",
    "split_by_party",
    "split_by_time",
    "stream_interactions",
]
