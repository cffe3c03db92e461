"""Recommenders in clear NumPy and SciPy; they know nothing of parties or encryption."""

from __future__ import annotations

from hecf.models.cross_ridge import CrossRetailerRidge, joint_prior
from hecf.models.embedding import LocalEmbedding
from hecf.models.popularity import MostPopular
from hecf.models.ranking import top_k
from hecf.models.weights import Weighting, interaction_weights

__all__ = [
    "CrossRetailerRidge",
    "LocalEmbedding",
    "MostPopular",
    "Weighting",
    "interaction_weights",
    "joint_prior",
    "top_k",
]
