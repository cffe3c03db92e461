"""The report's sections on parties and cost: who holds what, time, bytes, parameters, sights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hecf.errors import InvalidInput
from hecf.measure import STAGES
from hecf.protocol.terms import BLINDED
from parties.report import charts, figures, topology, words
from parties.report.markup import Column, Content, Markup, name, paragraph, table, tag
from parties.report.summary import Summary


def holdings(results: Mapping[str, Any], summary: Summary) -> Markup:
    """Say who holds what, sees what, and must never see what; and what breaks the promise."""
    described = words.roles(summary.encrypted, results["topology"])
    for process in results["processes"]:
        if process["role"] not in described:
            raise InvalidInput(
                "the results have an unknown role",
                got=process["role"],
                expected=" or ".join(described),
            )
    rows: list[list[Content]] = [
        [role.title, role.holds, role.sees, role.never] for role in described.values()
    ]
    columns = [Column("Role"), Column("Holds"), Column("Sees"), Column("Must never see")]
    kept = words.topology(results["topology"])
    retailers = results["data"]["retailers"]
    apart = (
        "In this run all parties shared one operating-system process, so only the program's own "
        "structure kept them apart."
        if summary.one_process
        else "Each party ran in an operating-system process of its own."
    )
    promise = [] if summary.encrypted else ["This run is not encrypted and keeps no such promise. "]
    return tag(
        "section",
        tag("h2", "Who holds what, and who must never see what"),
        paragraph(
            "Shoppers are the same at every retailer, catalogues differ. Nobody hands over "
            f"purchases; what leaves a retailer is listed here. {apart}"
        ),
        table("Roles and their limits", columns, rows, stacked=True),
        _parties(results, described),
        tag("h3", f"Topology: {results['topology']}"),
        topology.drawing(len(retailers), summary.encrypted, results["topology"] == BLINDED),
        paragraph(*promise, tag("strong", "Who decrypts. "), kept.decrypts),
        paragraph(tag("strong", "What breaks it. "), kept.broken_by),
        paragraph(
            tag("strong", "What is not promised. "),
            "That retailers tell the truth about their data, that a node which cheats is found "
            "out, and that sizes and timing stay hidden.",
        ),
    )


def _parties(results: Mapping[str, Any], described: Mapping[str, words.RoleWords]) -> Markup:
    retailers = results["data"]["retailers"]
    rows: list[list[Content]] = []
    for process in results["processes"]:
        own = retailers.get(process["name"])
        rows.append(
            [
                name(process["name"]),
                described[process["role"]].title,
                str(process["pid"]),
                *(
                    "–" if own is None else figures.count(own[field])
                    for field in ("interactions", "items", "held_out")
                ),
            ]
        )
    columns = [
        Column("Party"),
        Column("Role"),
        Column("Process", numeric=True),
        Column("Interactions", numeric=True),
        Column("Items", numeric=True),
        Column("Shoppers treated as new", numeric=True),
    ]
    return table("The parties, and what each has at home", columns, rows)


def times(results: Mapping[str, Any], summary: Summary) -> Markup:
    """Show seconds by stage, and by process and stage."""
    seconds, by_process = results["seconds"], results["seconds_by_process"]
    described = words.stages(summary.encrypted)
    stages: list[list[Content]] = [
        [stage.capitalize(), figures.seconds(seconds[stage]), described[stage]] for stage in STAGES
    ]
    rows: list[list[Content]] = [
        [
            name(key),
            *(figures.seconds(spent[stage]) for stage in STAGES),
            figures.seconds(sum(spent[stage] for stage in STAGES)),
        ]
        for key, spent in by_process.items()
    ]
    sums = [seconds[stage] for stage in STAGES]
    rows.append(
        ["All", *(figures.seconds(value) for value in sums), figures.seconds(sum(sums))],
    )
    series = [
        charts.Series(stage.capitalize(), f"stage-{number}")
        for number, stage in enumerate(STAGES, 1)
    ]
    return tag(
        "section",
        tag("h2", "Where the time goes"),
        paragraph(
            f"The run took {figures.seconds(seconds['total'])} from its start to the last "
            "result, with starting the parties and reading the data. Computing the same model "
            f"in clear, with the data already read, takes {figures.seconds(seconds['clear'])}. "
            "The stages below are summed over parties that work side by side; waiting and "
            "training each retailer's own model are in no stage. So they need not add up to "
            "the duration of the run."
        ),
        tag("h3", "By stage"),
        charts.bars(
            "Seconds by stage, all parties together",
            {stage.capitalize(): [seconds[stage]] for stage in STAGES},
            [charts.Series("Seconds", "sent")],
            {stage.capitalize(): figures.seconds(seconds[stage]) for stage in STAGES},
        ),
        table(
            "Seconds by stage, figures of the chart",
            [Column("Stage"), Column("All parties", numeric=True), Column("What happens")],
            stages,
        ),
        tag("h3", "By party and stage"),
        charts.bars(
            "Seconds by party and stage",
            {key: [spent[stage] for stage in STAGES] for key, spent in by_process.items()},
            series,
            {
                key: figures.seconds(sum(spent[stage] for stage in STAGES))
                for key, spent in by_process.items()
            },
            stacked=True,
        ),
        table(
            "Seconds by party and stage, figures of the chart",
            [
                Column("Party"),
                *(Column(stage.capitalize(), numeric=True) for stage in STAGES),
                Column("Sum", numeric=True),
            ],
            rows,
            total=True,
        ),
    )


def traffic(results: Mapping[str, Any], summary: Summary) -> Markup:
    """Show bytes sent and received by every party."""
    counts = results["bytes"]
    rows: list[list[Content]] = [
        [
            name(key),
            *(
                text
                for way in ("sent", "received")
                for text in (figures.size(count[way]), figures.count(count[way]))
            ),
        ]
        for key, count in counts.items()
    ]
    total = {way: sum(count[way] for count in counts.values()) for way in ("sent", "received")}
    rows.append(
        [
            "All",
            *(
                text
                for way in ("sent", "received")
                for text in (figures.size(total[way]), figures.count(total[way]))
            ),
        ]
    )
    return tag(
        "section",
        tag("h2", "What was sent"),
        paragraph(
            "Sizes of the messages between parties, before the transport adds its own. All that "
            "retailers upload goes to the compute node, and results go from there to the key "
            "holder before they are released."
        ),
        charts.bars(
            "Bytes by party, sent and received",
            {key: [count["sent"], count["received"]] for key, count in counts.items()},
            [charts.Series("Sent", "sent"), charts.Series("Received", "received")],
            {
                key: f"{figures.size(count['sent'])} / {figures.size(count['received'])}"
                for key, count in counts.items()
            },
        ),
        table(
            "Bytes by party, figures of the chart",
            [
                Column("Party"),
                Column("Sent", numeric=True),
                Column("Sent, bytes", numeric=True),
                Column("Received", numeric=True),
                Column("Received, bytes", numeric=True),
            ],
            rows,
            total=True,
        ),
    )


def encryption(results: Mapping[str, Any], summary: Summary) -> Markup:
    """Explain the parameters of the encryption."""
    rows: list[list[Content]] = [list(row) for row in words.parameters(results["parameters"])]
    columns = [Column("Parameter"), Column("Value", numeric=True), Column("What it means")]
    return tag(
        "section",
        tag(
            "h2",
            "How it was encrypted" if summary.encrypted else "Not encrypted, for comparison",
        ),
        table("Parameters", columns, rows, stacked=True),
    )


def sights(results: Mapping[str, Any], summary: Summary) -> Markup:
    """List what every party saw in this run, in its own words."""
    rows: list[list[Content]] = [
        [name(key), tag("ul", *(tag("li", line) for line in lines))]
        for key, lines in results["saw"].items()
    ]
    note = (
        ""
        if summary.encrypted
        else " Nothing was encrypted: where a line says ciphertext, it was plain numbers."
    )
    return tag(
        "section",
        tag("h2", "What each party saw"),
        paragraph(f"Every party's own account, written at the end of the run.{note}"),
        table("Accounts of the parties", [Column("Party"), Column("Saw")], rows, stacked=True),
    )
