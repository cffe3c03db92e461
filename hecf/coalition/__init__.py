"""Coalitions from Python: in one process, from data frames to recommenders."""

from __future__ import annotations

from hecf.coalition.coalition import Coalition
from hecf.coalition.loyalty import LoyaltyCoalition

__all__ = ["Coalition", "LoyaltyCoalition"]
