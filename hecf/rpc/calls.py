"""The open calls of a server: whom they belong to, and what ends them early.

A call ends early when its certificate is revoked (control C04), its party exceeds a quota (C06),
it lasts too long (C26) or the server drains (C28). It is told through its own thread where that
runs, so that the client reads why; a call whose thread waits for the network is cancelled.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from hecf.errors import HecfError, PartyMissing, PermissionDenied, Unavailable
from hecf.rpc.allowed import AllowedCertificates
from hecf.rpc.identity import Party
from hecf.rpc.quotas import PartyUsage, ServerLimits
from hecf.rpc.secret_material import refuse_secret_material

TICK_SECONDS = 0.5
_TASK_BYTES = 8


class OpenCall:
    """One call from its admission to its end; handlers get it as their context."""

    def __init__(
        self, context: Any, party: Party, fingerprint: str, deadline: float, calls: Calls
    ) -> None:
        self.party = party
        self.fingerprint = fingerprint
        self.deadline = deadline
        self.refusal: HecfError | None = None
        self.received = 0
        self.sent = 0
        self.task = ""
        self._context = context
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        """Whatever else a handler asks of its context."""
        return getattr(self._context, name)

    def is_active(self) -> bool:
        """Whether the caller is still there and may be."""
        return self.refusal is None and bool(self._context.is_active())

    def check(self) -> None:
        """Raise what ends this call early, if anything does."""
        if self.refusal is not None:
            raise self.refusal

    def requests(self, messages: Iterator[Any]) -> Iterator[Any]:
        """Pass on the messages of an upload, counted, until something ends the call."""
        for message in messages:
            self.receive(message)
            self.check()
            refuse_secret_material(getattr(message, "chunk", b""))
            yield message

    def receive(self, message: Any) -> None:
        """Count a request; raises LimitExceeded."""
        size = message.ByteSize()
        self.received += size
        self.task = self.task or _task_of(message)
        self._calls.transfer(self.party, size)

    def send(self, message: Any) -> None:
        """Count a response; raises LimitExceeded."""
        size = message.ByteSize()
        self.sent += size
        self.task = self.task or _task_of(message)
        self._calls.transfer(self.party, size)


def _task_of(message: Any) -> str:
    """Return the start of the task identifier that a message carries in itself or its header."""
    header = getattr(message, "header", message)
    identifier = getattr(header, "task_id", b"")
    return bytes(identifier[:_TASK_BYTES]).hex()


class Calls:
    """Admits calls within the caps, and ends those that must not go on.

    Parameters
    ----------
    limits : ServerLimits
    allowed : callable
        Returns the certificates that are allowed now.
    clock : callable
        Seconds that only grow.
    """

    def __init__(
        self,
        limits: ServerLimits,
        allowed: Callable[[], AllowedCertificates],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._allowed = allowed
        self._clock = clock
        self._condition = threading.Condition()
        self._open: set[OpenCall] = set()
        self._usage: dict[str, PartyUsage] = {}
        self._draining = False
        self._stopped = threading.Event()
        self._outcomes: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def admitted(
        self, context: Any, party: Party, fingerprint: str, *, while_draining: bool = False
    ) -> Iterator[OpenCall]:
        """Hold a call open.

        Parameters
        ----------
        context : grpc.ServicerContext
        party : Party
        fingerprint : str
            Of the certificate that the party showed.
        while_draining : bool
            Whether the call is answered even when the server drains.

        Raises
        ------
        PermissionDenied
            If the certificate is not allowed.
        LimitExceeded
            If the party has used up what it may.
        Unavailable
            If the server drains.
        """
        self._allowed().check(fingerprint, party.name, datetime.now(UTC))
        now = self._clock()
        call = OpenCall(context, party, fingerprint, now + self._limits.call_seconds, self)
        with self._condition:
            if self._draining and not while_draining:
                raise Unavailable("this party is stopping")
            self._usage_of(party, now).begin(now)
            self._open.add(call)
        # The end of the connection counts as well: a generator may never be run to its end.
        if not context.add_callback(lambda: self._end(call)):
            self._end(call)
        try:
            yield call
        finally:
            self._end(call)

    def transfer(self, party: Party, count: int) -> None:
        """Count a party's bytes; raises LimitExceeded."""
        now = self._clock()
        with self._condition:
            self._usage_of(party, now).transfer(count, now)

    def count(self, method: str, outcome: str) -> None:
        """Count how a call ended."""
        with self._condition:
            self._outcomes[method, outcome] += 1

    @property
    def outcomes(self) -> Counter[tuple[str, str]]:
        """How many calls of each method ended in which way so far."""
        with self._condition:
            return self._outcomes.copy()

    def watch(self) -> None:
        """Look after the open calls in a thread of its own until :meth:`close`."""

        def look() -> None:
            while not self._stopped.wait(TICK_SECONDS):
                self.tick()

        threading.Thread(target=look, name="calls", daemon=True).start()

    def tick(self) -> None:
        """End what must not go on; whoever was told one tick ago and still runs is cancelled."""
        allowed, now, time_now = self._allowed(), self._clock(), datetime.now(UTC)
        with self._condition:
            running = list(self._open)
        for call in running:
            if call.refusal is not None:
                call.cancel()
                continue
            if now > call.deadline:
                call.refusal = PartyMissing(
                    "the call lasted too long",
                    expected=f"at most {self._limits.call_seconds:g} seconds",
                )
            try:
                allowed.check(call.fingerprint, call.party.name, time_now)
            except PermissionDenied as refusal:
                call.refusal = refusal

    def drain(self) -> None:
        """Refuse new calls from now on."""
        with self._condition:
            self._draining = True

    def wait_for_all(self, seconds: float) -> bool:
        """Wait until no call is open; False if the time is up before."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._open, seconds)

    def close(self) -> None:
        """Stop looking after calls."""
        self._stopped.set()

    @property
    def open_calls(self) -> int:
        """How many calls are open."""
        with self._condition:
            return len(self._open)

    def _usage_of(self, party: Party, now: float) -> PartyUsage:
        # Only certificates of the coalition get here, so there are few names.
        return self._usage.setdefault(party.name, PartyUsage(self._limits, now))

    def _end(self, call: OpenCall) -> None:
        with self._condition:
            if call in self._open:
                self._open.remove(call)
                self._usage[call.party.name].open -= 1
                self._condition.notify_all()
