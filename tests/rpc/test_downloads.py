"""Downloads whose connection breaks, resumed from the disk of who sends them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coalitions import LIMITS, Coalition, GrpcCoalition, make_client, make_terms, operand
from proxies import Proxy

from hecf.api.v1 import compute_node_pb2 as node_pb2
from hecf.api.v1 import key_holder_pb2 as holder_pb2
from hecf.errors import InternalFailure, InvalidInput, MalformedMessage, Unavailable
from hecf.he.plan import LEFT
from hecf.protocol.tasks import TOTAL, SumTask
from hecf.rpc.client import ComputeNodeClient, KeyHolderClient
from hecf.rpc.identity import KEY_HOLDER
from hecf.rpc.payload import Payload
from hecf.rpc.release_store import SqliteReleaseStore
from hecf.rpc.store import BlockStore
from hecf.wire import messages, transfer

VALUES = 1 << 20
"""Length of a sum whose result is 8 MiB in clear."""
MIB = 1 << 20


@pytest.fixture
def coalition(tmp_path: Path) -> Iterator[GrpcCoalition]:
    made = GrpcCoalition(make_terms(), tmp_path)
    yield made
    made.close()


@pytest.fixture
def task(coalition: GrpcCoalition) -> SumTask:
    """A sum to which everybody has contributed."""
    declared = SumTask(coalition.terms, "alder", "large", VALUES, 1.0)
    coalition.publish()
    coalition.node("alder").declare(declared)
    for number, name in enumerate(declared.contributors):
        values = np.linspace(-1, number, VALUES).clip(-1, 1)
        data = operand(coalition, declared, LEFT, values)
        coalition.contribute(name, declared, LEFT, data)
    return declared


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Callable[[], bool]]:
    """Says of the latest download whether so many bytes have arrived."""
    begun: list[transfer.Collector] = []

    class Watched(transfer.Collector):
        def __init__(self, limits: transfer.Limits) -> None:
            super().__init__(limits)
            begun.append(self)

    monkeypatch.setattr(transfer, "Collector", Watched)
    return lambda size: lambda: bool(begun) and begun[-1].size >= size


def test_a_result_goes_on_where_its_connection_broke(coalition, task, received) -> None:
    whole = coalition.node(KEY_HOLDER).fetch(task, TOTAL)
    assert len(whole.data) > 8 * MIB
    cuts = [(4 * MIB, received(3 * MIB)), (2 * MIB, received(4 * MIB))]
    proxy = Proxy(coalition.node_address, cuts, downloads=True)
    identity = coalition.identity(KEY_HOLDER)
    client = make_client(ComputeNodeClient, coalition.terms, proxy.address, identity)
    try:
        found = client.fetch(task, TOTAL)
    finally:
        client.close()
        proxy.close()
    assert found == whole
    assert len(proxy.passed) == 3
    # The third connection has carried the rest: what the first two had brought was kept.
    assert proxy.passed[2] < len(whole.data) - 4 * MIB + (256 << 10)


def test_released_values_and_the_public_key_do_so_too(coalition, task, received) -> None:
    whole = coalition.key_holder("alder").release_sum(task)
    key = bytes(range(256)) * (4 * MIB // 256)
    coalition.holder_service.public_key = key
    cuts = [(4 * MIB, received(3 * MIB)), (8 * MIB, received(2 * MIB))]
    proxy = Proxy(coalition.holder_address, cuts, downloads=True)
    identity = coalition.identity("alder")
    client = make_client(KeyHolderClient, coalition.terms, proxy.address, identity)
    try:
        found = client.release_sum(task)
        assert client.public_key(coalition.terms) == key
    finally:
        client.close()
        proxy.close()
    np.testing.assert_array_equal(found.values, whole.values)
    assert found.contributors == whole.contributors
    # Released once, and not again for each connection.
    assert len(coalition.debits) == 1
    assert len(proxy.passed) == 3
    assert proxy.passed[2] < 4 * MIB - 2 * MIB + (256 << 10)


def test_a_download_that_brings_nothing_more_is_given_up(coalition, task, received) -> None:
    coalition.node(KEY_HOLDER).fetch(task, TOTAL)
    proxy = Proxy(
        coalition.node_address,
        [(3 * MIB, lambda: True)] + [(0, lambda: True)] * 100,
        downloads=True,
    )
    client = make_client(
        ComputeNodeClient, coalition.terms, proxy.address, coalition.identity(KEY_HOLDER), 0.5
    )
    try:
        with pytest.raises(Unavailable, match="cannot be reached"):
            client.fetch(task, TOTAL)
    finally:
        client.close()
        proxy.close()
    assert len(proxy.passed) > 1


def test_an_offset_behind_the_end_is_refused(coalition, task) -> None:
    size = len(coalition.node(KEY_HOLDER).fetch(task, TOTAL).data)
    identifier = messages.identifier_bytes(task.identifier)
    stub = coalition.node(KEY_HOLDER)

    def fetch(offset: int) -> bytes:
        request = node_pb2.FetchResultRequest(task_id=identifier, result=TOTAL, offset=offset)
        stream = stub._call(stub._stub.FetchResult, request)
        return b"".join(message.chunk for message in stream)

    assert fetch(size) == b""
    assert fetch(size - 5) == coalition.node(KEY_HOLDER).fetch(task, TOTAL).data[-5:]
    holder = coalition.key_holder("alder")
    for call in (
        lambda: stub._download(
            stub._stub.FetchResult,
            node_pb2.FetchResultRequest(task_id=identifier, result=TOTAL, offset=size + 1),
            "header",
        ),
        lambda: holder._download(
            holder._stub.GetPublicKey, holder_pb2.GetPublicKeyRequest(offset=1 << 40)
        ),
        lambda: holder._download(
            holder._stub.Release,
            holder_pb2.ReleaseRequest(
                task_id=identifier, task=messages.task_message(task), offset=1 << 40
            ),
        ),
    ):
        with pytest.raises(InvalidInput, match="begins behind the end of its payload"):
            call()


def test_another_payload_does_not_complete_a_download() -> None:
    first, other = b"a" * 100, b"b" * 100
    collector = transfer.Collector(transfer.Limits(LIMITS.upload_bytes))
    collector.begin(transfer.manifest(first))
    collector.take(first[:60])
    with pytest.raises(MalformedMessage, match="goes on with another payload"):
        collector.begin(transfer.manifest(other))
    collector.begin(transfer.manifest(first))
    collector.take(other[60:])
    with pytest.raises(MalformedMessage, match="does not have the declared digest"):
        collector.complete()


def peak_of(read: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def drained(payload: Payload | None, offset: int = 0) -> int:
    assert payload is not None
    return sum(len(chunk) for chunk in payload.chunks(offset))


def test_a_result_is_sent_from_its_file_in_little_memory(tmp_path: Path) -> None:
    store, size = BlockStore(tmp_path), 16 * MIB
    digest = store.put(bytes(size))
    assert peak_of(lambda: drained(store.payload(digest))) < 6 * MIB
    assert peak_of(lambda: drained(store.payload(digest, 32), 5)) < 6 * MIB
    assert drained(store.payload(digest, 32), 5) == size - 37
    # The measure sees a result that is in memory as a whole.
    assert peak_of(lambda: store.get(digest)) > size


def test_what_was_released_is_sent_from_its_file_in_little_memory(tmp_path: Path) -> None:
    store, size = SqliteReleaseStore(tmp_path / "releases.sqlite"), 16 * MIB
    store.keep("task", np.random.default_rng(1).bytes(size))
    assert peak_of(lambda: drained(store.released("task"), 5)) < 6 * MIB
    kept = store.released("task")
    assert kept is not None
    assert peak_of(lambda: b"".join(kept.chunks())) > size
    whole = b"".join(kept.chunks())
    assert whole == np.random.default_rng(1).bytes(size)
    assert b"".join(kept.chunks(7 * MIB + 3)) == whole[7 * MIB + 3 :]
    store.close()


def test_a_changed_file_is_not_sent(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    digest = store.put(b"ciphertext" * 100)
    (tmp_path / digest).write_bytes(b"ciphertexT" * 100)
    for skip in (0, 32):
        with pytest.raises(InternalFailure, match="was changed"):
            store.payload(digest, skip)


def test_memory_carries_what_the_network_does(tmp_path: Path) -> None:
    made = Coalition(make_terms(), tmp_path)
    made.publish()
    assert made.key_holder("alder").public_key(made.terms) == made.public_key
    with pytest.raises(InvalidInput, match="got 11, expected at most 10"):
        Payload.of(bytes(10)).chunks(11)
    made.close()
