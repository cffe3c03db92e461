"""Latency of running services, by what was asked and how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parties.report import charts, figures
from parties.report.markup import Column, Content, Markup, paragraph, table, tag

_SIZES = ("items", "factors", "shoppers", "retailers", "clients")
_SHARES = ("p50", "p95", "p99")
_STYLES = ("stage-2", "stage-3", "stage-5")


def latencies(found: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Show percentiles of every combination that was measured."""
    if not found:
        return []
    rows: list[list[Content]] = []
    drawn, written = {}, {}
    for each in found:
        name = _name(each)
        rates = [
            figures.ratio(each[field]) if field in each else "–"
            for field in ("rate", "answered_a_second")
        ]
        shares = each.get("latency_seconds")
        if shares is None:
            shown = ["–"] * len(_SHARES)
        else:
            drawn[name] = [float(shares[share]) for share in _SHARES]
            shown = [figures.duration(value) for value in drawn[name]]
            written[name] = f"p95 {shown[1]}"
        counts = [figures.count(each[field]) for field in ("requests", "failed")]
        rows.append([name, *rates, *shown, *counts])
    columns = ("Due a second", "Answered", *_SHARES, "Requests", "Failed")
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
            charts.bars(
                "Latency at p50, p95 and p99",
                drawn,
                [
                    charts.Series(share, style)
                    for share, style in zip(_SHARES, _STYLES, strict=True)
                ],
                written,
            ),
            table(
                "Latency by request, figures of the chart",
                [Column("Request"), *(Column(title, numeric=True) for title in columns)],
                rows,
            ),
        )
    ]


def _name(entry: Mapping[str, Any]) -> str:
    sizes = [
        f"{figures.count(entry[size])} {size if entry[size] != 1 else size[:-1]}"
        for size in _SIZES
        if size in entry
    ]
    due = [f"{figures.mark(entry['rate'])} due a second"] if "rate" in entry else []
    keys = [f"{entry['keys']} keys"] if "keys" in entry else []
    return ", ".join([str(entry["operation"]), *sizes, *due, *keys])
