"""Pictures for documents: whole SVG files, in light or dark as their reader has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from parties.report import figures
from parties.report.growth import PARTIES, STYLES, seconds_axis
from parties.report.logarithm import LogAxis
from parties.report.markup import Content, Markup, tag, verbatim
from parties.report.overhead import Overhead

_STYLE = """
text { font: 13px system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif;
  fill: #1b2127; }
.quiet { fill: #57616b; font-size: 12px; }
.title { font-weight: 650; }
.track { stroke: #d7dce1; }
.mark { stroke: #1b2127; stroke-width: 2; }
.within, .stage-2 { fill: #1d5c93; stroke: none; }
.beyond, .stage-5 { fill: #b5552f; stroke: none; }
.unjudged { fill: #8b95a0; }
.stage-4 { fill: #2c8c7c; stroke: none; }
.curve { stroke-width: 2; }
.curve.stage-2 { stroke: #1d5c93; }
.curve.stage-4 { stroke: #2c8c7c; }
.curve.stage-5 { stroke: #b5552f; }
@media (prefers-color-scheme: dark) {
  text { fill: #e7eaed; }
  .quiet { fill: #a3adb7; }
  .track { stroke: #39424b; }
  .mark { stroke: #e7eaed; }
  .within, .stage-2 { fill: #78b4e6; }
  .beyond, .stage-5 { fill: #e88a62; }
  .stage-4 { fill: #5fc2b0; }
  .curve.stage-2 { stroke: #78b4e6; }
  .curve.stage-4 { stroke: #5fc2b0; }
  .curve.stage-5 { stroke: #e88a62; }
}
"""
_WIDTH = 760
_ROW = 26
_PLOT = (150, 560)
"""Where the plot of ratios begins and ends, across."""

_PANEL = (_WIDTH // 2, 280)
_INNER = (58, 46, 290, 180)
"""Left, top, width and height of a plot within its panel."""

_MOST_TICKS = 6


def overhead_picture(results: Mapping[str, Any]) -> str:
    """Draw the ratio of every job to its baseline, with its mark, from what hecf bench writes."""
    jobs = [
        Overhead(str(each["job"]), float(each["ratio"]), each["mark"], each["met"])
        for each in results["results"]
    ]
    axis = LogAxis.around([1.0, *(job.ratio for job in jobs), *(job.mark or 1.0 for job in jobs)])
    left, right = _PLOT
    bottom = 34 + _ROW * len(jobs)

    def across(value: float) -> float:
        return left + (right - left) * axis.place(value)

    shapes: list[Content] = [
        _dot(left + 6, 12, "within"),
        _text(left + 17, 16, "cost over the baseline's", "quiet"),
        _line(left + 180, 5, left + 180, 19, "mark"),
        _text(left + 189, 16, "mark: the largest ratio allowed", "quiet"),
    ]
    for tick in axis.ticks(_MOST_TICKS):
        x = across(tick)
        shapes += [
            _line(x, 30, x, bottom, "track"),
            _text(x, bottom + 18, f"{tick:g}", "quiet", "middle"),
        ]
    for number, job in enumerate(jobs):
        y = 30 + _ROW * number + _ROW / 2
        shapes.append(_text(0, y + 4, job.job))
        if job.mark:
            shapes.append(_line(across(job.mark), y - 9, across(job.mark), y + 9, "mark"))
        shapes += [_dot(across(job.ratio), y, job.style), _text(right + 20, y + 4, job.written)]
    spoken = "; ".join(f"{job.job}: {job.written}" for job in jobs)
    return _picture(f"Cost of each job over its baseline's. {spoken}.", bottom + 26, shapes)


def growth_picture(results: Mapping[str, Any]) -> str:
    """Draw measured seconds over expected ones, from what hecf bench growth writes."""
    curves: Sequence[Mapping[str, Any]] = results["growth"]
    shapes: list[Content] = []
    for number, (party, title) in enumerate(PARTIES.items()):
        x = _INNER[0] + 110 * number
        shapes += [_dot(x + 5, 12, STYLES[party]), _text(x + 16, 16, title, "quiet")]
    note = "dots are measured, lines are what the planner expects"
    shapes.append(_text(_INNER[0] + 330, 16, note, "quiet"))
    for number, curve in enumerate(curves):
        place = f"translate({_PANEL[0] * (number % 2)} {24 + _PANEL[1] * (number // 2)})"
        shapes.append(tag("g", *_panel(curve), transform=place))
    spoken = "; ".join(
        f"{curve['operation']}, {figures.short(point['size'])} {curve['by']}: "
        + ", ".join(
            f"{title.lower()} {figures.duration(point['seconds'][party])}, "
            f"expected {figures.duration(point['promised_seconds'][party])}"
            for party, title in PARTIES.items()
        )
        for curve in curves
        for point in (curve["points"][0], curve["points"][-1])
    )
    height = 24 + _PANEL[1] * (-(-len(curves) // 2))
    return _picture(f"Seconds by size, measured and expected. {spoken}.", height, shapes)


def _panel(curve: Mapping[str, Any]) -> list[Content]:
    points = curve["points"]
    sizes = LogAxis.between(points[0]["size"], points[-1]["size"])
    spent = seconds_axis(points)
    left, top, width, height = _INNER

    def at(point: Mapping[str, Any], field: str, party: str) -> tuple[float, float]:
        up = spent.place(float(point[field][party]))
        return left + width * sizes.place(point["size"]), top + height * (1 - up)

    shapes: list[Content] = [_text(left, 28, f"{curve['operation']} by {curve['by']}", "title")]
    for tick in spent.ticks(_MOST_TICKS):
        y = top + height * (1 - spent.place(tick))
        label = figures.duration(tick).replace(".00", "").replace(".0", "")
        shapes += [
            _line(left, y, left + width, y, "track"),
            _text(left - 8, y + 4, label, "quiet", "end"),
        ]
    for point in points:
        x = left + width * sizes.place(point["size"])
        shapes.append(_text(x, top + height + 20, figures.short(point["size"]), "quiet", "middle"))
    for party, style in STYLES.items():
        expected = [at(point, "promised_seconds", party) for point in points]
        shapes += [_line(*first, *second, f"curve {style}") for first, second in pairwise(expected)]
        shapes += [_dot(*at(point, "seconds", party), style) for point in points]
    return shapes


def _picture(label: str, height: float, shapes: Sequence[Content]) -> str:
    drawing = tag(
        "svg",
        tag("style", verbatim(_STYLE)),
        *shapes,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"-8 -4 {_WIDTH + 16} {height + 8:g}",
        role="img",
        aria_label=label,
    )
    return f"{drawing.text}\n"


def _text(x: float, y: float, content: str, style: str = "", anchor: str = "start") -> Markup:
    named = {"class_": style} if style else {}
    return tag("text", content, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, **named)


def _dot(x: float, y: float, style: str) -> Markup:
    return tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="5", class_=style)


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return tag("line", **{end: f"{value:.1f}" for end, value in ends.items()}, class_=style)
