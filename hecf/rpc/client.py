"""gRPC clients of the compute node and the key holder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import grpc

from hecf.api.v1 import compute_node_pb2 as node_pb2
from hecf.api.v1 import compute_node_pb2_grpc, key_holder_pb2_grpc
from hecf.api.v1 import key_holder_pb2 as holder_pb2
from hecf.errors import MalformedMessage, Unavailable
from hecf.he.blinding import MaskSeed
from hecf.measure import Measurements
from hecf.protocol.computation import Computed
from hecf.protocol.tasks import DeclaredTask, ScoreTask, SumTask, Task
from hecf.protocol.terms import Terms
from hecf.rpc.counting import CountingChannel
from hecf.rpc.credentials import TransportIdentity
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER, server_name
from hecf.rpc.releases import Releases
from hecf.rpc.status import from_rpc_error
from hecf.wire import messages, transfer

_RETRY_SECONDS = 0.25
_ANSWER_SECONDS = 15.0
"""Added to the patience of the other side, so that its own clear error arrives first."""

T = TypeVar("T")


class _Client:
    """A channel to one serving party, with deadlines, errors and counting."""

    def __init__(
        self,
        terms: Terms,
        role: str,
        address: str,
        identity: TransportIdentity,
        *,
        patience_seconds: float,
        limits: transfer.Limits,
        measurements: Measurements,
    ) -> None:
        self._terms = terms
        self._peer = f"the {role} at {address}"
        self._patience = patience_seconds
        self._timeout = patience_seconds + _ANSWER_SECONDS
        self._limits = limits
        self._measurements = measurements
        options = [
            ("grpc.ssl_target_name_override", server_name(terms.identifier, role)),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 500),
        ]
        channel = grpc.secure_channel(address, identity.client(), options=options)
        self._channel: Any = CountingChannel(channel, measurements)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def _call(self, method: Callable[..., T], request: Any) -> T:
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise from_rpc_error(error, self._peer) from None

    def _upload(self, method: Callable[..., T], requests: Iterator[Any]) -> T:
        with self._measurements.stage("transfer"):
            return self._call(method, requests)

    def _download(
        self, method: Callable[..., Iterator[Any]], request: Any, first_field: str = "manifest"
    ) -> tuple[Any, bytes]:
        """Return the first message of a stream and the payload that follows.

        A download that has begun goes on where its connection broke, and is given up once nothing
        has arrived for as long as the patience lasts.
        """
        collector = transfer.Collector(self._limits)
        arrived, deadline = -1, 0.0
        while True:
            try:
                first = self._collect(method, request, first_field, collector)
                return first, collector.complete()
            except Unavailable:
                if not collector.begun:
                    raise
                if collector.size > arrived:
                    arrived, deadline = collector.size, time.monotonic() + self._patience
                elif time.monotonic() > deadline:
                    raise
                request.offset = collector.size
                time.sleep(_RETRY_SECONDS)

    def _collect(
        self,
        method: Callable[..., Iterator[Any]],
        request: Any,
        first_field: str,
        collector: transfer.Collector,
    ) -> Any:
        try:
            stream = method(request, timeout=self._timeout)
            first = next(stream, None)
            if first is None or first.WhichOneof("content") != first_field:
                raise MalformedMessage("a download starts with another message")
            manifest = first.manifest if first_field == "manifest" else first.header.manifest
            # The wait for the first message is not transfer; what follows is.
            with self._measurements.stage("transfer"):
                collector.begin(manifest)
                for message in stream:
                    collector.take(message.chunk)
            return first
        except grpc.RpcError as error:
            raise from_rpc_error(error, self._peer) from None

    def _connect(self, method: Callable[..., T], request: Any) -> T:
        """Call, trying again while the other side is not up yet."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return self._call(method, request)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_SECONDS)


class ComputeNodeClient(_Client):
    """The compute node over gRPC; see :class:`hecf.protocol.ports.ComputeNode`."""

    def __init__(
        self, terms: Terms, address: str, identity: TransportIdentity, **options: Any
    ) -> None:
        super().__init__(terms, COMPUTE_NODE, address, identity, **options)
        self._stub = compute_node_pb2_grpc.ComputeNodeServiceStub(self._channel)

    def join(self, terms: Terms) -> None:
        """Compare terms, waiting for the node to be up."""
        self._connect(self._stub.Join, node_pb2.JoinRequest(agreement=messages.agreement(terms)))

    def publish_key(self, terms: Terms, public_key: bytes) -> None:
        """Upload the public key."""

        def requests() -> Iterator[node_pb2.PublishKeyRequest]:
            yield node_pb2.PublishKeyRequest(manifest=transfer.manifest(public_key))
            for chunk in transfer.chunks(public_key):
                yield node_pb2.PublishKeyRequest(chunk=chunk)

        self._upload(self._stub.PublishKey, requests())

    def declare(self, task: DeclaredTask) -> None:
        """Declare a task."""
        self._call(self._stub.Declare, node_pb2.DeclareRequest(task=messages.task_message(task)))

    def await_task(self, terms: Terms, name: str) -> Task:
        """Wait until a task of a name has been declared."""
        answer = self._call(self._stub.AwaitTask, node_pb2.AwaitTaskRequest(name=name))
        return messages.task(answer.task, terms)

    def contribute(self, task: Task, what: str, data: bytes) -> None:
        """Upload the caller's part of a task; a broken upload goes on where it broke off.

        It is given up once nothing has arrived for as long as the patience lasts.
        """
        header = node_pb2.ContributionHeader(
            task_id=messages.identifier_bytes(task.identifier),
            side=messages.side_number(what),
            manifest=transfer.manifest(data),
        )
        question = node_pb2.GetUploadRequest(
            task_id=header.task_id, side=header.side, manifest=header.manifest
        )

        def requests() -> Iterator[node_pb2.ContributeRequest]:
            yield node_pb2.ContributeRequest(header=header)
            for chunk in transfer.chunks(data, header.offset):
                yield node_pb2.ContributeRequest(chunk=chunk)

        arrived, deadline = -1, 0.0
        while True:
            try:
                found = self._call(self._stub.GetUpload, question)
                if found.sha256 == header.manifest.sha256:
                    return
                header.offset = found.offset
                self._upload(self._stub.Contribute, requests())
                return
            except Unavailable:
                if header.offset > arrived:
                    arrived, deadline = header.offset, time.monotonic() + self._patience
                elif time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_SECONDS)

    def contributed(self, task: Task, what: str) -> str | None:
        """Return SHA-256 of what the caller has contributed."""
        request = node_pb2.GetUploadRequest(
            task_id=messages.identifier_bytes(task.identifier), side=messages.side_number(what)
        )
        found = self._call(self._stub.GetUpload, request).sha256
        return messages.digest_text(found) if found else None

    def close_task(self, task: SumTask) -> None:
        """Take no more contributions to a sum."""
        identifier = messages.identifier_bytes(task.identifier)
        self._call(self._stub.CloseTask, node_pb2.CloseTaskRequest(task_id=identifier))

    def abort_task(self, task: DeclaredTask) -> None:
        """End a task without a result."""
        identifier = messages.identifier_bytes(task.identifier)
        self._call(self._stub.AbortTask, node_pb2.AbortTaskRequest(task_id=identifier))

    def fetch(self, task: Task, result: str) -> Computed:
        """Wait for a result and download it."""
        identifier = messages.identifier_bytes(task.identifier)
        request = node_pb2.FetchResultRequest(task_id=identifier, result=result)
        first, data = self._download(self._stub.FetchResult, request, "header")
        return Computed(data, messages.contributions(first.header.used))

    def fetch_mask(self, task: ScoreTask | SumTask) -> MaskSeed:
        """Wait for the mask of a blinded task's result."""
        identifier = messages.identifier_bytes(task.identifier)
        answer = self._call(self._stub.FetchMask, node_pb2.FetchMaskRequest(task_id=identifier))
        return MaskSeed(answer.seed)


class KeyHolderClient(_Client, Releases):
    """The key holder over gRPC; see :class:`hecf.protocol.ports.KeyHolder`."""

    def __init__(
        self, terms: Terms, address: str, identity: TransportIdentity, **options: Any
    ) -> None:
        super().__init__(terms, KEY_HOLDER, address, identity, **options)
        # The key holder itself waits for the node, so its answer may come after two waits.
        self._timeout += self._patience + _ANSWER_SECONDS
        self._stub = key_holder_pb2_grpc.KeyHolderServiceStub(self._channel)

    def join(self, terms: Terms) -> None:
        """Compare terms, waiting for the key holder to be up."""
        request = holder_pb2.KeyHolderServiceJoinRequest(agreement=messages.agreement(terms))
        self._connect(self._stub.Join, request)

    def public_key(self, terms: Terms) -> bytes:
        """Download the public key."""
        return self._download(self._stub.GetPublicKey, holder_pb2.GetPublicKeyRequest())[1]

    def commit(self, task: Task, what: str, digest: str, key: str) -> None:
        """Say which contribution the caller made, and under which key."""
        request = holder_pb2.CommitRequest(
            task_id=messages.identifier_bytes(task.identifier),
            side=messages.side_number(what),
            sha256=bytes.fromhex(digest),
            public_key=bytes.fromhex(key),
        )
        self._call(self._stub.Commit, request)

    def _release(self, task: Task) -> bytes:
        request = holder_pb2.ReleaseRequest(
            task_id=messages.identifier_bytes(task.identifier), task=messages.task_message(task)
        )
        return self._download(self._stub.Release, request)[1]
