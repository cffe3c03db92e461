"""``hecf fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hecf.errors import ConfigurationError
from parties.commands.guard import check_target, guarded, write_json
from parties.commands.options import (
    ItemColumn,
    JsonFile,
    ModelName,
    RatingColumn,
    UserColumn,
    column_names,
)


@guarded
def fit(
    model: Annotated[ModelName, typer.Argument(help="Which recommender.")],
    out: Annotated[Path, typer.Option(help="Folder of the models, or with --kit the model file.")],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="NAME=FILE for each retailer: Parquet, CSV or .inter."),
    ] = None,
    kit: Annotated[
        Path | None,
        typer.Option(help="party.toml of a retailer, to fit with running parties instead."),
    ] = None,
    catalogue: Annotated[
        Path | None, typer.Option(help="With --kit: a file of the shared items, one a line.")
    ] = None,
    session: Annotated[
        str, typer.Option(help="With --kit: the name of this fit, the same at every retailer.")
    ] = "fit",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting, such as penalty=200.")
    ] = None,
    scheme: Annotated[
        str, typer.Option(help="ckks, paillier, or clear for the twin to compare.")
    ] = "ckks",
    user_column: UserColumn = "user_id",
    item_column: ItemColumn = "item_id",
    rating_column: RatingColumn = "rating",
    json_path: JsonFile = None,
) -> None:
    """Fit a recommender on the shoppers of several retailers, over encrypted sums."""
    from hecf.kits.kit import Kit
    from parties import recommending

    check_target(json_path)
    progress = Console(stderr=True)
    recommender = recommending.configured(model.value, settings or [])

    def show(step: str) -> None:
        progress.print(f"[dim]{step}[/dim]")

    if (kit is None) == (data is None):
        raise ConfigurationError("a fit needs either --data or --kit", expected="one of them")
    if kit is not None:
        check_target(out)
        items = None if catalogue is None else catalogue.read_text("utf-8").split("\n")
        shared = None if items is None else [item for item in items if item]
        loaded = Kit.load(kit, role="retailer")
        result = recommending.fit_with_kit(recommender, loaded, shared, session, out, show)
    else:
        columns = column_names(user_column, item_column, rating_column)
        files = _files(data or [])
        result = recommending.fit_together(recommender, files, columns, scheme, out, show)
    Console().print_json(data=result)
    write_json(json_path, result)


def _files(entries: list[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for entry in entries:
        name, separator, path = entry.partition("=")
        if not separator or not name or not path or name in files:
            raise ConfigurationError(
                "--data is not NAME=FILE with different names",
                got=entry,
                expected="north=a.parquet",
            )
        files[name] = Path(path)
    return files
