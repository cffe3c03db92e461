"""Charts of inline SVG and HTML whose text keeps its size on a narrow screen.

Bars and dots are SVG without a view box, placed in percent, so that they stretch while strokes
and letters do not. They are painted shapes, not backgrounds, so that browsers print them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parties.report import figures
from parties.report.markup import Content, Markup, join, name, picture, tag


@dataclass(frozen=True)
class QualityRow:
    """One target's quality by three models, each 0 to 1.

    Parameters
    ----------
    target : str
    popularity, clear, encrypted : float
    """

    target: str
    popularity: float
    clear: float
    encrypted: float


@dataclass(frozen=True)
class Series:
    """What one colour of a bar chart stands for.

    Parameters
    ----------
    title : str
    style : str
        Class of its shapes.
    """

    title: str
    style: str


def quality(metric: str, rows: Sequence[QualityRow], model: str) -> Markup:
    """Draw most popular, clear and encrypted quality of every target as dots on one line.

    Parameters
    ----------
    metric : str
        Name of the measure, such as recall@20.
    rows : sequence of QualityRow
    model : str
        What the results of the coalition are called: encrypted, or something else.
    """
    ticks = _ticks([value for row in rows for value in (row.popularity, row.clear, row.encrypted)])
    low, high = ticks[0], ticks[-1]

    def at(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}%"

    lines: list[Content] = []
    for row in rows:
        plot = hidden(
            tag("line", x1="0%", x2="100%", y1="13", y2="13", class_="track"),
            tag(
                "line",
                x1=at(row.popularity),
                x2=at(row.encrypted),
                y1="13",
                y2="13",
                class_="gain",
            ),
            dot(at(row.popularity), "13", "5", "popularity"),
            dot(at(row.encrypted), "13", "5", "encrypted"),
            dot(at(row.clear), "13", "9", "clear"),
        )
        values = f"{figures.quality(row.popularity)} → {figures.quality(row.encrypted)}"
        lines.append(chart_row(name(row.target), plot, values))
    marks = [
        join(
            tag("line", x1=at(tick), x2=at(tick), y1="0", y2="5", class_="tick"),
            tag("text", f"{tick:.10g}", x=at(tick), y="18", text_anchor="middle"),
        )
        for tick in ticks
    ]
    axis = chart_row("", hidden(*marks), "", "axis")
    legend = chart_legend(
        (dot("11", "11", "5", "popularity"), "most popular items"),
        (dot("11", "11", "9", "clear"), "clear computation"),
        (dot("11", "11", "5", "encrypted"), model),
    )
    spoken = "; ".join(
        f"{row.target}: most popular items {figures.quality(row.popularity)}, "
        f"clear {figures.quality(row.clear)}, {model} {figures.quality(row.encrypted)}"
        for row in rows
    )
    start = "" if low == 0 else f"The axis starts at {low:.10g}. "
    return picture(
        f"Dot chart of {metric} by target. {spoken}.",
        legend,
        *lines,
        axis,
        caption=f"{start}A filled dot inside its ring: the {model} result "
        "and the clear one are the same.",
        class_="dots",
    )


def bars(
    title: str,
    rows: Mapping[str, Sequence[float]],
    series: Sequence[Series],
    written: Mapping[str, str],
    *,
    stacked: bool = False,
) -> Markup:
    """Draw horizontal bars from zero, one below the other or end to end.

    Parameters
    ----------
    title : str
        What the chart shows.
    rows : mapping of str to sequence of float
        Values that are not negative, one for each series, by the name of the row.
    series : sequence of Series
    written : mapping of str to str
        The figures of each row as they stand beside it.
    stacked : bool
        Whether the bars of a row are set end to end.
    """
    totals = [sum(values) if stacked else max(values) for values in rows.values()]
    longest = max(totals, default=0.0) or 1.0
    lines: list[Content] = []
    for label, values in rows.items():
        shapes, start = [], 0.0
        for each, value in zip(series, values, strict=True):
            shapes.append(_bar(start / longest, value / longest, each.style))
            start += value if stacked else 0.0
        drawn = [hidden(*shapes)] if stacked else [hidden(shape) for shape in shapes]
        lines.append(chart_row(name(label), join(*drawn), written[label]))
    keys = [(_bar(0.0, 1.0, each.style), each.title) for each in series]
    legend = [chart_legend(*keys)] if len(series) > 1 else []
    spoken = "; ".join(f"{label}: {written[label]}" for label in rows)
    return picture(f"Bar chart. {title}. {spoken}.", *legend, *lines, class_="bars")


def _bar(start: float, length: float, style: str) -> Markup:
    x, width = f"{100 * start:.3f}%", f"{100 * length:.3f}%"
    return tag("rect", x=x, width=width, height="100%", class_=style)


def dot(x: str, y: str, radius: str, style: str) -> Markup:
    """Draw a dot at a place in percent."""
    return tag("circle", cx=x, cy=y, r=radius, class_=style)


def hidden(*shapes: Content) -> Markup:
    """Put shapes into a drawing that has no name of its own."""
    # The picture around it has the name; its parts would only repeat it.
    return tag("svg", *shapes, aria_hidden="true", focusable="false")


def chart_row(label: Content, plot: Content, value: str, style: str = "") -> Markup:
    """Set a label, a drawing and its figures side by side, or below each other where narrow."""
    return tag(
        "div",
        tag("span", label),
        tag("span", plot, class_="plot"),
        tag("span", value, class_="value"),
        class_=f"row {style}".strip(),
    )


def chart_legend(*entries: tuple[Markup, str]) -> Markup:
    """Say what shapes stand for."""
    return tag(
        "div", *(tag("span", hidden(shape), title) for shape, title in entries), class_="legend"
    )


def _ticks(values: Sequence[float]) -> list[float]:
    """Round marks of which the first and the last enclose all values."""
    low, high = min(values), max(values)
    # Equal values still need an axis of some length.
    span = max(high - low, abs(high) * 1e-3, 1e-6)
    raw = span / 4
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [index * step for index in range(first, max(last, first + 1) + 1)]
