"""Load that arrives by the clock and not when the last answer came, so that queueing shows.

A closed loop waits for each answer before it asks again; when a server is slow, it asks less often
and hides the wait of all who would have come meanwhile. Here every request has the time at which
it is due, and its latency counts from then.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from hecf.errors import HecfError, InvalidInput

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Request:
    """One request's times, in seconds of one clock.

    Parameters
    ----------
    due, begun, ended : float
    error : str
        The sentence that it ended with; empty when it was answered.
    """

    due: float
    begun: float
    ended: float
    error: str = ""

    @property
    def latency(self) -> float:
        """Seconds from when it was due to its answer."""
        return self.ended - self.due

    @property
    def service(self) -> float:
        """Seconds from when a client took it up to its answer."""
        return self.ended - self.begun


def offer(
    clients: Sequence[Callable[[int], object]], *, rate: float, seconds: float
) -> list[Request]:
    """Offer requests at even times to whichever client is idle.

    Parameters
    ----------
    clients : sequence of callables
        Each does one request at a time and takes its number, from 0.
    rate : float
        Requests that are due in a second.
    seconds : float
        How long requests fall due; those that are late are still answered.

    Returns
    -------
    list of Request
        In the order in which they were due.

    Raises
    ------
    InvalidInput
        If there is no client, or no request falls due.
    """
    count = int(rate * seconds) if rate > 0 and seconds > 0 else 0
    if not clients or count < 1:
        raise InvalidInput("there is nothing to offer", got=f"{len(clients)} clients, {count} due")
    idle: queue.SimpleQueue[Callable[[int], object]] = queue.SimpleQueue()
    for client in clients:
        idle.put(client)

    def answer(number: int, due: float) -> Request:
        client = idle.get()
        begun, error = time.perf_counter(), ""
        try:
            client(number)
        except HecfError as failed:
            error = str(failed)
        finally:
            idle.put(client)
        return Request(due, begun, time.perf_counter(), error)

    with ThreadPoolExecutor(len(clients)) as pool:
        start = time.perf_counter()
        running = []
        for number in range(count):
            due = start + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            running.append(pool.submit(answer, number, due))
        return [each.result() for each in running]


def summary(requests: Sequence[Request]) -> dict[str, object]:
    """Count requests, and take percentiles of latency and service over the answered ones."""
    answered = [request for request in requests if not request.error]
    found: dict[str, object] = {
        "requests": len(requests),
        "errors": sorted({request.error for request in requests if request.error}),
        "failed": len(requests) - len(answered),
    }
    if answered:
        span = max(each.ended for each in requests) - min(each.due for each in requests)
        found["answered_a_second"] = len(answered) / span
        for name in ("latency", "service"):
            seconds = [getattr(each, name) for each in answered]
            shares = np.percentile(seconds, PERCENTILES)
            found[f"{name}_seconds"] = {
                **{f"p{share}": float(at) for share, at in zip(PERCENTILES, shares, strict=True)},
                "maximum": max(seconds),
            }
    return found
