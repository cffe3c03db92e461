"""Recommenders in the shape of implicit: fit, recommend, similar_items, save and load."""

from __future__ import annotations

from hecf.recommenders.als import AlternatingLeastSquares
from hecf.recommenders.base import Recommender, Summation
from hecf.recommenders.cross_retailer import CrossRetailer
from hecf.recommenders.factors import FactorRecommender
from hecf.recommenders.items import EASE, ItemKNN, MostPopular
from hecf.recommenders.loading import load_recommender
from hecf.recommenders.pure_svd import PureSVD

__all__ = [
    "EASE",
    "AlternatingLeastSquares",
    "CrossRetailer",
    "FactorRecommender",
    "ItemKNN",
    "MostPopular",
    "PureSVD",
    "Recommender",
    "Summation",
    "load_recommender",
]
