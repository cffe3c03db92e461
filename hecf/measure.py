"""Count the seconds and bytes of a party, by stage; safe to use from several threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

STAGES = ("encode", "encrypt", "transfer", "compute", "decrypt", "release")


class Measurements:
    """Seconds by stage, and bytes of payload and messages sent and received.

    Parameters
    ----------
    stages : sequence of str, optional
        Names of the stages, in their order.
    """

    def __init__(self, stages: Sequence[str] = STAGES) -> None:
        self._lock = threading.Lock()
        self._seconds = dict.fromkeys(stages, 0.0)
        self._bytes = {"sent": 0, "received": 0}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the wall-clock seconds of the enclosed block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add_seconds(name, time.perf_counter() - start)

    def add_seconds(self, name: str, seconds: float) -> None:
        """Add seconds to a stage."""
        with self._lock:
            self._seconds[name] += seconds

    def add_bytes(self, *, sent: int = 0, received: int = 0) -> None:
        """Add bytes that crossed the network."""
        with self._lock:
            self._bytes["sent"] += sent
            self._bytes["received"] += received

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage so far."""
        with self._lock:
            return dict(self._seconds)

    @property
    def bytes(self) -> dict[str, int]:
        """Bytes sent and received so far."""
        with self._lock:
            return dict(self._bytes)
