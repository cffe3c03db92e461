"""Chart of ratios to baselines beside their marks, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parties.report import figures
from parties.report.charts import chart_legend, chart_row, dot, hidden
from parties.report.logarithm import LogAxis
from parties.report.markup import Content, Markup, join, name, picture, tag

_LARGEST_LABELS = 6


@dataclass(frozen=True)
class Overhead:
    """Cost of a job over its baseline's.

    Parameters
    ----------
    job : str
    ratio : float
        Above zero.
    mark : float or None
        Largest ratio allowed, above zero.
    met : bool or None
        Whether it was reached; None where nothing is judged.
    """

    job: str
    ratio: float
    mark: float | None
    met: bool | None

    @property
    def style(self) -> str:
        """Class of the dot."""
        return {True: "within", False: "beyond", None: "unjudged"}[self.met]

    @property
    def written(self) -> str:
        """The figures beside the dot."""
        mark = "no mark" if self.mark is None else f"mark {figures.mark(self.mark)}"
        return f"{figures.ratio(self.ratio)} ({mark})"

    @property
    def verdict(self) -> str:
        """Whether the mark was reached, in words."""
        return {True: "reached", False: "missed", None: "not judged"}[self.met]


def overheads(jobs: Sequence[Overhead]) -> Markup:
    """Draw a dot for every ratio and a stroke for its mark; 1 is the cost of the baseline."""
    values = [1.0, *(job.ratio for job in jobs), *(job.mark for job in jobs if job.mark)]
    axis = LogAxis.around(values)
    at = axis.across
    lines: list[Content] = []
    for job in jobs:
        shapes: list[Content] = [
            tag("line", x1="0%", x2="100%", y1="13", y2="13", class_="track"),
            tag("line", x1=at(1.0), x2=at(1.0), y1="0", y2="26", class_="tick"),
        ]
        if job.mark:
            place = at(job.mark)
            shapes.append(tag("line", x1=place, x2=place, y1="4", y2="22", class_="mark"))
        shapes.append(dot(at(job.ratio), "13", "5", job.style))
        lines.append(chart_row(name(job.job), hidden(*shapes), job.written))
    marks = [
        join(
            tag("line", x1=at(tick), x2=at(tick), y1="0", y2="5", class_="tick"),
            tag("text", f"{tick:g}", x=at(tick), y="18", text_anchor="middle"),
        )
        for tick in axis.ticks(_LARGEST_LABELS)
    ]
    shown = [
        (dot("11", "11", "5", style), title)
        for style, title in (
            ("within", "within its mark"),
            ("beyond", "beyond its mark"),
            ("unjudged", "not judged"),
        )
        if any(job.style == style for job in jobs)
    ]
    if any(job.mark for job in jobs):
        stroke = tag("line", x1="11", x2="11", y1="2", y2="20", class_="mark")
        shown.append((stroke, "mark: the largest ratio allowed"))
    spoken = "; ".join(f"{job.job}: {job.written}, {job.verdict}" for job in jobs)
    return picture(
        f"Dot chart of cost over the baseline's by job. {spoken}.",
        chart_legend(*shown),
        *lines,
        chart_row("", hidden(*marks), "", "axis"),
        caption="Logarithmic axis; 1 is the cost of the baseline, less is cheaper.",
        class_="dots",
    )
