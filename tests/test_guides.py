"""Every command in the guides is one that the program would accept."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from parties.cli import app

DOCS = Path(__file__).resolve().parents[1] / "docs"
LINES = [
    (guide.name, line)
    for guide in sorted(DOCS.glob("*.md"))
    for line in re.findall(r"^\$ \.venv/bin/hecf ([^#\n]*)", guide.read_text(), flags=re.MULTILINE)
]


def parse(line: str):
    command, words = typer.main.get_command(app), shlex.split(line)
    # Some releases of typer bring a click of their own, so types say nothing.
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    return command.make_context("hecf", words)


def test_the_guides_have_commands() -> None:
    assert len(LINES) >= 10
    with pytest.raises(Exception, match="No such option"):
        parse("fit ease --penalty 50 --out models")


@pytest.mark.parametrize(("guide", "line"), LINES)
def test_commands_of_the_guides_parse(guide, line) -> None:
    assert parse(line).params
