from __future__ import annotations

import numpy as np
import pytest

from hecf.errors import InvalidInput
from hecf.evaluation.agreement import largest_error, top_overlap


def test_overlap_equals_python_sets() -> None:
    generator = np.random.default_rng(0)
    first, second = (np.stack([generator.permutation(30)[:8] for _ in range(50)]) for _ in range(2))
    expected = np.mean([len({*a} & {*b}) / 8 for a, b in zip(first, second, strict=True)])
    assert top_overlap(first, second) == pytest.approx(expected)
    assert 0 < expected < 1
    assert top_overlap(first, first[:, ::-1]) == 1.0
    assert top_overlap(first, first + 30) == 0.0


def test_overlap_never_mixes_shoppers() -> None:
    assert top_overlap(np.array([[0, 1], [2, 3]]), np.array([[2, 3], [0, 1]])) == 0.0


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.array([[0, 1]]), np.array([[0, 1, 2]])),
        (np.array([[0, 1]]), np.array([[0, 0]])),
        (np.array([[0, 1]]), np.array([[0, -2]])),
        (np.array([[0, 1]]), np.array([[0.0, 1.0]])),
        (np.zeros((0, 2), int), np.zeros((0, 2), int)),
    ],
)
def test_overlap_refuses_other_rankings(a, b) -> None:
    with pytest.raises(InvalidInput):
        top_overlap(a, b)


def test_largest_error() -> None:
    assert largest_error([[1.0, 2.0]], [[1.5, -1.0]]) == 3.0
    assert largest_error(np.ones(3), np.ones(3)) == 0.0
    for a, b in (([1.0], [1.0, 1.0]), ([], []), ([np.nan], [1.0]), ([1.0], [np.inf])):
        with pytest.raises(InvalidInput):
            largest_error(a, b)
