"""The curve of utility against privacy: its ends and its noise."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import privacy_utility


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    patch = pytest.MonkeyPatch()
    patch.setattr(privacy_utility, "EPSILONS", (0.01, 8.0, 1000.0))
    patch.setattr(privacy_utility, "REPETITIONS", 2)
    result = privacy_utility.measure(lambda step: None, quick=True)
    patch.undo()
    return result


def test_the_ends_are_the_most_popular_items_and_no_privacy(found: dict[str, Any]) -> None:
    (coalition,) = found["coalitions"]
    much, some, little = (point["recall"] for point in coalition["curve"])
    gain = coalition["without_privacy"] - coalition["popularity"]
    assert gain > 0.02
    # Blocks that are all noise become zero; what is left is each item's mean, not its buyers.
    assert abs(much - coalition["popularity"]) < 0.15 * gain
    assert little > coalition["popularity"] + 0.85 * gain
    assert much - 0.15 * gain < some < little + 0.15 * gain


def test_the_deviation_is_the_promised_multiple_of_the_sensitivity(found: dict[str, Any]) -> None:
    (coalition,) = found["coalitions"]
    for point in coalition["curve"]:
        sensitivity = found["clip"] ** 2 * found["factors"] / coalition["shoppers"] * 6**0.5
        assert 1 < point["deviation"] / (point["noise_multiplier"] * sensitivity) < 1.05
