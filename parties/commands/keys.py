"""``hecf keys``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parties.commands.guard import guarded, write_json

app = typer.Typer(help="Generate, show, rotate or expire a key holder's key.", no_args_is_help=True)

Config = Annotated[Path, typer.Option(help="The key holder's party.toml.")]
Days = Annotated[int, typer.Option(help="Days until the key expires.")]
Passphrase = Annotated[
    bool, typer.Option("--passphrase", help="Ask for a passphrase; HECF_PASSPHRASE gives it later.")
]


@app.command()
@guarded
def generate(config: Config, days: Days = 365, passphrase: Passphrase = False) -> None:
    """Draw the coalition's key pair, which otherwise the first start does."""
    from parties.custody import key_epochs

    typer.echo(key_epochs.generate(config, days, _asked(passphrase)))


@app.command()
@guarded
def show(
    config: Config,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write it here.")] = None,
) -> None:
    """Print every epoch with its fingerprint, dates and releases."""
    from parties.custody import key_epochs

    found = key_epochs.described(config)
    for line in key_epochs.lines(found):
        typer.echo(line)
    write_json(json_path, found)


@app.command()
@guarded
def rotate(config: Config, days: Days = 365, passphrase: Passphrase = False) -> None:
    """Replace the key by a new one; what is encrypted under the old one is lost.

    Stop the key holder first, and start it again afterwards. What was released stays; retailers
    contribute anew to what was not, when they run again.
    """
    from parties.custody import key_epochs

    typer.echo(key_epochs.rotate(config, days, _asked(passphrase)))


@app.command()
@guarded
def expire(config: Config) -> None:
    """Let the present key end now."""
    from parties.custody import key_epochs

    typer.echo(key_epochs.expire(config))


def _asked(wanted: bool) -> str | None:
    if not wanted:
        return None
    answer: str = typer.prompt("passphrase", hide_input=True, confirmation_prompt=True, err=True)
    return answer
