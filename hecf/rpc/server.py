"""gRPC servers of the compute node and the key holder over mutual TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from hecf.api.v1 import (
    compute_node_pb2 as node_pb2,
)
from hecf.api.v1 import (
    compute_node_pb2_grpc,
    key_holder_pb2_grpc,
)
from hecf.api.v1 import (
    key_holder_pb2 as holder_pb2,
)
from hecf.errors import ConfigurationError, MalformedMessage
from hecf.measure import Measurements
from hecf.protocol.terms import Terms
from hecf.rpc.allowed import AllowedCertificates
from hecf.rpc.audit import Audit, NoAudit
from hecf.rpc.calls import Calls
from hecf.rpc.compute_node import ComputeNodeService
from hecf.rpc.credentials import TransportIdentity
from hecf.rpc.identity import Party
from hecf.rpc.interceptor import GateInterceptor, caller
from hecf.rpc.key_holder import KeyHolderService
from hecf.rpc.payload import Payload
from hecf.rpc.quotas import ServerLimits
from hecf.wire import messages, transfer

STOP_SECONDS = 10.0
"""How long running calls may finish after a stop."""

_SERVING = health_pb2.HealthCheckResponse.SERVING


class ComputeNodeServicer(compute_node_pb2_grpc.ComputeNodeServiceServicer):
    """Translates the wire of the compute node to its service."""

    def __init__(self, service: ComputeNodeService, limits: ServerLimits) -> None:
        self._service = service
        self._limits = transfer.Limits(limits.upload_bytes)

    def Join(self, request: node_pb2.JoinRequest, context: Any) -> node_pb2.JoinResponse:
        """Compare terms."""
        party = self._caller(context)
        messages.check_agreement(request.agreement, self._service.terms, party.name)
        self._service.join(party)
        return node_pb2.JoinResponse()

    def PublishKey(
        self, request_iterator: Iterator[node_pb2.PublishKeyRequest], context: Any
    ) -> node_pb2.PublishKeyResponse:
        """Take the public key."""
        first = _first(request_iterator, "manifest")
        data = transfer.gather(first.manifest, _chunks(request_iterator), self._limits)
        self._service.publish_key(self._caller(context), data)
        return node_pb2.PublishKeyResponse()

    def Declare(self, request: node_pb2.DeclareRequest, context: Any) -> node_pb2.DeclareResponse:
        """Take a task."""
        task = messages.task(request.task, self._service.terms)
        self._service.declare(self._caller(context), task)
        return node_pb2.DeclareResponse(task_id=messages.identifier_bytes(task.identifier))

    def AwaitTask(
        self, request: node_pb2.AwaitTaskRequest, context: Any
    ) -> node_pb2.AwaitTaskResponse:
        """Wait for a task of a name."""
        task = self._service.await_task(self._caller(context), request.name, context.is_active)
        return node_pb2.AwaitTaskResponse(task=messages.task_message(task))

    def Contribute(
        self, request_iterator: Iterator[node_pb2.ContributeRequest], context: Any
    ) -> node_pb2.ContributeResponse:
        """Take a part of a task."""
        header = _first(request_iterator, "header").header
        identifier = messages.identifier_text(header.task_id)
        side = messages.side_name(header.side)
        accepted = self._service.contribute(
            self._caller(context),
            identifier,
            side,
            transfer.declared(header.manifest),
            header.offset,
            _chunks(request_iterator),
        )
        return node_pb2.ContributeResponse(accepted_now=accepted)

    def GetUpload(
        self, request: node_pb2.GetUploadRequest, context: Any
    ) -> node_pb2.GetUploadResponse:
        """Say what there is of a part."""
        identifier = messages.identifier_text(request.task_id)
        side = messages.side_name(request.side)
        party, offset = self._caller(context), 0
        found = self._service.contributed(party, identifier, side)
        if request.HasField("manifest"):
            declared = transfer.declared(request.manifest)
            offset = self._service.uploaded(party, identifier, side, declared)
        return node_pb2.GetUploadResponse(sha256=bytes.fromhex(found or ""), offset=offset)

    def CloseTask(
        self, request: node_pb2.CloseTaskRequest, context: Any
    ) -> node_pb2.CloseTaskResponse:
        """Take no more contributions to a sum."""
        identifier = messages.identifier_text(request.task_id)
        self._service.close_task(self._caller(context), identifier)
        return node_pb2.CloseTaskResponse()

    def AbortTask(
        self, request: node_pb2.AbortTaskRequest, context: Any
    ) -> node_pb2.AbortTaskResponse:
        """End a task without a result."""
        identifier = messages.identifier_text(request.task_id)
        self._service.abort_task(self._caller(context), identifier)
        return node_pb2.AbortTaskResponse()

    def FetchResult(
        self, request: node_pb2.FetchResultRequest, context: Any
    ) -> Iterator[node_pb2.FetchResultResponse]:
        """Wait for a result and send it."""
        identifier = messages.identifier_text(request.task_id)
        stored = self._service.fetch(
            self._caller(context), identifier, request.result, context.is_active
        )
        chunks = stored.payload.chunks(request.offset)
        header = node_pb2.ResultHeader(
            manifest=transfer.manifest_of(stored.payload.declared),
            used=messages.contribution_messages(stored.used),
        )
        yield node_pb2.FetchResultResponse(header=header)
        for chunk in chunks:
            yield node_pb2.FetchResultResponse(chunk=chunk)

    def FetchMask(
        self, request: node_pb2.FetchMaskRequest, context: Any
    ) -> node_pb2.FetchMaskResponse:
        """Wait for the mask of blinded scores."""
        identifier = messages.identifier_text(request.task_id)
        seed = self._service.fetch_mask(self._caller(context), identifier, context.is_active)
        return node_pb2.FetchMaskResponse(seed=seed.data)

    def _caller(self, context: grpc.ServicerContext) -> Party:
        return caller(context, self._service.terms.identifier)


class KeyHolderServicer(key_holder_pb2_grpc.KeyHolderServiceServicer):
    """Translates the wire of the key holder to its service."""

    def __init__(self, service: KeyHolderService) -> None:
        self._service = service

    def Join(
        self, request: holder_pb2.KeyHolderServiceJoinRequest, context: Any
    ) -> holder_pb2.KeyHolderServiceJoinResponse:
        """Compare terms."""
        name = self._caller(context).name
        messages.check_agreement(request.agreement, self._service.terms, name)
        return holder_pb2.KeyHolderServiceJoinResponse()

    def GetPublicKey(
        self, request: holder_pb2.GetPublicKeyRequest, context: Any
    ) -> Iterator[holder_pb2.GetPublicKeyResponse]:
        """Send the public key."""
        payload = Payload.of(self._service.public_key)
        chunks = payload.chunks(request.offset)
        yield holder_pb2.GetPublicKeyResponse(manifest=transfer.manifest_of(payload.declared))
        for chunk in chunks:
            yield holder_pb2.GetPublicKeyResponse(chunk=chunk)

    def Commit(self, request: holder_pb2.CommitRequest, context: Any) -> holder_pb2.CommitResponse:
        """Keep a commitment."""
        identifier = messages.identifier_text(request.task_id)
        side, digest = messages.side_name(request.side), messages.digest_text(request.sha256)
        key = messages.digest_text(request.public_key)
        self._service.commit(self._caller(context), identifier, side, digest, key)
        return holder_pb2.CommitResponse()

    def Release(
        self, request: holder_pb2.ReleaseRequest, context: Any
    ) -> Iterator[holder_pb2.ReleaseResponse]:
        """Wait for the released result of a task and send it."""
        task = messages.agreed_task(request.task_id, request.task, self._service.terms)
        payload = self._service.release(self._caller(context), task, context.is_active)
        chunks = payload.chunks(request.offset)
        yield holder_pb2.ReleaseResponse(manifest=transfer.manifest_of(payload.declared))
        for chunk in chunks:
            yield holder_pb2.ReleaseResponse(chunk=chunk)

    def _caller(self, context: grpc.ServicerContext) -> Party:
        return caller(context, self._service.terms.identifier)


class Server:
    """A running gRPC server with health service.

    Parameters
    ----------
    terms : Terms
        The coalition whose certificates are admitted.
    identity : TransportIdentity
    address : str
        HOST:PORT.
    limits : ServerLimits
    measurements : Measurements
    allowed : callable
        Returns the certificates that may call now.
    current : callable, optional
        Returns the identity to show now, which may have been renewed.
    audit : Audit, optional
        Takes down what callers do.

    Raises
    ------
    ConfigurationError
        If the address cannot be bound.
    """

    def __init__(
        self,
        terms: Terms,
        identity: TransportIdentity,
        address: str,
        limits: ServerLimits,
        measurements: Measurements,
        *,
        allowed: Callable[[], AllowedCertificates],
        current: Callable[[], TransportIdentity] | None = None,
        audit: Audit | None = None,
    ) -> None:
        self.calls = Calls(limits, allowed)
        gate = GateInterceptor(
            terms.identifier, terms.retailers, self.calls, measurements, audit or NoAudit()
        )
        self._server = grpc.server(
            ThreadPoolExecutor(limits.concurrent_calls, thread_name_prefix="call"),
            interceptors=[gate],
            maximum_concurrent_rpcs=limits.concurrent_calls,
            options=[
                ("grpc.max_receive_message_length", limits.message_bytes),
                ("grpc.max_send_message_length", limits.message_bytes),
                ("grpc.so_reuseport", 0),
            ],
        )
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._services: list[str] = []
        self.limits = limits
        try:
            self.port = self._server.add_secure_port(address, identity.server(current))
        except RuntimeError:
            raise ConfigurationError(
                "the address cannot be bound", got=address, expected="a free port of this machine"
            ) from None

    def add_compute_node(self, service: ComputeNodeService) -> None:
        """Serve a compute node."""
        compute_node_pb2_grpc.add_ComputeNodeServiceServicer_to_server(
            ComputeNodeServicer(service, self.limits), self._server
        )
        self._services.append(_service_name(node_pb2))

    def add_key_holder(self, service: KeyHolderService) -> None:
        """Serve a key holder."""
        key_holder_pb2_grpc.add_KeyHolderServiceServicer_to_server(
            KeyHolderServicer(service), self._server
        )
        self._services.append(_service_name(holder_pb2))

    def add_reflection(self) -> None:
        """Tell callers of the coalition which services and messages there are; call it last."""
        reflection.enable_server_reflection(
            (*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )

    def start(self) -> None:
        """Accept calls."""
        self._server.start()
        self.calls.watch()
        for name in ("", *self._services):
            self._health.set(name, _SERVING)

    def stop(self, end_waits: Callable[[], None] = lambda: None) -> None:
        """Say NOT_SERVING, refuse new calls, let running ones finish, then stop (control C28).

        Parameters
        ----------
        end_waits : callable
            Ends what running calls wait for; called once new calls are refused.
        """
        self._health.enter_graceful_shutdown()
        self.calls.drain()
        end_waits()
        self.calls.wait_for_all(STOP_SECONDS)
        self.calls.close()
        # Whatever is left is cancelled after a moment for the statuses that are on their way.
        self._server.stop(0.2).wait()


def _service_name(module: Any) -> str:
    [service] = module.DESCRIPTOR.services_by_name.values()
    return str(service.full_name)


def _first(stream: Iterator[Any], field: str) -> Any:
    message = next(stream, None)
    if message is None or message.WhichOneof("content") != field:
        raise MalformedMessage("an upload starts with another message", expected=f"a {field}")
    return message


def _chunks(stream: Iterable[Any]) -> Iterator[bytes]:
    for message in stream:
        if message.WhichOneof("content") != "chunk":
            raise MalformedMessage("an upload continues with another message", expected="a chunk")
        yield message.chunk


__all__ = ["ComputeNodeServicer", "KeyHolderServicer", "Server"]
