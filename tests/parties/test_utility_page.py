"""The page of utility against privacy is well formed, named and complete."""

from __future__ import annotations

from typing import Any

from report_page import Page, faults

from parties.report.utility import render_utility


def results() -> dict[str, Any]:
    def coalition(name: str, shoppers: int, recalls: list[float]) -> dict[str, Any]:
        curve = [
            {"epsilon": epsilon, "recall": recall}
            for epsilon, recall in zip((0.5, 2.0, 8.0), recalls, strict=True)
        ]
        return {
            "name": name,
            "shoppers": shoppers,
            "popularity": 0.4,
            "without_privacy": 0.5,
            "curve": curve,
        }

    return {
        "k": 20,
        "delta": 1e-7,
        "clip": 1.5,
        "factors": 16,
        "repetitions": 5,
        "covered": "the release of the Gram blocks, for fixed local embeddings",
        "coalitions": [
            coalition("Complete <Journey>", 2467, [0.391, 0.425, 0.475]),
            coalition("synthetic", 1_000_000, [0.498, 0.499, 0.503]),
        ],
    }


def test_the_page_is_sound_and_says_every_figure() -> None:
    text = render_utility(results())
    assert faults(text) == []
    page = Page(text).text
    for figure in ("0.391", "0.425", "0.475", "0.498", "0.499", "0.503", "0.400", "0.500"):
        assert figure in page
    assert "for fixed local embeddings" in page
    assert "2,467 shoppers" in page
    assert "&lt;Journey&gt;" in text


def test_points_lie_where_the_values_are() -> None:
    text = render_utility(results())
    # Half of the gain of 0.1 would be 110 pixels up of 220; 0.425 keeps a quarter of it.
    assert 'cx="50.00%" cy="165.0"' in text
    # Below the most popular items and above no privacy the axis ends.
    assert 'cx="0.00%" cy="220.0"' in text
    assert 'cx="100.00%" cy="0.0"' in text
    assert text.count("<circle") == 2 * 3 + 2
