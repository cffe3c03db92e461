"""Loading of a saved recommender whose kind the file says."""

from __future__ import annotations

import os

from hecf.errors import InvalidInput
from hecf.recommenders.als import AlternatingLeastSquares
from hecf.recommenders.base import Recommender
from hecf.recommenders.cross_retailer import CrossRetailer
from hecf.recommenders.items import EASE, ItemKNN, MostPopular
from hecf.recommenders.pure_svd import PureSVD
from hecf.recommenders.storage import read_model_name

_KINDS: dict[str, type[Recommender]] = {
    kind.__name__: kind
    for kind in (AlternatingLeastSquares, CrossRetailer, EASE, ItemKNN, MostPopular, PureSVD)
}


def load_recommender(path: str | os.PathLike[str]) -> Recommender:
    """Read what the `save` of any recommender wrote.

    Raises
    ------
    InvalidInput
        If the file is missing, broken, of another version or of an unknown model.
    """
    name = read_model_name(path)
    if name not in _KINDS:
        raise InvalidInput("a saved recommender is of an unknown kind", expected=", ".join(_KINDS))
    return _KINDS[name].load(path)
