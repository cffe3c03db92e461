from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hecf.errors import InvalidInput
from hecf.models.ranking import top_k


@settings(deadline=None)
@given(
    arrays(
        np.float64,
        array_shapes(min_dims=2, max_dims=2, max_side=8),
        elements=st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, 2.0]),
    ),
    st.data(),
)
def test_order_equals_a_sorted_list_of_pairs(scores, data) -> None:
    k = data.draw(st.integers(1, scores.shape[1]))
    indices, values = top_k(scores, k)
    assert indices.dtype == np.int64
    for row, ranked, best in zip(scores, indices, values, strict=True):
        expected = sorted(range(row.size), key=lambda item: (-row[item], item))[:k]
        assert ranked.tolist() == expected
        assert best.tolist() == [row[item] for item in expected]


@pytest.mark.parametrize("k", [0, -1, 4])
def test_k_out_of_range_is_refused(k) -> None:
    with pytest.raises(InvalidInput, match=f"got {k}, expected 1 to 3"):
        top_k(np.zeros((2, 3)), k)


def test_other_scores_are_refused() -> None:
    with pytest.raises(InvalidInput, match="got 1 of 4"):
        top_k(np.array([[1.0, np.nan], [0.0, 0.0]]), 1)
    with pytest.raises(InvalidInput, match=r"got shape \(3,\)"):
        top_k(np.zeros(3), 1)
