from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from hecf.errors import InvalidInput
from hecf.models.popularity import MostPopular


def test_scores_are_buyers_not_purchases() -> None:
    dense = np.random.default_rng(0).poisson(0.7, size=(50, 12)).astype(float)
    dense[:, 11] = 0
    scores = MostPopular.fit(csr_array(dense)).scores
    expected = [sum(1 for row in dense if row[item] > 0) for item in range(12)]
    assert scores.tolist() == expected
    assert scores.tolist() != dense.sum(axis=0).tolist()


def test_bad_input_is_refused() -> None:
    with pytest.raises(InvalidInput, match="got 1 values"):
        MostPopular.fit(csr_array(np.array([[-1.0, 2.0]])))
    with pytest.raises(InvalidInput, match="got shape"):
        MostPopular(np.zeros((2, 2)))
