"""hecf: homomorphic encryption for collaborative filtering between companies."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hecf.coalition import Coalition, LoyaltyCoalition
    from hecf.data import ColumnNames, UserItems
    from hecf.evaluation import compare, evaluate
    from hecf.privacy.budget import Privacy
    from hecf.recommenders import (
        EASE,
        AlternatingLeastSquares,
        CrossRetailer,
        ItemKNN,
        MostPopular,
        PureSVD,
    )

__version__ = "0.1.0"

__all__ = [
    "EASE",
    "AlternatingLeastSquares",
    "Coalition",
    "ColumnNames",
    "CrossRetailer",
    "ItemKNN",
    "LoyaltyCoalition",
    "MostPopular",
    "Privacy",
    "PureSVD",
    "UserItems",
    "compare",
    "evaluate",
]

_HOMES = {
    "AlternatingLeastSquares": "hecf.recommenders",
    "Coalition": "hecf.coalition",
    "ColumnNames": "hecf.data",
    "CrossRetailer": "hecf.recommenders",
    "EASE": "hecf.recommenders",
    "ItemKNN": "hecf.recommenders",
    "LoyaltyCoalition": "hecf.coalition",
    "MostPopular": "hecf.recommenders",
    "Privacy": "hecf.privacy.budget",
    "PureSVD": "hecf.recommenders",
    "UserItems": "hecf.data",
    "compare": "hecf.evaluation",
    "evaluate": "hecf.evaluation",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: a compute node must not load what it needs."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
