"""Metrics of recommendations, and the agreement of clear with encrypted results."""

from __future__ import annotations

from hecf.evaluation.agreement import largest_error, top_overlap
from hecf.evaluation.metrics import calibrated_recall, ndcg

__all__ = ["calibrated_recall", "largest_error", "ndcg", "top_overlap"]
