"""Figures that others have published, beside the jobs of the same sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parties.report import figures
from parties.report.markup import Column, Content, Markup, paragraph, table, tag


def published(found: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Show what was published at the sizes of a job, and on what hardware."""
    rows: list[list[Content]] = []
    for each in found:
        cited = each.get("details", {}).get("published")
        if cited is None:
            continue
        way = each["bytes_each_way"]
        ours = (
            f"{figures.duration(each['seconds'])}; {figures.size(way['up'])} up, "
            f"{figures.size(way['down'])} down"
        )
        theirs = [str(cited[name]) if name in cited else "–" for name in ("hardware", "beside")]
        source = str(cited.get("source", "–"))
        rows.append([str(each["job"]), ours, str(cited["figure"]), source, *theirs])
    if not rows:
        return []
    columns = ("Job", "Here", "Published", "Source", "Their hardware", "How the two differ")
    return [
        tag(
            "section",
            tag("h2", "Beside published work"),
            paragraph(
                "Jobs at the sizes of published work. The published figures were made elsewhere, "
                "on other hardware and by systems that do more or less; they show magnitudes, and "
                "no ratio is taken."
            ),
            table(
                "Published figures and their sources",
                [Column(name) for name in columns],
                rows,
                stacked=True,
            ),
        )
    ]
