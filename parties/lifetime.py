"""Signals, and the rule that a child does not outlive its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from types import FrameType

_PR_SET_PDEATHSIG = 1


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


def raise_on_signals() -> None:
    """Turn SIGTERM and SIGINT into :class:`Stopped` in the main thread, once."""

    def handle(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        raise Stopped

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def wait_for_signal() -> None:
    """Sleep until SIGTERM or SIGINT, which :func:`raise_on_signals` turns into Stopped."""
    idle = threading.Event()
    while True:
        idle.wait(3600)
