"""A page about what encryption costs: overhead, time, bytes, memory, accuracy, parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hecf.errors import InvalidInput
from parties.report import bench_sections as sections
from parties.report import figures
from parties.report.growth import growth
from parties.report.latency import latencies
from parties.report.ledger import ledgers
from parties.report.markup import Column, Content, Markup, join, paragraph, table, tag
from parties.report.measured_networks import measured_networks
from parties.report.overhead import Overhead, overheads
from parties.report.page import page, rendered
from parties.report.published import published


def render_bench(results: Mapping[str, Any]) -> str:
    """Write the page of what ``hecf bench --json`` writes, and others beside; a whole document.

    Files of earlier versions have no split, spread or peak memory, and get no section on them.

    Parameters
    ----------
    results : mapping of str to object
        ``results`` with one entry for each job, ``quick``, and ``machines`` or one ``machine``.
        There may be ``growth`` as ``hecf bench growth`` writes it, ``networks`` and
        ``latencies`` as ``benchmarks.network``, ``serving`` and ``latency`` do, and ``ledgers``
        with what ``hecf ledger show`` writes.

    Raises
    ------
    InvalidInput
        If a field is missing or has another form, a figure is not finite, or there is nothing.
    """
    return rendered(_document, results, "hecf bench")


def _document(results: Mapping[str, Any]) -> str:
    found, quick = results["results"], bool(results["quick"])
    machines = results["machines"] if "machines" in results else [results["machine"]]
    jobs = [_overhead(each, quick) for each in found]
    twice = {job.job for job in jobs if sum(job.job == other.job for other in jobs) > 1}
    if twice:
        raise InvalidInput("a job has two results", got=", ".join(sorted(twice)))
    of_jobs: list[Markup] = []
    if found:
        of_jobs = [
            *sections.time(found),
            *sections.traffic(found),
            *sections.memory(found),
            sections.accuracy(found),
        ]
    others = [
        *growth(results.get("growth", [])),
        *latencies(results.get("latencies", [])),
        *measured_networks(results.get("networks", [])),
        *ledgers(results.get("ledgers", [])),
    ]
    if not found and not others:
        raise InvalidInput("the results have no job", got=0, expected="at least 1")
    title = "What encryption costs"
    main = tag(
        "main",
        _header(title, machines, found, jobs, quick),
        *([_glance(found, jobs)] if found else []),
        *published(found),
        *of_jobs,
        *others,
        *([sections.parameters(found)] if found else []),
        *map(sections.machine, machines),
    )
    return page(title, main)


def _overhead(result: Mapping[str, Any], quick: bool) -> Overhead:
    mark = None if result["mark"] is None else float(result["mark"])
    met = None if quick or mark is None else bool(result["met"])
    return Overhead(str(result["job"]), float(result["ratio"]), mark, met)


def _header(
    title: str,
    machines: Sequence[Mapping[str, Any]],
    found: Sequence[Mapping[str, Any]],
    jobs: Sequence[Overhead],
    quick: bool,
) -> Markup:
    parts = [
        paragraph(
            f"Benchmarks of hecf {machine['hecf']} on {machine['processor']}, "
            f"{figures.count(machine['cores'])} cores",
            class_="eyebrow",
        )
        for machine in machines[:1]
    ]
    parts.append(tag("h1", title))
    judged = [job for job in jobs if job.met is not None]
    if quick:
        parts.append(
            paragraph(
                tag("strong", "A quick run. "),
                "Its sizes are small, to see that everything works; they are too small to judge "
                "what encryption costs, so no mark is judged.",
                class_="warning",
            )
        )
    elif judged:
        missed = [job.job for job in judged if not job.met]
        close = f" Missed: {', '.join(missed)}." if missed else ""
        parts.append(
            paragraph(
                tag("strong", f"{len(judged) - len(missed)} of {len(judged)} marks are reached."),
                f"{close} Each job ran beside its baseline on the same machine; only the ratios "
                "carry over to other machines.",
                class_="result",
            )
        )
    return tag("header", *parts, *([_tiles(found, jobs)] if jobs else []))


def _tiles(found: Sequence[Mapping[str, Any]], jobs: Sequence[Overhead]) -> Markup:
    dearest = max(jobs, key=lambda job: job.ratio)
    cheapest = min(jobs, key=lambda job: job.ratio)
    worst = max(found, key=lambda each: float(each["error"]))
    entries = [
        (figures.count(len(jobs)), "jobs, each beside its baseline"),
        (f"{figures.ratio(dearest.ratio)} ×", f"the largest ratio: {dearest.job}"),
        (f"{figures.ratio(cheapest.ratio)} ×", f"the smallest ratio: {cheapest.job}"),
        (figures.scientific(worst["error"]), f"the largest error: {worst['job']}"),
    ]
    return tag(
        "dl",
        *(tag("div", join(tag("dt", text), tag("dd", value))) for value, text in entries),
        class_="tiles",
    )


def _glance(found: Sequence[Mapping[str, Any]], jobs: Sequence[Overhead]) -> Markup:
    rows: list[list[Content]] = [
        [
            job.job,
            figures.duration(each["seconds"]),
            str(each["baseline"]),
            figures.duration(each["baseline_seconds"]),
            figures.ratio(job.ratio),
            "–" if job.mark is None else figures.mark(job.mark),
            job.verdict if job.mark is not None else "no mark",
        ]
        for job, each in zip(jobs, found, strict=True)
    ]
    columns = [
        Column("Job"),
        Column("hecf", numeric=True),
        Column("Baseline"),
        Column("Its time", numeric=True),
        Column("Ratio", numeric=True),
        Column("Mark", numeric=True),
        Column("Verdict"),
    ]
    return tag(
        "section",
        tag("h2", "Overhead at a glance"),
        paragraph(
            "The ratio is hecf's cost over the baseline's. It is of seconds, but of bytes for "
            "sum-bytes and node-memory."
        ),
        overheads(jobs),
        table("Cost beside the baseline, figures of the chart", columns, rows, stacked=True),
    )
