"""Interactions, the member directory that aligns their rows, splits and the demonstration data."""

from __future__ import annotations

from hecf.data.directory import MemberDirectory, PseudonymKey
from hecf.data.interactions import InteractionMatrix, InteractionTable
from hecf.data.readers import ColumnNames, interactions_from_frame, read_interactions
from hecf.data.splits import held_out

__all__ = [
    "ColumnNames",
    "InteractionMatrix",
    "InteractionTable",
    "MemberDirectory",
    "PseudonymKey",
    "held_out",
    "interactions_from_frame",
    "read_interactions",
]
