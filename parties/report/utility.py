"""A page about what differential privacy costs in quality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parties.report import figures
from parties.report.curves import curves
from parties.report.markup import Column, Markup, paragraph, table, tag
from parties.report.page import page, rendered

_LEVELS = ((0.0, "0: most popular items"), (0.5, "half"), (1.0, "1: no privacy"))


def render_utility(results: Mapping[str, Any]) -> str:
    """Write the page of what ``hecf privacy-utility --json`` writes; a whole HTML document.

    Raises
    ------
    InvalidInput
        If a field is missing or has another form, or a figure is not finite.
    """
    return rendered(_document, results, "hecf privacy-utility")


def _document(results: Mapping[str, Any]) -> str:
    coalitions = results["coalitions"]
    title = "Utility against privacy"
    lines = {
        _name(each): [(point["epsilon"], _kept(each, point["recall"])) for point in each["curve"]]
        for each in coalitions
    }
    main = tag(
        "main",
        tag(
            "header",
            tag("h1", title),
            paragraph(
                f"How much of the gain in recall@{results['k']} from working together remains when "
                "the Gram blocks are released with differential privacy at the level of a shopper.",
                class_="result",
            ),
            paragraph(
                tag("strong", "What epsilon covers: "),
                f"{results['covered']}. SECURITY.md says what it does not.",
                class_="warning",
            ),
        ),
        tag(
            "section",
            tag("h2", "Share of the gain that is kept"),
            curves(
                "Share of the gain over the most popular items that is kept under privacy",
                lines,
                horizontal=f"epsilon at delta {results['delta']:g}",
                vertical="share of the gain that is kept",
                marks=_LEVELS,
            ),
            _table(results),
            paragraph(
                f"Means of {results['repetitions']} draws of the noise and of all retailers as "
                f"targets; {results['factors']} factors, rows clipped to {results['clip']:g} times "
                "their root mean square norm. More shoppers make the same epsilon cheaper, as the "
                "noise that hides one of n shoppers shrinks like 1 / n.",
                class_="note",
            ),
        ),
    )
    return page(title, main)


def _table(results: Mapping[str, Any]) -> Markup:
    epsilons = [point["epsilon"] for point in results["coalitions"][0]["curve"]]
    columns = [
        Column("coalition"),
        Column("most popular", numeric=True),
        *(Column(f"ε = {epsilon:g}", numeric=True) for epsilon in epsilons),
        Column("no privacy", numeric=True),
    ]
    rows = [
        [
            _name(each),
            figures.quality(each["popularity"]),
            *(figures.quality(point["recall"]) for point in each["curve"]),
            figures.quality(each["without_privacy"]),
        ]
        for each in results["coalitions"]
    ]
    return table(f"Mean recall@{results['k']}", columns, rows)


def _name(coalition: Mapping[str, Any]) -> str:
    return f"{coalition['name']}, {figures.count(coalition['shoppers'])} shoppers"


def _kept(coalition: Mapping[str, Any], recall: float) -> float:
    gain = coalition["without_privacy"] - coalition["popularity"]
    return float((recall - coalition["popularity"]) / gain) if gain > 0 else 0.0
