"""``hecf demo``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hecf.errors import ConfigurationError
from parties.commands.guard import check_target, guarded, write_json
from parties.system.lifetime import raise_on_signals


class Items(StrEnum):
    """What the demonstration recommends."""

    product_type = "product_type"
    product = "product"


class SchemeName(StrEnum):
    """How it is encrypted."""

    ckks = "ckks"
    paillier = "paillier"
    clear = "clear"


class Transport(StrEnum):
    """How the parties talk."""

    grpc = "grpc"
    memory = "memory"


class Story(StrEnum):
    """What is demonstrated."""

    loyalty = "loyalty"
    franchise = "franchise"
    lookalike = "lookalike"


@guarded
def demo(
    story: Annotated[
        Story | None,
        typer.Argument(
            help="Shared shoppers (loyalty), a shared catalogue (franchise), or one's best "
            "customers and another's shoppers like them (lookalike).",
            show_default="loyalty, or franchise under Paillier",
        ),
    ] = None,
    items: Annotated[Items, typer.Option(help="What is recommended.")] = Items.product_type,
    scheme: Annotated[SchemeName, typer.Option(help="Encryption scheme.")] = SchemeName.ckks,
    transport: Annotated[
        Transport,
        typer.Option(
            help="One process for each party over mTLS, or one process for all.",
        ),
    ] = Transport.grpc,
    shoppers: Annotated[int | None, typer.Option(help="Use the first N households.")] = None,
    factors: Annotated[int, typer.Option(help="Columns of each local embedding.")] = 32,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the split.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write results here.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report here.")] = None,
) -> None:
    """Run a coalition on the Complete Journey data: a loyalty programme, or groups of stores."""
    from hecf.kits.files import write_public
    from parties.demonstrations import loyalty_programme as demonstration
    from parties.demonstrations import terminal

    raise_on_signals()
    for path in (json_path, report):
        check_target(path)
    progress = Console(stderr=True)
    sums_only = scheme is SchemeName.paillier
    story = story or (Story.franchise if sums_only else Story.loyalty)
    if sums_only and story is not Story.franchise:
        raise ConfigurationError(
            f"the {story.value} demonstration multiplies two encrypted matrices",
            got="--scheme paillier, which adds only",
            expected="--scheme ckks, or hecf demo franchise",
        )
    if story is not Story.loyalty:
        if (shoppers, seed, report, items, factors) != (None, None, None, Items.product_type, 32):
            raise ConfigurationError(
                f"the {story.value} demonstration has no such option",
                expected="--scheme, --transport and --json",
            )
        _tell(story, scheme.value, transport, json_path, progress)
        return
    options = demonstration.DemoOptions(
        items=items.value,
        scheme=scheme.value,
        transport=transport.value,
        shoppers=shoppers,
        factors=factors,
        seed=seed,
    )
    with progress.status("starting") as status:

        def show(step: str) -> None:
            status.update(step)
            progress.print(f"[dim]{step}[/dim]")

        results = demonstration.run(options, show)
    terminal.show(results, Console())
    write_json(json_path, results)
    if report is not None:
        from parties.report import render

        write_public(report, render(results).encode())
        progress.print(f"report: {report}")


def _tell(
    story: Story,
    scheme: str,
    transport: Transport,
    json_path: Path | None,
    progress: Console,
) -> None:
    from parties.demonstrations import franchise, lookalike

    def show(step: str) -> None:
        progress.print(f"[dim]{step}[/dim]")

    if story is Story.franchise:
        results = franchise.run(scheme, transport.value, show)
        franchise.show(results, Console())
    else:
        results = lookalike.run(scheme, transport.value, show)
        lookalike.show(results, Console())
    write_json(json_path, results)
