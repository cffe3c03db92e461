"""One table from deliberate errors to gRPC statuses, and its inverse for clients.

The text of a :class:`~hecf.errors.HecfError` is public by construction and travels as the status
message; its class travels as the reason of a ``google.rpc.ErrorInfo`` in the status details, where
tools such as grpcurl and clients in other languages read it (google/rpc/error_details.proto).
Anything else becomes a constant text with an opaque identifier that the log of the party repeats
(control C25).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from hecf import errors
from hecf.errors import HecfError, InternalFailure

DOMAIN = "hecf"
"""Domain of every reason in the status details."""

_LONGEST_TEXT = 1000

STATUS: Mapping[type[HecfError], grpc.StatusCode] = MappingProxyType(
    {
        errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
        errors.ConfigurationError: grpc.StatusCode.FAILED_PRECONDITION,
        errors.ParameterError: grpc.StatusCode.INVALID_ARGUMENT,
        errors.MalformedMessage: grpc.StatusCode.INVALID_ARGUMENT,
        errors.Mismatch: grpc.StatusCode.FAILED_PRECONDITION,
        errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
        errors.UnknownTask: grpc.StatusCode.NOT_FOUND,
        errors.Conflict: grpc.StatusCode.ABORTED,
        errors.Replayed: grpc.StatusCode.ALREADY_EXISTS,
        errors.TaskEnded: grpc.StatusCode.FAILED_PRECONDITION,
        errors.PartyMissing: grpc.StatusCode.DEADLINE_EXCEEDED,
        errors.LimitExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
        errors.ReleaseRefused: grpc.StatusCode.FAILED_PRECONDITION,
        errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
        errors.InternalFailure: grpc.StatusCode.INTERNAL,
    }
)
"""The status of every deliberate error."""

_HANDSHAKE_FAILURES = {
    "certificate has expired": "a certificate that has expired",
    "CERTIFICATE_VERIFY_FAILED": "a certificate that this coalition has not issued",
    "Hostname Verification Check failed": "the certificate of another party",
}
"""How gRPC words a handshake that no second attempt will mend; the first that fits counts."""


def reason_of(cls: type[HecfError]) -> str:
    """Machine-readable name of a deliberate error: MALFORMED_MESSAGE for MalformedMessage."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).upper()


_CLASSES = {reason_of(cls): cls for cls in STATUS}


def public_error(error: BaseException) -> tuple[HecfError, str | None]:
    """Return what a caller may read of an error.

    Returns
    -------
    public : HecfError
        The error itself if it is deliberate, otherwise a constant text.
    identifier : str or None
        Opaque identifier under which the log keeps the rest.
    """
    if isinstance(error, HecfError) and type(error) in STATUS:
        return error, None
    identifier = secrets.token_hex(8)
    return InternalFailure(f"internal failure {identifier}"), identifier


def error_of(reason: str, text: str) -> HecfError:
    """Return the deliberate error of a reason and a text; an unknown reason tells nothing."""
    cls = _CLASSES.get(reason)
    return cls(text) if cls is not None else InternalFailure("a failure of an unknown kind")


def rich_status(public: HecfError) -> Any:
    """Return the gRPC status of a public error, with its reason in the details."""
    # What a caller sent can stand in the text, and trailers hold a few kilobytes only.
    text = str(public)[:_LONGEST_TEXT]
    details = status_pb2.Status(code=STATUS[type(public)].value[0], message=text)
    details.details.add().Pack(
        error_details_pb2.ErrorInfo(reason=reason_of(type(public)), domain=DOMAIN)
    )
    return rpc_status.to_status(details)


def from_rpc_error(error: grpc.RpcError, peer: str) -> HecfError:
    """Return the deliberate error that a failed call stands for.

    Parameters
    ----------
    error : grpc.RpcError
    peer : str
        What the called party is and where, for errors of the connection.
    """
    code = error.code()
    details = error.details() or ""
    cls = _CLASSES.get(_reason(error))
    if cls is not None:
        return cls(details)
    if code == grpc.StatusCode.UNAVAILABLE:
        for sign, meaning in _HANDSHAKE_FAILURES.items():
            if sign in details:
                return errors.Mismatch(f"{peer} shows {meaning}")
        return errors.Unavailable(f"{peer} cannot be reached")
    if code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
        return errors.PartyMissing(f"{peer} did not answer in time")
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return errors.LimitExceeded(f"{peer} refuses the size or number of messages")
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return errors.Mismatch(f"{peer} does not know this method; the versions differ")
    return InternalFailure(f"{peer} failed")


def _reason(error: grpc.RpcError) -> str:
    """Read the reason of a failed call; what another party's details hold otherwise is ignored."""
    info = error_details_pb2.ErrorInfo()
    try:
        status = rpc_status.from_call(error)
        for detail in status.details if status else ():
            if detail.Unpack(info) and info.domain == DOMAIN:
                return str(info.reason)
    except (ValueError, DecodeError):
        return ""
    return ""
