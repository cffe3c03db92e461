"""The page: what stands in which order, and the sentences at its top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parties.report import figures, findings, sections
from parties.report.markup import Markup, join, paragraph, tag
from parties.report.page import page, rendered
from parties.report.summary import Summary


def render(results: Mapping[str, Any]) -> str:
    """Write the report of a demonstration run.

    Parameters
    ----------
    results : mapping of str to object
        What ``hecf demo --json`` writes. Seconds are wall-clock seconds, bytes are bytes.

    Returns
    -------
    str
        A complete HTML document without script that refers to nothing outside itself. Numbers
        are written as :mod:`parties.report.figures` says.

    Raises
    ------
    InvalidInput
        If a field is missing or has another form, a figure is not finite, or the scheme,
        topology or a role is unknown.

    Security
    --------
    All text from `results` is escaped. The page shows recommendations of one shopper, so it
    belongs to whoever may see that shopper.
    """
    return rendered(_document, results, "hecf demo")


def _document(results: Mapping[str, Any]) -> str:
    summary = Summary.of(results)
    title = (
        "Recommendations across retailers, computed on encrypted data"
        if summary.encrypted
        else "Recommendations across retailers, not encrypted, for comparison"
    )
    main = tag(
        "main",
        _header(title, results, summary),
        sections.holdings(results, summary),
        findings.quality(results, summary),
        findings.example(results, summary),
        sections.times(results, summary),
        sections.traffic(results, summary),
        findings.agreement(results, summary),
        sections.encryption(results, summary),
        sections.sights(results, summary),
    )
    return page(title, main)


def _header(title: str, results: Mapping[str, Any], summary: Summary) -> Markup:
    data = results["data"]
    origin = (
        f"Demonstration on the data set {data['source']}: {figures.count(data['shoppers'])} "
        f"shoppers, {len(data['retailers'])} retailers"
    )
    parts = [
        paragraph(origin, class_="eyebrow"),
        tag("h1", title),
        paragraph(*_sentence(results, summary), class_="result"),
    ]
    if not summary.encrypted:
        parts.append(
            paragraph(
                tag("strong", "Not encrypted, for comparison."),
                " This run goes through the same protocol with plain numbers. It shows what the "
                "protocol costs without encryption, and protects nothing.",
                class_="warning",
            )
        )
    return tag("header", *parts, _tiles(results, summary))


def _sentence(results: Mapping[str, Any], summary: Summary) -> list[Markup | str]:
    """Say in one sentence how much is gained and how little encryption changes."""
    means = f"{figures.quality(summary.coalition)} instead of {figures.quality(summary.popularity)}"
    opening = f"For shoppers new to a retailer, what {len(results['targets'])} retailers know "
    if summary.coalition == summary.popularity:
        compared: list[Markup | str] = ["together finds as much of what they buy there as"]
    elif summary.popularity > 0:
        word = "more" if summary.coalition > summary.popularity else "less"
        by = figures.relative(summary.coalition, summary.popularity)
        compared = [
            "together finds ",
            tag("strong", f"{by} {word}"),
            " of what they buy there than",
        ]
    else:
        compared = ["together finds ", tag("strong", "more"), " of what they buy there than"]
    close = "encryption" if summary.encrypted else "the protocol, here without encryption,"
    if summary.largest_change == 0:
        equal: list[Markup | str] = [f"{close} changes ", tag("strong", "no figure"), " of quality"]
    else:
        bound = figures.at_most(summary.largest_change)
        equal = [
            f"{close} moves no figure of quality by more than ",
            tag("strong", bound),
            " from the same computation in clear",
        ]
    return [
        opening,
        *compared,
        f" recommending the most popular items (mean {summary.metric} {means}), and ",
        *equal,
        ".",
    ]


def _tiles(results: Mapping[str, Any], summary: Summary) -> Markup:
    seconds = results["seconds"]
    overlap = figures.share(results["agreement"]["top20_overlap"])
    gained = figures.gain(summary.coalition - summary.popularity)
    entries = [
        (gained, f"mean {summary.metric} over recommending the most popular items"),
        (overlap, "of the best items are those of the clear computation"),
        (
            figures.seconds(seconds["total"]),
            f"for the whole run; {figures.seconds(seconds['clear'])} to compute it in clear",
        ),
        (figures.size(summary.sent), f"sent by all {len(results['processes'])} parties together"),
    ]
    return tag(
        "dl",
        *(tag("div", join(tag("dt", text), tag("dd", value))) for value, text in entries),
        class_="tiles",
    )
