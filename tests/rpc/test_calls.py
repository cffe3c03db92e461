"""Quotas of a party, the longest call, and draining, without a network (C06, C26, C28)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from coalitions import AnyCertificate

from hecf.errors import ConfigurationError, HecfError, LimitExceeded, PartyMissing, Unavailable
from hecf.rpc.calls import Calls, OpenCall
from hecf.rpc.identity import RETAILER, Party
from hecf.rpc.quotas import Allowance, ServerLimits

ALDER, BIRCH = (Party("ab" * 16, RETAILER, name) for name in ("alder", "birch"))


class Context:
    """A gRPC context that nobody has ended yet."""

    def __init__(self) -> None:
        self.cancelled = False

    def add_callback(self, callback: Callable[[], None]) -> bool:
        return True

    def is_active(self) -> bool:
        return not self.cancelled

    def cancel(self) -> None:
        self.cancelled = True


class Message:
    def __init__(self, size: int) -> None:
        self._size = size

    def ByteSize(self) -> int:  # noqa: N802
        return self._size


class Server:
    """The calls of a server under a clock that stands still unless it is moved."""

    def __init__(self, **limits: Any) -> None:
        self.now = 0.0
        defaults = {"message_bytes": 100, "upload_bytes": 1000, "concurrent_calls": 100}
        self.calls = Calls(ServerLimits(**(defaults | limits)), AnyCertificate, lambda: self.now)

    def enter(self, party: Party = ALDER, **options: bool) -> tuple[OpenCall, Any]:
        manager = self.calls.admitted(Context(), party, "0a" * 32, **options)
        return manager.__enter__(), manager

    def refusal(self, party: Party = ALDER) -> HecfError | None:
        try:
            _, manager = self.enter(party)
        except HecfError as error:
            return error
        manager.__exit__(None, None, None)
        return None


def test_one_party_cannot_take_the_calls_of_the_others() -> None:
    server = Server(party_calls=3)
    held = [server.enter() for _ in range(3)]
    for _ in range(50):
        assert isinstance(server.refusal(), LimitExceeded)
        assert server.refusal(BIRCH) is None
    held[0][1].__exit__(None, None, None)
    assert server.refusal() is None


def test_calls_are_counted_by_the_minute_and_come_back() -> None:
    server = Server(calls_per_minute=60)
    assert [server.refusal() for _ in range(60)] == [None] * 60
    assert str(server.refusal()) == "this party calls too often: expected at most 60 calls a minute"
    assert server.refusal(BIRCH) is None
    server.now += 2.5
    assert [server.refusal() is None for _ in range(4)] == [True, True, True, False]
    server.now += 3600
    assert [server.refusal() is None for _ in range(61)].count(True) == 60


def test_bytes_in_both_directions_are_counted_by_the_minute() -> None:
    server = Server(bytes_per_minute=1000)
    call, _ = server.enter()
    call.receive(Message(600))
    call.send(Message(900))
    with pytest.raises(LimitExceeded, match="moves too many bytes"):
        call.receive(Message(1))
    with pytest.raises(LimitExceeded, match="moves too many bytes"):
        list(call.requests(iter([Message(1)])))
    other, _ = server.enter(BIRCH)
    other.receive(Message(600))
    # The debt of 500 bytes is worked off first.
    server.now += 29
    with pytest.raises(LimitExceeded):
        call.receive(Message(1))
    server.now += 2
    call.receive(Message(1))
    assert (call.received, call.sent) == (600 + 1 + 1 + 1 + 1, 900)


def test_a_call_that_lasts_too_long_is_told_and_then_cancelled() -> None:
    server = Server(call_seconds=30)
    call, _ = server.enter()
    server.now += 30
    server.calls.tick()
    assert call.is_active()
    server.now += 1
    server.calls.tick()
    assert not call.is_active()
    assert not call._context.cancelled
    with pytest.raises(PartyMissing, match="the call lasted too long: expected at most 30 seconds"):
        call.check()
    server.calls.tick()
    assert call._context.cancelled


def test_a_draining_server_answers_health_only_and_lets_calls_finish() -> None:
    server = Server()
    _, running = server.enter()
    server.calls.drain()
    assert isinstance(server.refusal(), Unavailable)
    _, health = server.enter(BIRCH, while_draining=True)
    assert not server.calls.wait_for_all(0)
    for manager in (running, health):
        manager.__exit__(None, None, None)
    assert server.calls.wait_for_all(0)


def test_an_end_counts_once() -> None:
    server = Server(party_calls=1)
    call, manager = server.enter()
    server.calls._end(call)
    manager.__exit__(None, None, None)
    assert server.calls.open_calls == 0
    held = server.enter()
    assert isinstance(server.refusal(), LimitExceeded)
    held[1].__exit__(None, None, None)


def test_an_allowance_never_exceeds_a_minutes_worth() -> None:
    allowance = Allowance(60, 0.0)
    assert sum(allowance.take(1, 1e6) for _ in range(100)) == 60
    assert sum(allowance.take(1, 1e6 + 10) for _ in range(100)) == 10


@pytest.mark.parametrize("name", ["party_calls", "calls_per_minute", "call_seconds"])
def test_a_limit_is_positive(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Server(**{name: 0})
