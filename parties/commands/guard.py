"""What every command does around its work: one sentence for an error, a code for a signal."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import typer

from hecf.errors import ConfigurationError, HecfError
from hecf.kits.files import write_public
from parties.system.lifetime import ERROR_PREFIX, Stopped, caught

P = ParamSpec("P")
_INTERRUPTED = 130


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


def check_target(path: Path | None) -> None:
    """Refuse a file that could not be written, before the work is done."""
    if path is not None and (path.is_dir() or not path.resolve().parent.is_dir()):
        raise ConfigurationError(
            f"{path} cannot be written", got="a folder or a path into none", expected="a file"
        )


def write_json(path: Path | None, found: object) -> None:
    """Write what a command found for programs to read, if a file was named."""
    if path is not None:
        write_public(path, as_text(found).encode())


def as_text(found: object) -> str:
    """Write out what a command found as the JSON of a file."""
    return json.dumps(found, indent=1) + "\n"
