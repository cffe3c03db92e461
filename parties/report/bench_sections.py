"""The sections of the page about what encryption costs, below its overview."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parties.report import charts, figures
from parties.report.markup import Column, Content, Markup, paragraph, table, tag
from parties.report.networks import LAN, WAN

Results = Sequence[Mapping[str, Any]]

_NETWORKS = (LAN, WAN)


def time(found: Results) -> list[Markup]:
    """Show the share of every stage in a run, its seconds, and the spread of repetitions."""
    splits = {str(each["job"]): each["split"] for each in found if each.get("split")}
    if not splits:
        return []
    stages = list(dict.fromkeys(stage for split in splits.values() for stage in split))
    # Stages keep the order in which they take place, whichever job has them.
    order = ("encode", "encrypt", "serialise", "transfer", "compute", "decrypt", "release")
    stages.sort(key=lambda stage: order.index(stage))
    totals = {job: sum(split.values()) for job, split in splits.items()}
    shares = {
        job: [split.get(stage, 0.0) / (totals[job] or 1.0) for stage in stages]
        for job, split in splits.items()
    }
    rows: list[list[Content]] = [
        [
            job,
            *(figures.duration(split[stage]) if stage in split else "–" for stage in stages),
            figures.duration(totals[job]),
        ]
        for job, split in splits.items()
    ]
    columns = [Column("Job"), *(Column(stage.capitalize(), numeric=True) for stage in stages)]
    return [
        tag(
            "section",
            tag("h2", "Where the time goes"),
            paragraph(
                "One run of each job by stage, as shares of their sum. The seconds of the overview "
                "may count one stage only, such as the node's; training-grpc adds up processes "
                "that work side by side."
            ),
            charts.bars(
                "Share of each stage in a run, by job",
                shares,
                [
                    charts.Series(stage.capitalize(), f"stage-{order.index(stage) + 1}")
                    for stage in stages
                ],
                {job: figures.duration(total) for job, total in totals.items()},
                stacked=True,
            ),
            table(
                "Seconds by job and stage, figures of the chart",
                [*columns, Column("Sum", numeric=True)],
                rows,
            ),
            *_spread(found),
        )
    ]


def _spread(found: Results) -> list[Markup]:
    rows: list[list[Content]] = []
    for each in found:
        for side, spread in each.get("spread", {}).items():
            rows.append(
                [
                    f"{each['job']}, {side}",
                    *(figures.duration(spread[name]) for name in ("minimum", "median", "maximum")),
                    figures.count(spread["repetitions"]),
                    figures.count(spread["warm_ups"]),
                ]
            )
    if not rows:
        return []
    columns = ("Minimum", "Median", "Maximum", "Repetitions", "Warm-ups")
    return [
        tag("h3", "Spread of the repetitions"),
        table(
            "Repetitions of hecf and of the baseline, without the warm-ups",
            [Column("Work"), *(Column(name, numeric=True) for name in columns)],
            rows,
        ),
    ]


def traffic(found: Results) -> list[Markup]:
    """Show bytes to whoever computes and back, and project them to two networks."""
    ways = {str(each["job"]): each["bytes_each_way"] for each in found if "bytes_each_way" in each}
    if not ways:
        return []
    rows: list[list[Content]] = []
    shares, written = {}, {}
    for job, way in ways.items():
        up, down = int(way["up"]), int(way["down"])
        shares[job] = [up / ((up + down) or 1), down / ((up + down) or 1)]
        written[job] = f"{figures.size(up)} / {figures.size(down)}"
        projected = [network.seconds(up + down) for network in _NETWORKS]
        rows.append([job, figures.size(up), figures.size(down), *map(figures.duration, projected)])
    columns = ("Up", "Down", *(network.title for network in _NETWORKS))
    return [
        tag(
            "section",
            tag("h2", "Where the bytes go"),
            paragraph(
                "Bytes of all parties to whoever computes, and back. The last two columns are a "
                "projection, not a measurement: these bytes over the bandwidth and one round trip."
            ),
            charts.bars(
                "Share of the bytes each way, by job",
                shares,
                [charts.Series("Up", "sent"), charts.Series("Down", "received")],
                written,
                stacked=True,
            ),
            table(
                "Bytes each way, and seconds to move them",
                [Column("Job"), *(Column(name, numeric=True) for name in columns)],
                rows,
            ),
        )
    ]


def memory(found: Results) -> list[Markup]:
    """Show the peak memory of every process."""
    rows: list[list[Content]] = [
        [f"{each['job']}, {process}", figures.size(peak)]
        for each in found
        for process, peak in each.get("peak_bytes", {}).items()
    ]
    if not rows:
        return []
    return [
        tag(
            "section",
            tag("h2", "Peak memory"),
            paragraph(
                "Largest resident memory while a job ran, with the baseline and its data where "
                "both are in this process. A party counts together with the workers that it starts."
            ),
            table(
                "Peak memory by job and process",
                [Column("Process"), Column("Peak", numeric=True)],
                rows,
            ),
        )
    ]


def accuracy(found: Results) -> Markup:
    """Show errors against NumPy, and quality of recommendations where a job has targets."""
    rows: list[list[Content]] = [
        [str(each["job"]), figures.scientific(each["error"])] for each in found
    ]
    drawn = [
        charts.quality(
            metric,
            [
                charts.QualityRow(
                    target,
                    models[metric]["popularity"],
                    models[metric]["clear"],
                    models[metric]["encrypted"],
                )
                for target, models in targets.items()
            ],
            "encrypted",
        )
        for each in found
        if (targets := each.get("details", {}).get("targets"))
        for metric in next(iter(targets.values()))
    ]
    heading = [tag("h3", "Quality of recommendations, clear and encrypted")] if drawn else []
    return tag(
        "section",
        tag("h2", "Accuracy"),
        table(
            "Largest absolute error against the same computation in clear",
            [Column("Job"), Column("Error", numeric=True)],
            rows,
        ),
        *heading,
        *drawn,
    )


def parameters(found: Results) -> Markup:
    """Show what every job was run with."""
    rows: list[list[Content]] = [
        [
            str(each["job"]),
            tag("ul", *(tag("li", f"{key}: {_value(value)}") for key, value in items)),
        ]
        for each in found
        if (items := each["parameters"].items())
    ]
    return tag(
        "section",
        tag("h2", "Parameters"),
        table(
            "Sizes and parameters by job",
            [Column("Job"), Column("Parameters")],
            rows,
            stacked=True,
        ),
    )


def machine(stamp: Mapping[str, Any]) -> Markup:
    """Show where and with what the results were made."""
    rows: list[list[Content]] = [[key, _value(value)] for key, value in stamp.items()]
    return tag(
        "section",
        tag("h2", "Machine and versions"),
        table(
            "What the results were made on", [Column("What"), Column("Value")], rows, stacked=True
        ),
    )


def _value(value: Any) -> str:
    """Write a value of any JSON type, as short as it reads."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    if isinstance(value, bool) or value is None:
        return {None: "–", True: "yes", False: "no"}[value]
    if isinstance(value, float):
        return figures.ratio(value)
    return f"{value:,}" if isinstance(value, int) else str(value)
