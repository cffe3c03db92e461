"""Curves over a logarithmic axis, as inline SVG in percent across and pixels up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from parties.report.markup import Content, Markup, join, picture, tag

HEIGHT = 220.0
_RADII = ("3", "4", "5", "6", "4.5", "3.5")


def curves(
    title: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    *,
    horizontal: str,
    vertical: str,
    marks: Sequence[tuple[float, str]],
) -> Markup:
    """Draw one curve for each name through its points.

    Parameters
    ----------
    title : str
        What the chart shows.
    lines : mapping of str to sequence of (x, y)
        Up to six; x is positive and ascending.
    horizontal, vertical : str
        What the axes stand for.
    marks : sequence of (y, label)
        Levels that are drawn across; the first is the lowest and the last the highest.
    """
    positions = sorted({x for points in lines.values() for x, _ in points})
    low, high = math.log(positions[0]), math.log(positions[-1])

    def across(x: float) -> str:
        return f"{100 * (math.log(x) - low) / ((high - low) or 1.0):.2f}%"

    bottom, top = marks[0][0], marks[-1][0]

    def up(y: float) -> str:
        return f"{HEIGHT * (1 - (min(max(y, bottom), top) - bottom) / (top - bottom)):.1f}"

    shapes: list[Content] = []
    for level, label in marks:
        shapes.append(tag("line", x1="0%", x2="100%", y1=up(level), y2=up(level), class_="track"))
        above = f"{float(up(level)) - 5:.1f}"
        shapes.append(tag("text", label, x="100%", y=above, text_anchor="end"))
    for x in positions:
        shapes.append(
            tag("text", f"{x:g}", x=across(x), y=f"{HEIGHT + 20:.0f}", text_anchor="middle")
        )
    for number, points in enumerate(lines.values()):
        style = f"stage-{number + 1}"
        for (x, y), (next_x, next_y) in pairwise(points):
            place = {"x1": across(x), "y1": up(y), "x2": across(next_x), "y2": up(next_y)}
            shapes.append(tag("line", class_=f"curve {style}", **place))
        shapes += [
            tag("circle", cx=across(x), cy=up(y), r=_RADII[number], class_=style) for x, y in points
        ]
    plot = tag("svg", *shapes, aria_hidden="true", focusable="false")
    keys = [
        tag(
            "span",
            tag(
                "svg",
                tag("circle", cx="11", cy="11", r=_RADII[number], class_=f"stage-{number + 1}"),
                aria_hidden="true",
                focusable="false",
            ),
            name,
        )
        for number, name in enumerate(lines)
    ]
    spoken = "; ".join(
        f"{name}: " + ", ".join(f"{y:.2f} at {x:g}" for x, y in points)
        for name, points in lines.items()
    )
    return picture(
        f"Line chart. {title}. Across: {horizontal}. Up: {vertical}. {spoken}.",
        tag("div", *keys, class_="legend"),
        join(plot),
        caption=f"Across: {horizontal}, on a logarithmic axis. Up: {vertical}.",
        class_="curves",
    )
