"""The largest resident memory of this process and of those below it, as the kernel counts it."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

THIS_PROCESS, WORKER = "this process", "largest worker process"
_LOOK_SECONDS = 0.2


def resident(name: str, pid: int | str = "self") -> int:
    """Return a line of a process's status in bytes: VmRSS now, VmHWM at its peak.

    Raises
    ------
    OSError
        If the system does not tell.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/{pid}/status has no {name}")


def restart_peak() -> None:
    """Let the high-water mark of this process start anew."""
    Path("/proc/self/clear_refs").write_text("5")


class PeakMemory:
    """Watches memory as a context manager; :attr:`peaks` in bytes, empty where /proc is missing.

    The kernel keeps the high-water mark of every process, so that looking a few times a second
    misses only what a process grows by just before its end.
    """

    def __init__(self) -> None:
        self.peaks: dict[str, int] = {}
        self._by_process: dict[int, tuple[str, int]] = {}
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        with suppress(OSError):
            restart_peak()
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._watcher.join()
        with suppress(OSError):
            self.peaks[THIS_PROCESS] = resident("VmHWM")
        for name, peak in self._by_process.values():
            # The processes of one party count together, other processes each for itself.
            before = self.peaks.get(name, 0)
            self.peaks[name] = max(before, peak) if name == WORKER else before + peak

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self._look("self", WORKER)

    def _look(self, pid: int | str, owner: str) -> None:
        with suppress(OSError):
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                for child in map(int, children.read_text().split()):
                    name = owner if owner != WORKER else _party(child)
                    with suppress(OSError):
                        self._by_process[child] = name, resident("VmHWM", child)
                    self._look(child, name)


def _party(pid: int) -> str:
    """Name of the party that a process was started for, from the path of its kit."""
    with suppress(OSError):
        for word in Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0"):
            if word.endswith("/party.toml"):
                return Path(word).parent.name
    return WORKER
