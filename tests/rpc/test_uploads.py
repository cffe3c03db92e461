"""Uploads whose connection breaks, resumed: what is sent again, kept, refused and removed."""

from __future__ import annotations

import errno
import os
import stat
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coalitions import Coalition, GrpcCoalition, make_client, make_terms, operand
from proxies import Proxy

from hecf.errors import (
    ConfigurationError,
    LimitExceeded,
    MalformedMessage,
    Replayed,
    Unavailable,
    UnknownTask,
)
from hecf.he.plan import LEFT
from hecf.protocol.contribution import Declared, bound
from hecf.protocol.tasks import GramTask, SumTask
from hecf.rpc.client import ComputeNodeClient
from hecf.rpc.spool import Spool, SpoolLimits
from hecf.wire import transfer

Open = Callable[..., Coalition]
VALUES = 1 << 20
"""Length of a sum whose contributions are 8 MiB in clear."""


def large_sum(coalition: Coalition, values: int = VALUES) -> tuple[SumTask, bytes]:
    """A declared sum and a contribution to it that takes many chunks."""
    task = SumTask(coalition.terms, "alder", "large", values, 1.0)
    coalition.node("alder").declare(task)
    return task, operand(coalition, task, LEFT, np.linspace(-1, 1, values))


def stop_after(data: bytes, count: int) -> Iterator[bytes]:
    """The first chunks of a payload, and a connection that is lost then."""
    for number, chunk in enumerate(transfer.chunks(data, 0, 1 << 20)):
        if number == count:
            raise Unavailable("the connection was lost")
        yield chunk


def break_off(coalition: Coalition, name: str, task: Any, data: bytes, count: int = 3) -> Declared:
    """Upload some chunks and no more."""
    declared = Declared.of(data)
    with pytest.raises(Unavailable):
        coalition.node_service.contribute(
            coalition.party(name), task.identifier, LEFT, declared, 0, stop_after(data, count)
        )
    return declared


def test_a_connection_that_breaks_costs_what_was_on_its_way_only(tmp_path: Path) -> None:
    coalition = GrpcCoalition(make_terms(), tmp_path)
    task, data = large_sum(coalition)
    service, birch, declared = coalition.node_service, coalition.party("birch"), Declared.of(data)

    def arrived(count: int) -> Callable[[], bool]:
        return lambda: service.uploaded(birch, task.identifier, LEFT, declared) >= count

    proxy = Proxy(
        coalition.node_address, [(5 << 20, arrived(4 << 20)), (2 << 20, arrived(5 << 20))]
    )
    client = make_client(
        ComputeNodeClient, coalition.terms, proxy.address, coalition.identity("birch")
    )
    try:
        client.contribute(task, LEFT, data)
        assert client.contributed(task, LEFT) == declared.digest
    finally:
        client.close()
        proxy.close()
        coalition.close()
    assert len(proxy.passed) == 3
    # The third connection has carried the rest: what the first two had brought was kept.
    assert proxy.passed[2] < len(data) - (5 << 20) + (256 << 10)
    assert list(coalition.arriving.iterdir()) == []


@pytest.mark.parametrize("restarted", [False, True])
def test_only_the_rest_is_sent(start: Open, restarted: bool) -> None:
    coalition = start()
    task, data = large_sum(coalition)
    break_off(coalition, "birch", task, data)
    if restarted:
        # Another process finds on its disk what the first has left.
        coalition.node_service._receiver._spool = Spool(coalition.arriving)
    sent: list[int] = []
    real = coalition.node_service.contribute

    def counting(*arguments: Any) -> bool:
        *others, chunks = arguments
        return real(*others, (sent.append(len(chunk)) or chunk for chunk in chunks))

    coalition.node_service.contribute = counting  # type: ignore[method-assign]
    coalition.node("birch").contribute(task, LEFT, data)
    assert sum(sent) == len(data) - (3 << 20)
    assert coalition.node("birch").contributed(task, LEFT) == Declared.of(data).digest
    # Once all of it is there, nothing is sent.
    coalition.node("birch").contribute(task, LEFT, data)
    assert sum(sent) == len(data) - (3 << 20)


def test_other_bytes_replace_what_has_arrived(start: Open) -> None:
    coalition = start()
    task, data = large_sum(coalition)
    first = break_off(coalition, "birch", task, data)
    other = operand(coalition, task, LEFT, np.linspace(1, -1, VALUES))
    node, party = coalition.node_service, coalition.party("birch")
    assert node.uploaded(party, task.identifier, LEFT, first) == 3 << 20
    assert node.uploaded(party, task.identifier, LEFT, Declared.of(other)) == 0
    coalition.node("birch").contribute(task, LEFT, other)
    assert coalition.node("birch").contributed(task, LEFT) == Declared.of(other).digest
    assert list(coalition.arriving.iterdir()) == []


def test_what_one_party_has_sent_helps_no_other(start: Open) -> None:
    coalition = start()
    task, data = large_sum(coalition)
    declared = break_off(coalition, "birch", task, data)
    node, alder = coalition.node_service, coalition.party("alder")
    assert node.uploaded(alder, task.identifier, LEFT, declared) == 0
    # With the digest alone nobody completes the upload of another.
    with pytest.raises(Unavailable, match="must go on where it broke off"):
        node.contribute(alder, task.identifier, LEFT, declared, declared.size, [])
    with pytest.raises(UnknownTask):
        node.uploaded(alder, "0a" * 32, LEFT, declared)


def test_a_beginning_for_another_task_touches_no_disk(start: Open) -> None:
    coalition = start()
    task, data = large_sum(coalition)
    captured = bound(GramTask(coalition.terms), LEFT, data[40:], coalition.key)
    with pytest.raises(Replayed, match="made for another task or part"):
        coalition.node("birch").contribute(task, LEFT, captured)
    assert list(coalition.arriving.iterdir()) == []


@pytest.mark.parametrize("flipped", [1 << 20, 5 << 20])
def test_bytes_that_differ_from_their_digest_are_not_kept(start: Open, flipped: int) -> None:
    coalition = start()
    task, data = large_sum(coalition)
    declared = break_off(coalition, "birch", task, data)
    wrong = bytearray(data)
    wrong[flipped] ^= 1
    arguments = coalition.party("birch"), task.identifier, LEFT, declared, 0
    if flipped > 3 << 20:
        with pytest.raises(MalformedMessage, match="does not have the declared digest"):
            coalition.node_service.contribute(*arguments, transfer.chunks(bytes(wrong)))
        assert list(coalition.arriving.iterdir()) == []
    else:
        # What has arrived before is passed over, so it cannot be changed any more.
        coalition.node_service.contribute(*arguments, transfer.chunks(bytes(wrong)))
    coalition.node("birch").contribute(task, LEFT, data)
    assert coalition.node("birch").contributed(task, LEFT) == declared.digest


def test_a_full_disk_keeps_what_has_arrived(start: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    coalition = start()
    task, data = large_sum(coalition)
    declared = break_off(coalition, "birch", task, data)

    def full(*arguments: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("hecf.rpc.spool.os.open", full)
        with pytest.raises(LimitExceeded, match="cannot be stored: got No space left") as got:
            coalition.node("birch").contribute(task, LEFT, data)
    assert str(coalition.arriving) not in str(got.value)
    party = coalition.party("birch")
    assert coalition.node_service.uploaded(party, task.identifier, LEFT, declared) == 3 << 20
    coalition.node("birch").contribute(task, LEFT, data)
    assert coalition.stored() == 1


def test_an_upload_needs_less_memory_than_it_has_bytes(tmp_path: Path) -> None:
    coalition = Coalition(make_terms(), tmp_path)
    task, data = large_sum(coalition, 4 * VALUES)
    coalition.node_service._receiver._memory = 14 << 20
    tracemalloc.start()
    try:
        coalition.node("birch").contribute(task, LEFT, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(data) / 2, peak


class Arrivals:
    """A small spool with a clock of its own."""

    def __init__(self, folder: Path, **limits: Any) -> None:
        self.time = 1000.0
        self.folder = folder
        self.spool = Spool(folder, SpoolLimits(**limits), lambda: self.time)

    def begin(self, party: str, what: str, size: int = 100) -> Any:
        return self.spool.begin(party, what, Declared(size, "0a" * 32))

    def names(self) -> set[str]:
        return {path.name.split(".")[0] for path in self.folder.iterdir()}


def test_caps_hold_for_a_party_and_for_all(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path / "arriving", upload_bytes=100, party_bytes=200, total_bytes=300)
    with pytest.raises(LimitExceeded, match="a payload is too large: got 101"):
        arrivals.begin("alder", "first", 101)
    for what in ("first", "second", "first"):
        arrivals.begin("alder", what)
    with pytest.raises(LimitExceeded, match="this party has too many bytes arriving at once"):
        arrivals.begin("alder", "third", 1)
    birch = arrivals.begin("birch", "first")
    with pytest.raises(LimitExceeded, match="all parties have too many bytes arriving at once"):
        arrivals.begin("cedar", "first", 1)
    arrivals.spool.discard(birch)
    arrivals.begin("cedar", "first")
    with pytest.raises(ConfigurationError, match="the limit party_bytes is out of range"):
        SpoolLimits(party_bytes=0)


def test_what_no_longer_grows_is_removed(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path / "arriving", idle_seconds=60)
    old, young = arrivals.begin("alder", "x"), arrivals.begin("birch", "x")
    for upload in (old, young):
        upload.append(0, b"z" * 10)
    arrivals.time += 40
    young.append(10, b"z")
    arrivals.time += 40
    assert arrivals.names() == {"alder", "birch"}
    arrivals.begin("cedar", "x")
    assert arrivals.names() == {"birch"}
    with pytest.raises(Unavailable):
        old.append(10, b"z")


def test_a_start_keeps_uploads_and_removes_everything_else(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path / "arriving")
    arrivals.begin("alder", "x").append(0, b"z" * 10)
    arrivals.begin("birch", "x").append(0, b"z" * 10)
    [longer] = arrivals.folder.glob("birch*")
    longer.write_bytes(b"z" * 101)
    (arrivals.folder / "something").write_bytes(b"else")
    again = Arrivals(arrivals.folder)
    assert again.names() == {"alder"}
    assert again.begin("alder", "x").confirmed == 10
    [kept] = arrivals.folder.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(arrivals.folder.stat().st_mode) == 0o700


def test_a_gap_is_refused_and_an_overlap_is_not(tmp_path: Path) -> None:
    upload = Arrivals(tmp_path / "arriving").begin("alder", "x")
    upload.append(0, b"abc")
    upload.append(1, b"??de")
    assert upload.path.read_bytes() == b"abcde"
    with pytest.raises(Unavailable, match="go on where it broke off"):
        upload.append(6, b"g")
    assert upload.path.read_bytes() == b"abcde"
