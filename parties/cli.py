"""The ``hecf`` command."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ParamSpec

import typer
from rich.console import Console

from hecf import __version__
from hecf.errors import HecfError
from parties.lifetime import (
    ERROR_PREFIX,
    Stopped,
    caught,
    die_with_parent,
    exit_on_signals,
    raise_on_signals,
)

app = typer.Typer(
    name="hecf",
    help="Homomorphic encryption for secure collaborative filtering between companies.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

P = ParamSpec("P")
_INTERRUPTED = 130


class Items(StrEnum):
    """What the demonstration recommends."""

    product_type = "product_type"
    product = "product"


class SchemeName(StrEnum):
    """How it is encrypted."""

    ckks = "ckks"
    clear = "clear"


class Transport(StrEnum):
    """How the parties talk."""

    grpc = "grpc"
    memory = "memory"


class Role(StrEnum):
    """What a party is."""

    compute_node = "compute-node"
    key_holder = "key-holder"
    retailer = "retailer"


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Turn a deliberate error into one sentence and exit code 1, a signal into code 130."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except HecfError as error:
            sys.stderr.write(f"{ERROR_PREFIX}{error}\n")
            raise typer.Exit(1) from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            where = f" ({error.filename})" if error.filename else ""
            sys.stderr.write(f"{ERROR_PREFIX}the operating system refuses: {reason}{where}\n")
            raise typer.Exit(1) from None
        except Stopped:
            caught()
            sys.stderr.write("stopped\n")
            raise typer.Exit(_INTERRUPTED) from None

    return run


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
@guarded
def demo(
    items: Annotated[Items, typer.Option(help="What is recommended.")] = Items.product_type,
    scheme: Annotated[SchemeName, typer.Option(help="Encryption scheme.")] = SchemeName.ckks,
    transport: Annotated[
        Transport, typer.Option(help="Six processes over mTLS, or one process.")
    ] = Transport.grpc,
    shoppers: Annotated[int | None, typer.Option(help="Use the first N households.")] = None,
    factors: Annotated[int, typer.Option(help="Columns of each local embedding.")] = 32,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the split.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write results here.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report here.")] = None,
) -> None:
    """Run the cross-retailer loyalty programme on the Complete Journey data."""
    from parties import demo as demonstration
    from parties import terminal
    from parties.files import write_public

    raise_on_signals()
    for path in (json_path, report):
        _check_target(path)
    options = demonstration.DemoOptions(
        items=items.value,
        scheme=scheme.value,
        transport=transport.value,
        shoppers=shoppers,
        factors=factors,
        seed=seed,
    )
    progress = Console(stderr=True)
    with progress.status("starting") as status:

        def show(step: str) -> None:
            status.update(step)
            progress.print(f"[dim]{step}[/dim]")

        results = demonstration.run(options, show)
    terminal.show(results, Console())
    if json_path is not None:
        write_public(json_path, (json.dumps(results, indent=1) + "\n").encode())
    if report is not None:
        from parties.report import render

        write_public(report, render(results).encode())
        progress.print(f"report: {report}")


@app.command()
@guarded
def provision(
    configuration: Annotated[Path, typer.Argument(help="The coalition's TOML file.")],
    out: Annotated[Path, typer.Option(help="Folder for the kits; must be new or empty.")],
    validity_days: Annotated[int, typer.Option(help="Days until certificates expire.")] = 365,
) -> None:
    """Write a start-up kit for every party of a coalition."""
    from parties import provision as provisioning
    from parties.configuration import CoalitionConfiguration

    raise_on_signals()
    loaded = CoalitionConfiguration.load(configuration)
    made = provisioning.provision(loaded, out, validity_days=validity_days)
    typer.echo(f"coalition {made.terms.coalition} {made.identifier}")
    for name, folder in made.kits.items():
        typer.echo(f"{name}: {folder}")


@app.command()
@guarded
def serve(
    role: Annotated[Role, typer.Argument(help="What this party is.")],
    config: Annotated[Path, typer.Option(help="The kit's party.toml.")],
    exit_with_parent: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run one party until SIGTERM."""
    from parties import serve as serving

    serving.serve(role.value, config, exit_with_parent=exit_with_parent)


@app.command()
@guarded
def doctor(
    calibrate: Annotated[
        bool, typer.Option(help="Measure this machine and store it for hecf plan.")
    ] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write findings here.")] = None,
) -> None:
    """Print versions, processor, BLAS threads, a self-test and what is missing."""
    from parties import doctor as examination
    from parties.files import write_public

    findings = examination.examine()
    examination.show(findings, Console())
    if calibrate:
        from parties import calibration

        calibration.store(calibration.measure())
        typer.echo(f"calibration stored in {calibration.path()}")
    if json_path is not None:
        write_public(json_path, (json.dumps(findings, indent=1) + "\n").encode())
    if findings["problems"]:
        raise typer.Exit(1)


@app.command()
@guarded
def plan(
    operation: Annotated[str, typer.Option(help="sum, gram or score.")],
    precision: Annotated[float, typer.Option(help="Largest deviation of a result.")] = 2.0**-16,
    releases: Annotated[int, typer.Option(help="Results released under one key.")] = 4096,
    statistical_bits: Annotated[int, typer.Option(help="Strength of flooding noise.")] = 30,
    shoppers: Annotated[int, typer.Option(help="Rows of gram, shoppers of score.")] = 2467,
    left: Annotated[int, typer.Option(help="Left columns of gram, factors of score.")] = 32,
    right: Annotated[int, typer.Option(help="Right columns of gram.")] = 32,
    items: Annotated[int, typer.Option(help="Items of score.")] = 1000,
    values: Annotated[int, typer.Option(help="Values of sum.")] = 65_536,
    parties: Annotated[int, typer.Option(help="Contributions of sum and score.")] = 3,
    bound: Annotated[float, typer.Option(help="Largest value of sum and score.")] = 1.0,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the plan here.")] = None,
) -> None:
    """Choose layout, parameters and scales for an encrypted operation, and say what it costs."""
    from parties import planning
    from parties.files import write_public

    request = planning.Request(
        operation=operation,
        precision=precision,
        releases=releases,
        statistical_bits=statistical_bits,
        shoppers=shoppers,
        left=left,
        right=right,
        items=items,
        values=values,
        parties=parties,
        bound=bound,
    )
    found = planning.described(request)
    planning.show(found, Console())
    if json_path is not None:
        write_public(json_path, (json.dumps(found, indent=1) + "\n").encode())


@app.command()
@guarded
def bench(
    jobs: Annotated[list[str] | None, typer.Argument(help="Jobs; all by default.")] = None,
    quick: Annotated[bool, typer.Option(help="Small sizes, to see that it runs.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write results here.")] = None,
) -> None:
    """Measure what encryption costs, beside baselines in the same run."""
    from parties import benchmarking
    from parties.files import write_public

    raise_on_signals()
    _check_target(json_path)
    progress = Console(stderr=True)
    found = benchmarking.run(jobs or [], quick=quick, progress=progress.print)
    benchmarking.show(found, Console())
    if json_path is not None:
        write_public(json_path, (json.dumps(found, indent=1) + "\n").encode())


@app.command(hidden=True)
@guarded
def reference(
    kits: Annotated[Path, typer.Option(help="Folder of a demonstration's kits.")],
    example: Annotated[str, typer.Option(help="Retailer of the example.")],
    json_path: Annotated[Path, typer.Option("--json", help="Write results here.")],
    exit_with_parent: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Compute the clear twin of a demonstration."""
    from parties.files import write_private
    from parties.kit import Kit
    from parties.reference import compare

    if exit_with_parent:
        die_with_parent()
    retailers = Kit.load(kits / example / "party.toml").terms.retailers
    loaded = {name: Kit.load(kits / name / "party.toml") for name in retailers}
    write_private(json_path, json.dumps(compare(loaded, retailers, example)).encode())


def _check_target(path: Path | None) -> None:
    """Refuse a file that could not be written before half a minute is spent."""
    from hecf.errors import ConfigurationError

    if path is not None and (path.is_dir() or not path.resolve().parent.is_dir()):
        raise ConfigurationError(
            f"{path} cannot be written", got="a folder or a path into none", expected="a file"
        )


def main() -> None:
    """Run the command line."""
    # Until a command has something to clean up; importing what it needs takes a second.
    exit_on_signals()
    app()
