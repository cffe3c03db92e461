"""Latency of running services, by what was asked and how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parties.report import charts, figures
from parties.report.markup import Column, Content, Markup, paragraph, table, tag

_SHARES = ("p50", "p95", "p99")
_STYLES = ("stage-2", "stage-3", "stage-5")

Entries = Sequence[Mapping[str, Any]]


def latencies(found: Entries) -> list[Markup]:
    """Show percentiles of every combination that was measured."""
    if not found:
        return []
    operations: dict[str, list[Mapping[str, Any]]] = {}
    for each in found:
        operations.setdefault(str(each["operation"]), []).append(each)
    return [
        tag(
            "section",
            tag("h2", "Latency of running services"),
            paragraph(
                "Requests fall due by the clock, whether or not earlier ones are answered, so that "
                "queueing shows: latency counts from when a request was due. Where fewer are "
                "answered in a second than fall due, the services cannot keep up. A warm key was "
                "drawn before it was needed. Training rounds follow one another."
            ),
            *(part for name, entries in operations.items() for part in _operation(name, entries)),
        )
    ]


def _operation(operation: str, entries: Entries) -> list[Markup]:
    """Show one operation; what is the same in all its entries stands in the heading."""
    sizes = [_sizes(each) for each in entries]
    shared = [text for text in sizes[0].values() if all(text in each.values() for each in sizes)]
    rows: list[list[Content]] = []
    drawn, written = {}, {}
    for each, own in zip(entries, sizes, strict=True):
        name = ", ".join(text for text in own.values() if text not in shared) or operation
        rates = [
            figures.ratio(each[field]) if field in each else "–"
            for field in ("rate", "answered_a_second")
        ]
        spent = each.get("latency_seconds")
        shown = ["–"] * len(_SHARES)
        if spent is not None:
            drawn[name] = [float(spent[share]) for share in _SHARES]
            shown = [figures.duration(value) for value in drawn[name]]
            written[name] = f"p95 {shown[1]}"
        counts = [figures.count(each[field]) for field in ("requests", "failed")]
        rows.append([name, *rates, *shown, *counts])
    title = ": ".join([operation.capitalize(), ", ".join(shared)]) if shared else operation
    columns = ("Due a second", "Answered", *_SHARES, "Requests", "Failed")
    series = [charts.Series(share, style) for share, style in zip(_SHARES, _STYLES, strict=True)]
    label = f"Latency at p50, p95 and p99. {title}"
    return [
        tag("h3", title),
        *([charts.bars(label, drawn, series, written)] if drawn else []),
        table(
            "Latency by request, figures of the chart",
            [Column("Request"), *(Column(name, numeric=True) for name in columns)],
            rows,
        ),
    ]


def _sizes(entry: Mapping[str, Any]) -> dict[str, str]:
    """Words for everything that a combination was chosen by."""
    words = {
        size: f"{figures.count(entry[size])} {size if entry[size] != 1 else size[:-1]}"
        for size in ("items", "factors", "shoppers", "retailers", "clients")
        if size in entry
    }
    if "rate" in entry:
        words["rate"] = f"{figures.mark(entry['rate'])} due a second"
    if "keys" in entry:
        words["keys"] = f"{entry['keys']} keys"
    return words
