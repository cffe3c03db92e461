"""One table from deliberate errors to gRPC statuses, and its inverse for clients.

The text of a :class:`~hecf.errors.HecfError` is public by construction and travels as the status
message; its class travels in trailing metadata. Anything else becomes a constant text with an
opaque identifier that the log of the party repeats (control C25).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from types import MappingProxyType

import grpc

from hecf import errors
from hecf.errors import HecfError, InternalFailure

METADATA_KEY = "hecf-error"

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

_CLASSES = {cls.__name__: cls for cls in STATUS}


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
    names = [str(m.value) for m in error.trailing_metadata() or () if m.key == METADATA_KEY]
    cls = _CLASSES.get(names[0]) if names else None
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
