"""Results of the demonstration on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from hecf.measure import STAGES

HOLDINGS = (
    ("retailer", "its own interactions and model, the pseudonym key, the public key"),
    ("compute node", "ciphertexts, item models, the public key"),
    ("key holder", "the secret key, the count of releases"),
)


def show(results: Mapping[str, Any], console: Console) -> None:
    """Print everything that a run of the demonstration found."""
    _holdings(results, console)
    _quality(results, console)
    _example(results, console)
    _costs(results, console)
    _sights(results, console)


def _holdings(results: Mapping[str, Any], console: Console) -> None:
    table = Table(title=f"Who holds what (topology: {results['topology']})")
    table.add_column("process")
    table.add_column("pid", justify="right")
    table.add_column("holds")
    by_role = {role.replace(" ", "-"): what for role, what in HOLDINGS}
    retailers = results["data"]["retailers"]
    for process in results["processes"]:
        own = retailers.get(process["name"])
        size = f" ({own['interactions']:,} interactions, {own['items']:,} items)" if own else ""
        table.add_row(process["name"], str(process["pid"]), by_role[process["role"]] + size)
    console.print(table)


def _quality(results: Mapping[str, Any], console: Console) -> None:
    data = results["data"]
    table = Table(
        title=f"Quality for hidden shoppers ({data['shoppers']:,} shoppers, "
        f"about {data['held_out']:,} hidden at each target)"
    )
    table.add_column("target")
    for metric in ("recall", "NDCG"):
        for model in ("popular", "clear", "encrypted"):
            table.add_column(f"{metric}\n{model}", justify="right")
    for name, metrics in results["targets"].items():
        values = [
            f"{metric[model]:.3f}"
            for metric in metrics.values()
            for model in ("popularity", "clear", "encrypted")
        ]
        table.add_row(name, *values)
    console.print(table)
    agreement = results["agreement"]
    console.print(
        f"Largest score error {agreement['max_abs_score_error']:.1e}; "
        f"{100 * agreement['top20_overlap']:.2f} % of the best items are the same.\n"
    )


def _example(results: Mapping[str, Any], console: Console) -> None:
    example = results["example"]
    table = Table(
        title=f"Shopper {example['shopper']} at the {example['target']}: best items "
        "(* bought there in that year)"
    )
    table.add_column("", justify="right")
    for side in ("encrypted", "clear"):
        table.add_column(side)
        table.add_column("score", justify="right")
    pairs = zip(example["encrypted"], example["clear"], strict=True)
    for rank, (left, right) in enumerate(pairs, 1):
        cells = []
        for entry in (left, right):
            cells += [entry["name"] + (" *" if entry["bought"] else ""), f"{entry['score']:.4f}"]
        table.add_row(str(rank), *cells)
    console.print(table)


def _costs(results: Mapping[str, Any], console: Console) -> None:
    seconds = results["seconds"]
    table = Table(title=f"Time: {seconds['total']:.1f} s in all, {seconds['clear']:.1f} s in clear")
    for stage in STAGES:
        table.add_column(stage, justify="right")
    table.add_row(*(f"{seconds[stage]:.2f} s" for stage in STAGES))
    console.print(table)
    console.print("Stages are summed over the processes, which run side by side.\n")
    table = Table(title="Bytes over the network")
    table.add_column("process")
    table.add_column("sent", justify="right")
    table.add_column("received", justify="right")
    for name, count in results["bytes"].items():
        table.add_row(name, f"{count['sent']:,}", f"{count['received']:,}")
    console.print(table)
    parameters = results["parameters"]
    console.print(
        f"Scheme {parameters['scheme']}: ring degree {parameters['ring_degree']}, modulus "
        f"{parameters['modulus_bits']} bits, security {parameters['security_bits']} bits.\n"
    )


def _sights(results: Mapping[str, Any], console: Console) -> None:
    table = Table(title="What each process saw")
    table.add_column("process")
    table.add_column("saw")
    for name, lines in results["saw"].items():
        table.add_row(name, "\n".join(lines))
    console.print(table)
