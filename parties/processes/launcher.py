"""Start a coalition's processes, watch them, and end them all, whatever happens."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from hecf.errors import HecfError, PartyMissing
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER, RETAILER
from parties.processes.serve import SUMMARY
from parties.system.lifetime import ERROR_PREFIX, deferred_signals

_SENTENCE_BYTES = 4096
_LOOK_UP_SECONDS = 0.05
_STOP_SECONDS = 15.0


class PartyFailed(HecfError):
    """A party's process ended with an error of its own, which is repeated here."""


class Launcher:
    """The six processes of a coalition, as a context manager.

    Parameters
    ----------
    kits : mapping of str to Path
        Kit folders by party name; each process gets its own kit and nothing else.
    logs : Path
        Folder for what the processes write on stderr.
    within : callable
        Words before the command of a party by its name, such as those that enter a network
        namespace; they must become the party's process in the end.
    """

    def __init__(
        self,
        kits: Mapping[str, Path],
        logs: Path,
        within: Callable[[str], Sequence[str]] = lambda name: (),
    ) -> None:
        self._kits = kits
        self._logs = logs
        self._within = within
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start every party: compute node and key holder first."""
        for name in self._kits:
            role = name if name in (COMPUTE_NODE, KEY_HOLDER) else RETAILER
            self._start(role, name)

    @property
    def processes(self) -> list[dict[str, object]]:
        """Role, name and process identifier of every party."""
        return [
            {
                "role": name if name in (COMPUTE_NODE, KEY_HOLDER) else RETAILER,
                "name": name,
                "pid": child.pid,
            }
            for name, child in self._children.items()
        ]

    def wait_for_retailers(
        self, seconds: float, on_finished: Callable[[str], None] = lambda name: None
    ) -> None:
        """Wait until every retailer has written its summary.

        Raises
        ------
        PartyFailed
            If a process ends before; the message is its own.
        PartyMissing
            If the time is up.
        """
        deadline = time.monotonic() + seconds
        waiting = [name for name in self._kits if name not in (COMPUTE_NODE, KEY_HOLDER)]
        while waiting:
            for name in list(waiting):
                if (self._kits[name] / "output" / SUMMARY).exists():
                    waiting.remove(name)
                    on_finished(name)
            self._check_alive()
            if time.monotonic() > deadline:
                raise PartyMissing(
                    f"{', '.join(waiting)} did not finish", got=f"nothing in {seconds:g} seconds"
                )
            time.sleep(_LOOK_UP_SECONDS)

    def stop(self) -> None:
        """Send SIGTERM to every process, wait, and kill what does not end."""
        with deferred_signals():
            for child in self._children.values():
                if child.poll() is None:
                    child.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + _STOP_SECONDS
            for child in self._children.values():
                try:
                    child.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()

    def _start(self, role: str, name: str) -> None:
        command = [
            *self._within(name),
            sys.executable,
            "-m",
            "parties",
            "serve",
            role,
            "--config",
            str(self._kits[name] / "party.toml"),
            "--exit-with-parent",
        ]
        # One BLAS thread each: the parties share this machine's cores.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        # A signal in between would leave a process that nobody knows.
        with deferred_signals(), (self._logs / f"{name}.log").open("wb") as log:
            self._children[name] = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                # Its own group, so that Ctrl-C reaches this process alone, which ends the others.
                start_new_session=True,
            )

    def _check_alive(self) -> None:
        for name, child in self._children.items():
            code = child.poll()
            if code is not None:
                raise PartyFailed(f"{name}: {self._last_error(name, code)}")

    def _last_error(self, name: str, code: int) -> str:
        with contextlib.suppress(OSError):
            lines = (self._logs / f"{name}.log").read_text(errors="replace").splitlines()
            for line in reversed(lines):
                if line.startswith(ERROR_PREFIX):
                    return line.removeprefix(ERROR_PREFIX)
        # A process on a full disk ends without its sentence: there was no room for that either.
        full = shutil.disk_usage(self._logs).free < _SENTENCE_BYTES
        return f"the process ended with code {code}" + (": No space left on device" if full else "")


__all__ = ["Launcher", "PartyFailed"]
