"""How cost grows with the work: measured points over the planner's lines, and their ratios."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from parties.report import figures
from parties.report.charts import chart_legend, dot
from parties.report.logarithm import LogAxis
from parties.report.markup import Column, Content, Markup, paragraph, picture, table, tag

PARTIES = {"encrypt": "Encryption", "node": "Node", "key_holder": "Key holder"}
"""Titles of who works, as calibrations name them."""

STYLES = {"encrypt": "stage-2", "node": "stage-4", "key_holder": "stage-5"}
_HEIGHT = 220.0
_MOST_TICKS = 6

Curves = Sequence[Mapping[str, Any]]


def growth(curves: Curves) -> list[Markup]:
    """Show every curve as a chart and a table."""
    if not curves:
        return []
    shown: list[Markup] = []
    for curve in curves:
        shown += [tag("h3", _title(curve)), _chart(curve), _table(curve)]
    return [
        tag(
            "section",
            tag("h2", "How cost grows"),
            paragraph(
                "Dots are measured; lines are what the planner expects of this machine after its "
                "calibration (",
                tag("code", "hecf doctor --calibrate"),
                "), in the same run. "
                "All that encrypt count together. Where a party needs some milliseconds only, "
                "what is not in the plan shows, such as parsing and first use of memory.",
            ),
            *shown,
        )
    ]


def _title(curve: Mapping[str, Any]) -> str:
    fixed = ", ".join(
        f"{figures.count(value)} {name}" for name, value in curve["parameters"].items()
    )
    return f"{str(curve['operation']).capitalize()} by {curve['by']}: {fixed}"


def seconds_axis(points: Iterable[Mapping[str, Any]]) -> LogAxis:
    """Return the axis that holds all seconds of a curve, measured and expected."""
    return LogAxis.around(
        float(point[field][party])
        for point in points
        for field in ("seconds", "promised_seconds")
        for party in PARTIES
    )


def _chart(curve: Mapping[str, Any]) -> Markup:
    points = curve["points"]
    sizes = LogAxis.between(points[0]["size"], points[-1]["size"])
    spent = seconds_axis(points)

    def up(seconds: float) -> str:
        return f"{_HEIGHT * (1 - spent.place(seconds)):.1f}"

    shapes: list[Content] = []
    labels: list[Content] = []
    for tick in spent.ticks(_MOST_TICKS):
        at = up(tick)
        shapes.append(tag("line", x1="0%", x2="100%", y1=at, y2=at, class_="track"))
        label = figures.duration(tick).replace(".00", "").replace(".0", "")
        labels.append(tag("text", label, x="0%", y=f"{float(at) - 5:.1f}", class_="over"))
    below = f"{_HEIGHT + 20:.0f}"
    for number, point in enumerate(points):
        # The outer labels end where the axis does, so that they stay on a narrow page.
        anchor = "start" if not number else "end" if point is points[-1] else "middle"
        at, label = sizes.across(point["size"]), figures.short(point["size"])
        labels.append(tag("text", label, x=at, y=below, text_anchor=anchor))
    for party, style in STYLES.items():
        for first, second in pairwise(points):
            place = {
                "x1": sizes.across(first["size"]),
                "y1": up(first["promised_seconds"][party]),
                "x2": sizes.across(second["size"]),
                "y2": up(second["promised_seconds"][party]),
            }
            shapes.append(tag("line", class_=f"curve {style}", **place))
        shapes += [
            dot(sizes.across(point["size"]), up(point["seconds"][party]), "5", style)
            for point in points
        ]
    shapes += labels
    spoken = "; ".join(
        f"{title}: "
        + ", ".join(
            f"{figures.duration(point['seconds'][party])} at {figures.count(point['size'])}, "
            f"expected {figures.duration(point['promised_seconds'][party])}"
            for point in points
        )
        for party, title in PARTIES.items()
    )
    return picture(
        f"Chart of seconds by {curve['by']} for {curve['operation']}. {spoken}.",
        chart_legend(*((dot("11", "11", "5", STYLES[party]), PARTIES[party]) for party in PARTIES)),
        tag("svg", *shapes, aria_hidden="true", focusable="false"),
        caption=f"Across: {curve['by']}. Up: seconds. Both axes are logarithmic.",
        class_="curves",
    )


def _table(curve: Mapping[str, Any]) -> Markup:
    rows: list[list[Content]] = []
    for point in curve["points"]:
        row: list[Content] = [figures.count(point["size"])]
        for party in PARTIES:
            measured, promised = point["seconds"][party], point["promised_seconds"][party]
            row += [figures.duration(measured), figures.ratio(measured / promised)]
        row += [figures.size(point["bytes"][way]) for way in ("up", "down")]
        row += [
            figures.ratio(sum(point["bytes"].values()) / sum(point["promised_bytes"].values())),
            figures.size(point["peak_bytes"]),
        ]
        rows.append(row)
    columns = [Column(str(curve["by"]).capitalize())]
    for title in PARTIES.values():
        columns += [Column(title, numeric=True), Column("of expected", numeric=True)]
    columns += [Column(name, numeric=True) for name in ("Up", "Down", "of expected", "Peak memory")]
    return table("Measured, and its ratio to what was expected", columns, rows)
