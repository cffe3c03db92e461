"""The report's sections on what was found: quality, one shopper, agreement with clear results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parties.report import charts, figures
from parties.report.markup import Column, Content, Markup, join, name, paragraph, table, tag
from parties.report.summary import Summary

_MODELS = ("popularity", "clear", "encrypted")


def quality(results: Mapping[str, Any], summary: Summary) -> Markup:
    """Compare most popular, clear and encrypted recommendations at every target."""
    data = results["data"]
    first = next(iter(results["targets"].values()))
    parts = [
        paragraph(
            f"At each retailer about {figures.count(data['held_out'])} of "
            f"{figures.count(data['shoppers'])} shoppers were treated as new: what they bought "
            "there was hidden, and they were recommended items from what they bought elsewhere. "
            "The measures compare that with what they really bought there: recall is the "
            "share of it that is among the items recommended, or of as much as fits among them; "
            "NDCG also rewards putting it first. Both run from 0 to 1."
        )
    ]
    for metric in first:
        parts.append(_measure(metric, results, summary))
    return _section("How good the recommendations are", *parts)


def _measure(metric: str, results: Mapping[str, Any], summary: Summary) -> Markup:
    title = _title(metric)
    values = {target: metrics[metric] for target, metrics in results["targets"].items()}
    rows: list[list[Content]] = []
    for target, models in values.items():
        rows.append(
            [
                name(target),
                *(figures.quality(models[model]) for model in _MODELS),
                figures.gain(models["encrypted"] - models["popularity"]),
                figures.change(models["encrypted"] - models["clear"]),
            ]
        )
    columns = [
        Column("Target"),
        Column("Most popular", numeric=True),
        Column("Clear", numeric=True),
        Column(summary.model.capitalize(), numeric=True),
        Column("Gain over most popular", numeric=True),
        Column("Change from clear", numeric=True),
    ]
    drawn = [
        charts.QualityRow(target, *(models[model] for model in _MODELS))
        for target, models in values.items()
    ]
    return join(
        tag("h3", title),
        charts.quality(title, drawn, summary.model),
        table(f"{title}, figures of the chart", columns, rows),
    )


def example(results: Mapping[str, Any], summary: Summary) -> Markup:
    """Show one shopper's best items by both computations, side by side."""
    shown = results["example"]
    pairs = list(zip(shown["encrypted"], shown["clear"], strict=True))
    same = sum(left["item"] == right["item"] for left, right in pairs)
    bought = sum(left["bought"] is True for left, _ in pairs)
    rows: list[list[Content]] = [
        [str(rank), _entry(left), _entry(right)] for rank, (left, right) in enumerate(pairs, 1)
    ]
    columns = [
        Column("Rank"),
        Column(f"{summary.model.capitalize()} result"),
        Column("Clear result"),
    ]
    return _section(
        "One shopper's recommendations",
        paragraph(
            f"The best items for shopper {shown['shopper']} at the retailer ",
            name(shown["target"]),
            ", who was new there. Each item stands with its score. "
            f"{same} of {len(pairs)} places hold the same item in both columns; {bought} of the "
            f"{len(pairs)} items in the {summary.model} column were really bought there.",
        ),
        table(f"Best items for shopper {shown['shopper']}", columns, rows),
    )


def _entry(entry: Mapping[str, Any]) -> Markup:
    mark = tag("span", "✓ bought", class_="bought") if entry["bought"] is True else "not bought"
    detail = tag("span", figures.score(entry["score"]), " · ", mark, class_="small")
    return join(name(entry["name"]), detail)


def agreement(results: Mapping[str, Any], summary: Summary) -> Markup:
    """Say how far encrypted and clear results differ."""
    found = results["agreement"]
    rows: list[list[Content]] = [
        [
            "Largest error of a score",
            figures.scientific(found["max_abs_score_error"]),
            "Over all scores that were released, in the units of the scores.",
        ],
        [
            "Best items in common",
            figures.share(found["top20_overlap"]),
            "Share of each new shopper's recommended items that the clear computation "
            "recommends too, mean over shoppers and retailers.",
        ],
        [
            "Largest change of a quality figure",
            f"at most {figures.at_most(summary.largest_change)}",
            "Over all measures and targets above.",
        ],
    ]
    best = results["example"]["clear"][:1]
    if best:
        rows.insert(
            1,
            [
                "For comparison, one score",
                figures.score(best[0]["score"]),
                "The best item of the shopper above, computed in clear.",
            ],
        )
    columns = [Column("Measure"), Column("Value", numeric=True), Column("What it says")]
    cause = (
        "Encryption rounds numbers, and the key holder adds noise on purpose before anything is "
        "released. This is what remains of both in the results."
        if summary.encrypted
        else "Without encryption only the protocol's rounding remains."
    )
    title = f"How {summary.model} and clear results differ"
    return _section(
        title, paragraph(cause), table("Agreement with clear", columns, rows, stacked=True)
    )


def _title(metric: str) -> str:
    """Write a measure's name as its field does."""
    kind, at, k = metric.partition("@")
    return {"recall": "Recall", "ndcg": "NDCG"}.get(kind, kind) + at + k


def _section(title: str, *parts: Content) -> Markup:
    return tag("section", tag("h2", title), *parts)
