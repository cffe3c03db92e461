"""What the columns of interactions are called."""

from __future__ import annotations

from dataclasses import dataclass, fields

from hecf.errors import InvalidInput


@dataclass(frozen=True)
class ColumnNames:
    """What the columns of the user's data are called.

    Parameters
    ----------
    user, item : str
        Columns that must be there.
    rating, timestamp : str or None
        Columns that may be missing under their default names. Under another name they must be
        there, because leaving out a column that somebody named would hide a typing error. None
        leaves the column unread.

    Raises
    ------
    InvalidInput
        If a name is empty or used twice.
    """

    user: str = "user_id"
    item: str = "item_id"
    rating: str | None = "rating"
    timestamp: str | None = "timestamp"

    def __post_init__(self) -> None:
        names = [self.user, self.item]
        names += [name for name in (self.rating, self.timestamp) if name is not None]
        if not all(isinstance(name, str) and name for name in names):
            raise InvalidInput("a column name is empty or not text", got=names, expected="texts")
        if len(set(names)) != len(names):
            raise InvalidInput(
                "one column is named for two purposes", got=names, expected="different names"
            )

    def present_in(self, available: list[str]) -> dict[str, str]:
        """Names of the columns to read, by purpose.

        Raises
        ------
        InvalidInput
            If a required column is missing or a column to be read occurs twice.
        """
        chosen: dict[str, str] = {}
        for field in fields(self):
            name = getattr(self, field.name)
            if name is None:
                continue
            if available.count(name) > 1:
                raise InvalidInput(
                    f"the column {name!r} occurs more than once",
                    got=_listed(available),
                    expected="different columns",
                )
            required = field.name in ("user", "item") or name != field.default
            if name in available:
                chosen[field.name] = name
            elif required:
                raise InvalidInput(
                    f"there is no {field.name} column {name!r}",
                    got=f"columns {_listed(available)}",
                    expected=f"{name!r} among them",
                )
        return chosen


DEFAULT_COLUMNS = ColumnNames()
"""``user_id,item_id[,rating][,timestamp]``."""


def _listed(names: list[str], most: int = 20) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
