"""Metrics of recommendations, and the agreement of clear with encrypted results."""

from __future__ import annotations

from hecf.evaluation.agreement import largest_error, top_overlap
from hecf.evaluation.metrics import (
    average_precision,
    calibrated_recall,
    coverage,
    hit_rate,
    ndcg,
    precision,
    recall,
)
from hecf.evaluation.quality import Comparison, Quality, compare, evaluate

__all__ = [
    "Comparison",
    "Quality",
    "average_precision",
    "calibrated_recall",
    "compare",
    "coverage",
    "evaluate",
    "hit_rate",
    "largest_error",
    "ndcg",
    "precision",
    "recall",
    "top_overlap",
]
