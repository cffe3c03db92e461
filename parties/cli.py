"""The ``hecf`` command."""

from __future__ import annotations

from typing import Annotated

import typer

from hecf import __version__
from hecf.threads import limit_threads_from_environment
from parties.commands import audit
from parties.commands.bench import bench
from parties.commands.data import data
from parties.commands.demo import demo
from parties.commands.doctor import doctor
from parties.commands.evaluate import evaluate
from parties.commands.fit import fit
from parties.commands.guard import guarded
from parties.commands.keys import app as keys
from parties.commands.ledger import app as ledger
from parties.commands.lookalike import app as lookalike
from parties.commands.plan import plan
from parties.commands.privacy_utility import privacy_utility
from parties.commands.provision import provision
from parties.commands.recommend import recommend
from parties.commands.reference import reference
from parties.commands.renew import renew
from parties.commands.report import report
from parties.commands.serve import serve
from parties.commands.similar import similar
from parties.commands.tasks import app as tasks
from parties.system.lifetime import exit_on_signals

app = typer.Typer(
    name="hecf",
    help="Homomorphic encryption for secure collaborative filtering between companies.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(demo)
app.command()(provision)
app.command()(renew)
app.command()(serve)
app.command()(plan)
app.command()(fit)
app.command()(recommend)
app.command()(similar)
app.add_typer(lookalike, name="lookalike")
app.command()(evaluate)
app.add_typer(data)
app.add_typer(bench, name="bench")
app.command()(privacy_utility)
app.command()(report)
app.command()(doctor)
app.add_typer(keys, name="keys")
app.add_typer(ledger, name="ledger")
app.add_typer(audit.app, name="audit")
app.add_typer(tasks, name="tasks")
app.command(hidden=True)(reference)


@app.callback(invoke_without_command=True)
@guarded
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
    limit_threads_from_environment()


def main() -> None:
    """Run the command line."""
    # Until a command has something to clean up; importing what it needs takes a second.
    exit_on_signals()
    app()
