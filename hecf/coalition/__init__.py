"""Coalitions from Python: in one process, from data frames to recommenders."""

from __future__ import annotations

from hecf.coalition.coalition import Coalition

__all__ = ["Coalition"]
