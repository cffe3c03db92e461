"""What retailers bring to a coalition, in whatever form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scipy.sparse import csr_array, csr_matrix

from hecf.data.column_names import ColumnNames
from hecf.data.interactions import InteractionTable
from hecf.data.user_items import UserItems
from hecf.errors import InvalidInput


def loaded(data: Mapping[str, Any], columns: ColumnNames) -> dict[str, UserItems]:
    """Take what each retailer of a coalition brings.

    Raises
    ------
    InvalidInput
        If there are fewer than two retailers, or data cannot be used.
    """
    if len(data) < 2:
        raise InvalidInput("a coalition is too small", got=len(data), expected="2 retailers up")
    return {name: user_items_of(entry, columns) for name, entry in data.items()}


def user_items_of(entry: Any, columns: ColumnNames) -> UserItems:
    """Take whatever form of interactions a caller brings."""
    if isinstance(entry, UserItems):
        return entry
    if isinstance(entry, InteractionTable):
        return UserItems.from_tables([entry])
    if isinstance(entry, csr_array | csr_matrix):
        return UserItems.from_csr(entry)
    return UserItems.from_frame(entry, columns)
