"""How a process ends: by signals, with one sentence, and never later than its parent.

A party takes a signal as a flag (:class:`StopSignal`), because an exception that a signal raises
in the middle of a library can leave a lock of that library locked for ever. A command that only
runs for a while takes it as an exception (:func:`raise_on_signals`), which cleans up on its way.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ERROR_PREFIX = "error: "
"""How the one sentence of a process that fails begins."""

_PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LOOK_UP_SECONDS = 0.1
_AGAIN_SECONDS = 0.5


class Stopped(BaseException):
    """SIGTERM or SIGINT arrived while the main thread was working."""


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the parent ends; does nothing where there is no prctl."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def leave_signals_to_parent() -> None:
    """Ignore SIGTERM and SIGINT: Ctrl-C in a terminal reaches a worker as well as its parent."""
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)


def exit_on_signals(code: int | None = None) -> None:
    """Let SIGTERM and SIGINT end the process at once, while there is nothing to clean up yet.

    Parameters
    ----------
    code : int, optional
        Exit code; 128 plus the number of the signal by default, as shells count.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        os._exit(128 + number if code is None else code)

    for each in _SIGNALS:
        signal.signal(each, handle)


class StopSignal:
    """SIGTERM or SIGINT as a flag that the main thread looks at; it interrupts nothing."""

    def __init__(self) -> None:
        self.arrived = False
        for each in _SIGNALS:
            signal.signal(each, self._remember)

    def run(self, work: Callable[[], None]) -> bool:
        """Run `work` in a thread of its own until it ends or the signal arrives.

        Returns
        -------
        bool
            False if the signal came first; the thread may then run on until the process ends,
            and what it raises counts for nothing, because the others stop as well.

        Raises
        ------
        BaseException
            Whatever `work` raises before the signal.
        """
        failures: list[BaseException] = []

        def body() -> None:
            try:
                work()
            except BaseException as error:  # it is raised again in the main thread
                failures.append(error)

        thread = threading.Thread(target=body, name="work", daemon=True)
        thread.start()
        while thread.is_alive():
            if self.arrived:
                return False
            thread.join(_LOOK_UP_SECONDS)
        if failures and not self.arrived:
            raise failures[0]
        return not failures

    def wait(self) -> None:
        """Sleep until the signal arrives."""
        # Looked up again and again: a signal just before a long sleep would not shorten it.
        while not self.arrived:
            time.sleep(_LOOK_UP_SECONDS)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.arrived = True


def raise_on_signals() -> None:
    """Turn SIGTERM and SIGINT into :class:`Stopped` in the main thread, once.

    Foreign code can lose an exception, for example in an import that it tries. Therefore it is
    raised again until something unwinds because of it; whoever catches it calls :func:`caught`.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, again)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS, _AGAIN_SECONDS)
        raise Stopped

    def again(number: int, frame: FrameType | None) -> None:
        error = sys.exception()
        while error is not None:
            if isinstance(error, Stopped):
                return
            error = error.__context__
        raise Stopped

    for each in _SIGNALS:
        signal.signal(each, handle)


def caught() -> None:
    """Say that :class:`Stopped` has arrived where it should."""
    signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Let a signal wait until the enclosed block has ended; for starting and for cleaning up."""
    if threading.current_thread() is not threading.main_thread():
        # Signals are handled in the main thread only, so they cannot interrupt this one.
        yield
        return
    arrived: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        arrived.append(number)

    before = {each: signal.signal(each, remember) for each in (*_SIGNALS, signal.SIGALRM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        if arrived:
            signal.raise_signal(arrived[0])


__all__ = [
    "ERROR_PREFIX",
    "StopSignal",
    "Stopped",
    "caught",
    "deferred_signals",
    "die_with_parent",
    "exit_on_signals",
    "leave_signals_to_parent",
    "raise_on_signals",
]
