"""Training and scoring over shaped networks, measured beside their projection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parties.report import charts, figures
from parties.report.markup import Column, Content, Markup, paragraph, table, tag


def measured_networks(found: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Show what was measured over every network, and what its projection was."""
    if not found:
        return []
    rows: list[list[Content]] = []
    drawn, written = {}, {}
    for each in found:
        name = str(each["name"])
        drawn[name] = [float(each["seconds"]), float(each["projected_seconds"])]
        written[name] = " / ".join(map(figures.duration, drawn[name]))
        moved = [figures.size(each["bytes"][way]) for way in ("received", "sent")]
        rows.append(
            [
                name,
                *moved,
                *map(figures.duration, (each["seconds_without"], *reversed(drawn[name]))),
                figures.ratio(drawn[name][0] / drawn[name][1]),
            ]
        )
    columns = ("To the node", "From it", "No bound", "Projected", "Measured", "Ratio")
    return [
        tag(
            "section",
            tag("h2", "Over a network"),
            paragraph(
                "Training and scoring of the demonstration by real processes, the node in one "
                "network namespace and everybody else in another. A token bucket bounds their link "
                "each way; a relay delays every byte. The projection adds the node's bytes over "
                "the bandwidth and one round trip to the run without bound and delay; calls that "
                "wait for each other need more round trips, and work that overlaps hides some."
            ),
            charts.bars(
                "Seconds of training and scoring over each network, measured / projected",
                drawn,
                [charts.Series("Measured", "sent"), charts.Series("Projected", "received")],
                written,
            ),
            table(
                "Seconds and bytes over each network, figures of the chart",
                [Column("Network"), *(Column(title, numeric=True) for title in columns)],
                rows,
            ),
        )
    ]
