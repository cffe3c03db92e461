"""How processes end: signals as a flag and as an exception, and children with their parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import ROOT, alive, descendants, environment, make_coalition, until

from parties.processes.launcher import Launcher, PartyFailed
from parties.system.lifetime import (
    Stopped,
    StopSignal,
    caught,
    deferred_signals,
    raise_on_signals,
)

NUMBERS = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The signals of the process that runs the tests, given back."""
    before = {number: signal.getsignal(number) for number in (*NUMBERS, signal.SIGALRM)}
    yield
    caught()
    for number, handler in before.items():
        signal.signal(number, handler)


def kill_self(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_is_raised_once_and_later_ones_are_ignored(number: signal.Signals) -> None:
    raise_on_signals()
    with pytest.raises(Stopped):
        kill_self(number)
    for each in NUMBERS:
        kill_self(each)
    caught()


def test_a_signal_that_gets_lost_is_raised_again() -> None:
    raise_on_signals()
    # So does foreign code that tries an import and takes any failure for an answer.
    with contextlib.suppress(BaseException):
        kill_self(signal.SIGTERM)
    with pytest.raises(Stopped):
        time.sleep(5)
    caught()
    time.sleep(0.7)


def test_cleaning_up_is_not_interrupted_by_the_repetition() -> None:
    raise_on_signals()
    cleaned = False

    def work() -> None:
        nonlocal cleaned
        try:
            kill_self(signal.SIGINT)
        finally:
            time.sleep(0.7)
            cleaned = True

    with pytest.raises(Stopped):
        work()
    assert cleaned


def test_a_deferred_signal_arrives_after_the_block() -> None:
    raise_on_signals()
    reached = []

    def work() -> None:
        with deferred_signals():
            kill_self(signal.SIGTERM)
            reached.append("inside")
        reached.append("after")

    with pytest.raises(Stopped):
        work()
    assert reached == ["inside"]


def test_deferring_restores_what_was_before() -> None:
    seen = []
    for each in NUMBERS:
        signal.signal(each, lambda number, frame: seen.append(number))
    with deferred_signals():
        pass
    kill_self(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), deferred_signals():
        _ = 1 // 0
    kill_self(signal.SIGTERM)
    assert seen == [signal.SIGINT, signal.SIGTERM]


def test_deferring_in_another_thread_changes_nothing() -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with deferred_signals():
                time.sleep(0)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []


@pytest.mark.parametrize("number", NUMBERS)
def test_a_flag_interrupts_nothing_and_ends_a_wait(number: signal.Signals) -> None:
    stop = StopSignal()
    assert not stop.arrived
    kill_self(number)
    assert stop.arrived
    stop.wait()


def test_work_ends_by_itself_by_a_failure_or_by_the_signal() -> None:
    stop = StopSignal()
    done = []
    assert stop.run(lambda: done.append("work"))
    assert done == ["work"]
    with pytest.raises(ZeroDivisionError):
        stop.run(lambda: 1 // 0)  # type: ignore[arg-type,return-value]
    release = threading.Event()
    threading.Timer(0.2, kill_self, [signal.SIGTERM]).start()
    started = time.monotonic()
    assert not stop.run(lambda: release.wait(30))  # type: ignore[arg-type,return-value]
    assert time.monotonic() - started < 10
    release.set()


def test_a_failure_after_the_signal_counts_for_nothing() -> None:
    stop = StopSignal()

    def lose_the_others() -> None:
        until(lambda: stop.arrived, "the signal")
        raise ConnectionError

    threading.Timer(0.1, kill_self, [signal.SIGTERM]).start()
    assert not stop.run(lose_the_others)


def python(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )


@pytest.mark.parametrize(
    ("argument", "number", "code"),
    [("", signal.SIGINT, 130), ("", signal.SIGTERM, 143), ("0", signal.SIGTERM, 0)],
)
def test_while_there_is_nothing_to_clean_up_a_signal_exits_at_once(
    argument: str, number: signal.Signals, code: int
) -> None:
    with python(f"""
        import time
        from parties.system.lifetime import exit_on_signals
        exit_on_signals({argument})
        print("ready", flush=True)
        try:
            time.sleep(60)
        finally:
            print("unwound", flush=True)
        """) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(20) == code
        assert process.stdout.read() == ""


PARENT = """
    import subprocess, sys, time
    child = "import time; from parties.system.lifetime import die_with_parent as tie; {tie}"
    child += "print('tied', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", child])
    print(process.pid, flush=True)
    time.sleep(60)
    """


@pytest.mark.parametrize(("tie", "outlives"), [("tie(); ", False), ("", True)])
def test_a_tied_child_dies_with_its_parent(tie: str, outlives: bool) -> None:
    with python(PARENT.format(tie=tie)) as parent:
        assert parent.stdout is not None
        lines = {parent.stdout.readline().strip() for _ in range(2)}
        assert "tied" in lines
        [child] = (int(line) for line in lines - {"tied"})
        assert alive(child)
        parent.kill()
        parent.wait(20)
        if outlives:
            # The control: without the tie it lives on.
            time.sleep(0.3)
            assert alive(child)
            os.kill(child, signal.SIGKILL)
        until(lambda: not alive(child), "the end of the child", 10)


def test_all_processes_die_with_a_launcher_that_is_killed(tmp_path: Path) -> None:
    coalition = make_coalition(tmp_path / "coalition")
    kits = {name: str(path) for name, path in coalition.kits.items()}
    with python(f"""
        import time
        from pathlib import Path
        from parties.processes.launcher import Launcher
        logs = Path({str(tmp_path)!r})
        launcher = Launcher({{name: Path(kit) for name, kit in {kits!r}.items()}}, logs)
        launcher.start()
        launcher.wait_for_retailers(60)
        print("ready", flush=True)
        time.sleep(60)
        """) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        everybody = descendants(parent.pid)
        # Four parties and the decryption worker at least.
        assert len(everybody) >= 5
        parent.kill()
        parent.wait(20)
        until(lambda: not any(map(alive, everybody)), "the end of every process", 10)


def test_the_launcher_says_how_a_silent_process_ended(tmp_path: Path) -> None:
    coalition = make_coalition(tmp_path / "coalition")
    (coalition.kits["birch"] / "party.toml").write_text("[party]\n")
    with Launcher(coalition.kits, tmp_path) as launcher:
        launcher.start()
        with pytest.raises(PartyFailed) as got:
            launcher.wait_for_retailers(60)
    sentence = f"birch: party.role in {coalition.party('birch')} cannot be used: got nothing"
    assert str(got.value).startswith(sentence)
