"""Wait for another party, with an end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hecf.errors import PartyMissing, Unavailable

_LOOK_UP_SECONDS = 0.2

Active = Callable[[], bool]


def always() -> bool:
    """Say that a caller is still there."""
    return True


class Board:
    """Shared state that handlers change and wait on.

    Parameters
    ----------
    patience_seconds : float
        How long a wait lasts at most.
    """

    def __init__(self, patience_seconds: float) -> None:
        self._condition = threading.Condition()
        self._patience = patience_seconds
        self._closed = False

    @contextmanager
    def change(self) -> Iterator[None]:
        """Hold the lock, and wake everybody who waits at the end."""
        with self._condition:
            yield
            self._condition.notify_all()

    def wait(self, ready: Callable[[], bool], missing: Callable[[], str], active: Active) -> None:
        """Wait until `ready()` holds, which is asked under the lock.

        Raises
        ------
        PartyMissing
            If patience ends; `missing()` says whose action is awaited.
        Unavailable
            If the caller went away or the service is closing.
        """
        deadline = time.monotonic() + self._patience
        with self._condition:
            while not ready():
                if self._closed or not active():
                    raise Unavailable("the service is closing or the caller has gone")
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise PartyMissing(
                        f"{missing()} did not act", got=f"nothing in {self._patience:g} seconds"
                    )
                self._condition.wait(min(remaining, _LOOK_UP_SECONDS))

    def close(self) -> None:
        """End every wait."""
        with self.change():
            self._closed = True
