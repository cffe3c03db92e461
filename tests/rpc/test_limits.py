"""Caps of a server: messages, uploads, chunks and calls (control C06), and cancelled waits."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from coalitions import AnyCertificate, identity_of, make_client, make_terms

from hecf.api.v1 import compute_node_pb2 as pb2
from hecf.api.v1 import compute_node_pb2_grpc
from hecf.errors import HecfError, LimitExceeded, MalformedMessage, Unavailable
from hecf.he.clear import ClearEncryptor
from hecf.he.plan import LEFT
from hecf.measure import Measurements
from hecf.protocol.contribution import bound, key_fingerprint
from hecf.protocol.tasks import GramTask, ScoreTask
from hecf.rpc.client import ComputeNodeClient
from hecf.rpc.compute_node import ComputeNodeService
from hecf.rpc.computing import LocalComputer
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER, RETAILER, Party, server_name
from hecf.rpc.quotas import ServerLimits
from hecf.rpc.server import Server
from hecf.rpc.spool import Spool, SpoolLimits
from hecf.rpc.status import from_rpc_error
from hecf.rpc.store import BlockStore
from hecf.wire import messages, transfer
from parties.provisioning.certificates import CertificateAuthority

TERMS = make_terms()
LIMITS = ServerLimits(message_bytes=64 << 10, upload_bytes=256 << 10, concurrent_calls=3)
# The clear scheme has one public key, which is empty.
KEY = key_fingerprint(b"")
START = bound(GramTask(TERMS), LEFT, b"", KEY)
CHUNK = START + b"\x5a" * ((16 << 10) - len(START))
TASK = messages.identifier_bytes(GramTask(TERMS).identifier)


class Node:
    """A real node with small caps, a raw stub of a retailer, and a well-behaved other one."""

    def __init__(self, folder: Path) -> None:
        authority = CertificateAuthority.create(TERMS.identifier)
        self.arriving = folder.with_name("arriving")
        self.service = ComputeNodeService(
            TERMS,
            BlockStore(folder),
            LocalComputer(TERMS, BlockStore(folder), secrets.token_bytes),
            Spool(self.arriving, SpoolLimits(upload_bytes=LIMITS.upload_bytes)),
            patience_seconds=30,
        )
        self.service.publish_key(Party(TERMS.identifier, KEY_HOLDER, KEY_HOLDER), b"")
        self.folder = folder
        self.server = Server(
            TERMS,
            identity_of(authority, COMPUTE_NODE, COMPUTE_NODE),
            "127.0.0.1:0",
            LIMITS,
            Measurements(),
            allowed=AnyCertificate,
        )
        self.server.add_compute_node(self.service)
        self.server.start()
        self.address = f"127.0.0.1:{self.server.port}"
        name = server_name(TERMS.identifier, COMPUTE_NODE)
        self.channel = grpc.secure_channel(
            self.address,
            identity_of(authority, RETAILER, "alder").client(),
            options=[("grpc.ssl_target_name_override", name)],
        )
        self.stub = compute_node_pb2_grpc.ComputeNodeServiceStub(self.channel)
        self.other = make_client(
            ComputeNodeClient, TERMS, self.address, identity_of(authority, RETAILER, "birch")
        )
        self.holder = make_client(
            ComputeNodeClient,
            TERMS,
            self.address,
            identity_of(authority, KEY_HOLDER, KEY_HOLDER),
        )

    def refusal(self, requests: Iterator[Any], **options: Any) -> HecfError:
        """What an upload ends with; the server must go on to serve, and keep nothing."""
        with pytest.raises(grpc.RpcError) as got:
            self.stub.Contribute(requests, timeout=20, **options)
        assert [*self.folder.iterdir(), *self.arriving.iterdir()] == []
        self.other.join(TERMS)
        return from_rpc_error(got.value, "the node")

    def close(self) -> None:
        self.service.close()
        self.channel.close()
        self.other.close()
        self.holder.close()
        self.server.stop()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    running = Node(tmp_path / "blocks")
    yield running
    running.close()


class Upload:
    """Requests of a contribution that count how many were taken from them."""

    def __init__(self, size: int, chunks: Iterator[bytes], digest: bytes = b"\0" * 32) -> None:
        self.taken = 0
        self._header = pb2.ContributionHeader(
            task_id=TASK,
            side=messages.side_number("left"),
            manifest={"size": size, "sha256": digest},
        )
        self._chunks = chunks

    def __iter__(self) -> Iterator[pb2.ContributeRequest]:
        yield pb2.ContributeRequest(header=self._header)
        for chunk in self._chunks:
            self.taken += 1
            yield pb2.ContributeRequest(chunk=chunk)


def endless(chunk: bytes) -> Iterator[bytes]:
    while True:
        yield chunk


def test_a_suitable_upload_passes_the_same_caps(node: Node) -> None:
    # The control: what is refused below is refused for its size and not for its form.
    task = GramTask(TERMS)
    matrix = np.eye(TERMS.shoppers, TERMS.factors)
    data = bound(task, LEFT, ClearEncryptor().encode(task.plan, LEFT, matrix).to_bytes(), KEY)
    described = transfer.manifest(data)
    pieces = [data[:1000], data[1000:]]
    answer = node.stub.Contribute(iter(Upload(described.size, iter(pieces), described.sha256)))
    assert answer.accepted_now
    assert [path.read_bytes() for path in node.folder.iterdir()] == [data]


def test_a_message_over_the_cap_is_refused(node: Node) -> None:
    upload = Upload(LIMITS.upload_bytes, iter([b"\0" * (LIMITS.message_bytes + 1)]))
    error = node.refusal(iter(upload))
    assert isinstance(error, LimitExceeded)
    assert str(error) == "the node refuses the size or number of messages"


def test_a_message_that_grows_over_the_cap_when_it_is_unpacked_is_refused(node: Node) -> None:
    # 32 MiB of zeros travel as some 32 KiB.
    upload = Upload(LIMITS.upload_bytes, iter([b"\0" * (32 << 20)]))
    error = node.refusal(iter(upload), compression=grpc.Compression.Gzip)
    assert isinstance(error, LimitExceeded)


@pytest.mark.parametrize("size", [LIMITS.upload_bytes + 1, 1 << 40, (1 << 64) - 1])
def test_a_declared_size_over_the_cap_is_refused_unread(node: Node, size: int) -> None:
    upload = Upload(size, endless(CHUNK))
    error = node.refusal(iter(upload))
    assert isinstance(error, LimitExceeded)
    assert str(error) == (
        f"a payload is too large: got {size} bytes, expected at most {LIMITS.upload_bytes}"
    )


@pytest.mark.parametrize("size", [len(START), len(CHUNK), LIMITS.upload_bytes])
def test_an_endless_stream_ends_where_it_was_declared_to(node: Node, size: int) -> None:
    upload = Upload(size, endless(CHUNK))
    error = node.refusal(iter(upload))
    assert isinstance(error, LimitExceeded)
    assert str(error) == f"a payload is longer than declared: expected {size} bytes"
    # What the client could send ahead is a window of the transport, not a stream without end.
    assert upload.taken * len(CHUNK) < size + (64 << 20)


def test_a_million_empty_chunks_end_at_the_first(node: Node) -> None:
    upload = Upload(LIMITS.upload_bytes, (b"" for _ in range(1_000_000)))
    error = node.refusal(iter(upload))
    assert isinstance(error, LimitExceeded)
    assert str(error) == "a chunk is empty: expected at least 1 byte"
    assert upload.taken < 1_000_000


@pytest.mark.parametrize(
    ("requests", "problem"),
    [
        ([], "an upload starts with another message: expected a header"),
        ([pb2.ContributeRequest()], "an upload starts with another message: expected a header"),
        (
            [pb2.ContributeRequest(chunk=CHUNK)],
            "an upload starts with another message: expected a header",
        ),
        (
            list(Upload(len(CHUNK), iter([])))[:1] * 2,
            "an upload continues with another message: expected a chunk",
        ),
        (list(Upload(0, iter([]))), "a contribution is too short: got 0 bytes"),
        (
            list(Upload(len(CHUNK), iter([CHUNK[:39], CHUNK[39:]]))),
            "a contribution is too short: got 39 bytes",
        ),
        (
            list(Upload(len(CHUNK), iter([b"x" * len(CHUNK)]))),
            "a message is not of this format: expected version 1",
        ),
        (list(Upload(len(CHUNK), iter([CHUNK]))), "a payload does not have the declared digest"),
        (
            [pb2.ContributeRequest(header=pb2.ContributionHeader(task_id=TASK, side=9))],
            "a contribution has an unknown side: got 9",
        ),
        (
            [pb2.ContributeRequest(header=pb2.ContributionHeader(task_id=TASK))],
            "a contribution has an unknown side: got 0",
        ),
        (
            [pb2.ContributeRequest(header=pb2.ContributionHeader(task_id=TASK[:31], side=1))],
            "a task identifier has another length: got 31, expected 32",
        ),
    ],
)
def test_a_stream_of_another_form_is_malformed(
    node: Node, requests: list[pb2.ContributeRequest], problem: str
) -> None:
    error = node.refusal(iter(requests))
    assert isinstance(error, MalformedMessage)
    assert str(error) == problem


def test_an_upload_that_ends_early_waits_for_the_rest(node: Node) -> None:
    """A connection that breaks can look like that."""
    with pytest.raises(grpc.RpcError) as got:
        node.stub.Contribute(iter(Upload(2 * len(CHUNK), iter([CHUNK]))), timeout=20)
    error = from_rpc_error(got.value, "the node")
    assert isinstance(error, Unavailable)
    assert "a payload is shorter than declared" in str(error)
    assert list(node.folder.iterdir()) == []
    [waiting] = node.arriving.iterdir()
    assert waiting.stat().st_size == len(CHUNK)


def test_the_upload_of_a_key_has_the_same_caps(node: Node) -> None:
    with pytest.raises(LimitExceeded, match="a payload is too large"):
        node.holder.publish_key(TERMS, b"k" * (LIMITS.upload_bytes + 1))
    node.other.join(TERMS)


def test_bytes_that_are_no_message_do_not_reach_a_handler(node: Node) -> None:
    raw = node.channel.unary_unary("/hecf.v1.ComputeNodeService/Join")
    with pytest.raises(grpc.RpcError) as got:
        raw(b"\xff" * 100, timeout=10)
    error: Any = got.value
    assert error.code() == grpc.StatusCode.INTERNAL
    node.other.join(TERMS)


def test_calls_over_the_cap_are_refused_and_cancelled_ones_make_room(node: Node) -> None:
    entered: list[str] = []
    real = node.service.await_task

    def counted(party: Party, target: str, *active: Any) -> ScoreTask:
        entered.append(target)
        return real(party, target, *active)

    node.service.await_task = counted  # type: ignore[method-assign]
    request = pb2.AwaitTaskRequest(name="score/cedar")
    waiting = [node.stub.AwaitTask.future(request, timeout=30) for _ in range(3)]
    until(lambda: len(entered) == 3)
    assert isinstance(joined(node), LimitExceeded)
    for call in waiting:
        call.cancel()
    # A wait notices within its look-up interval that its caller has gone (control C26).
    started = time.monotonic()
    until(lambda: joined(node) is None)
    assert time.monotonic() - started < 2.0


def joined(node: Node) -> HecfError | None:
    try:
        node.other.join(TERMS)
    except HecfError as error:
        return error
    return None


def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
