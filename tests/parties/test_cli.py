"""The command line: its commands, exit codes, and what a failure shows."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from processes import ROOT, environment, make_coalition
from typer.testing import CliRunner

from hecf import __version__, errors
from hecf.errors import HecfError
from parties.cli import app
from parties.commands.guard import guarded
from parties.system.lifetime import Stopped

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The commands take signals as their own, which these tests must give back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def outcome(raised: BaseException | None) -> tuple[int, str, str]:
    """Exit code and outputs of a command that ends with an exception."""
    program = typer.Typer(pretty_exceptions_enable=False)

    def command() -> None:
        typer.echo("done so far")
        if raised is not None:
            raise raised

    program.command()(guarded(command))
    result = RUNNER.invoke(program, [])
    return result.exit_code, result.stdout, result.stderr


def test_success_says_nothing_more() -> None:
    assert outcome(None) == (0, "done so far\n", "")


@pytest.mark.parametrize(
    "kind",
    [member for member in vars(errors).values() if isinstance(member, type)],
    ids=lambda kind: kind.__name__,
)
def test_a_deliberate_error_is_one_sentence_and_code_1(kind: type[HecfError]) -> None:
    error = kind("the thing is wrong", got="this", expected="that")
    sentence = "error: the thing is wrong: got this, expected that\n"
    assert outcome(error) == (1, "done so far\n", sentence)


def test_an_error_of_the_operating_system_is_one_sentence() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/kits")
    expected = "error: the operating system refuses: No space left on device (/tmp/kits)\n"
    assert outcome(full) == (1, "done so far\n", expected)
    bare = BlockingIOError()
    assert outcome(bare)[2] == "error: the operating system refuses: BlockingIOError\n"


def test_a_signal_is_code_130() -> None:
    assert outcome(Stopped()) == (130, "done so far\n", "stopped\n")


def test_version_and_help() -> None:
    assert RUNNER.invoke(app, ["--version"]).stdout == f"{__version__}\n"
    shown = RUNNER.invoke(app, ["--help"]).stdout
    for command in ("demo", "provision", "serve", "doctor"):
        assert re.search(rf"\b{command}\b", shown)
    # What only the demonstration calls is not advertised.
    assert "reference" not in shown
    assert RUNNER.invoke(app, []).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "auditor", "--config", "party.toml"],
        ["serve", "retailer"],
        ["demo", "--scheme", "rsa"],
        ["demo", "--transport", "pigeon"],
        ["demo", "--shoppers", "many"],
        ["provision"],
        ["deploy"],
    ],
)
def test_a_wrong_option_is_usage_and_code_2(arguments: list[str]) -> None:
    result = RUNNER.invoke(app, arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert "Traceback" not in result.stderr


def test_provision_lists_the_kits(tmp_path: Path) -> None:
    coalition = make_coalition(tmp_path / "coalition")
    source, out = coalition.folder / "coalition.toml", tmp_path / "again"
    result = RUNNER.invoke(app, ["provision", str(source), "--out", str(out)])
    assert result.exit_code == 0
    first, *kits = result.stdout.splitlines()
    assert re.fullmatch(r"coalition loyal [0-9a-f]{32}", first)
    assert coalition.terms.identifier not in first
    assert kits == [f"{name}: {out / name}" for name in coalition.kits]


def test_provision_refuses_a_validity_out_of_range(tmp_path: Path) -> None:
    coalition = make_coalition(tmp_path / "coalition")
    source, out = coalition.folder / "coalition.toml", tmp_path / "again"
    result = RUNNER.invoke(
        app, ["provision", str(source), "--out", str(out), "--validity-days", "0"]
    )
    assert result.exit_code == 1
    assert "got 0 days, expected 1 to 3650 days" in result.stderr
    assert not out.exists()


def test_doctor_writes_what_it_found(tmp_path: Path) -> None:
    path = tmp_path / "findings.json"
    result = RUNNER.invoke(app, ["doctor", "--json", str(path)])
    findings = json.loads(path.read_text())
    assert findings["self_test"]["passed"]
    assert 0 < findings["self_test"]["error"] <= findings["self_test"]["bound"]
    assert result.exit_code == (1 if findings["problems"] else 0)
    assert findings["versions"]["hecf"] == __version__
    assert "self-test" in result.stdout


@pytest.mark.parametrize(
    "command", [[sys.executable, "-m", "parties"], [str(Path(sys.executable).with_name("hecf"))]]
)
def test_both_ways_to_call_it_are_the_same(command: list[str], tmp_path: Path) -> None:
    if not Path(command[0]).exists():
        # An interpreter without the installed package has the first way only.
        command = [sys.executable, "-c", "from parties.cli import main; main()"]
    run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
    arguments = ["serve", "retailer", "--config", str(tmp_path / "none.toml")]
    done = run([*command, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment())
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"error: {tmp_path / 'none.toml'} cannot be read: "
        "got No such file or directory, expected a readable file\n"
    )


def test_nothing_slow_is_imported_before_a_command_runs() -> None:
    """Until then a signal ends the process silently; a second of imports would be a traceback."""
    code = "import sys, parties.cli; print({'numpy', 'scipy', 'grpc'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
    control = subprocess.run(
        [sys.executable, "-c", code.replace("parties.cli", "parties.cli, numpy")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert control.stdout.strip() == "{'numpy'}"
