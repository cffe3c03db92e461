"""Which role may call which method. A method that is not listed is denied (control C02)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from hecf.errors import PermissionDenied
from hecf.rpc.identity import KEY_HOLDER, RETAILER, Party, parse_party_uri

_NODE = "/hecf.v1.ComputeNodeService/"
_HOLDER = "/hecf.v1.KeyHolderService/"

ALLOWED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        _NODE + "Join": frozenset({RETAILER, KEY_HOLDER}),
        _NODE + "PublishKey": frozenset({KEY_HOLDER}),
        _NODE + "Declare": frozenset({RETAILER}),
        _NODE + "AwaitTask": frozenset({RETAILER}),
        _NODE + "Contribute": frozenset({RETAILER}),
        _NODE + "GetUpload": frozenset({RETAILER}),
        _NODE + "CloseTask": frozenset({RETAILER}),
        _NODE + "AbortTask": frozenset({RETAILER}),
        _NODE + "FetchResult": frozenset({RETAILER, KEY_HOLDER}),
        _NODE + "FetchMask": frozenset({RETAILER}),
        _HOLDER + "Join": frozenset({RETAILER}),
        _HOLDER + "GetPublicKey": frozenset({RETAILER}),
        _HOLDER + "Commit": frozenset({RETAILER}),
        _HOLDER + "Release": frozenset({RETAILER}),
    }
)
"""Roles that may call each method."""

EVENTS: Mapping[str, str | None] = MappingProxyType(
    {
        _NODE + "Join": "join",
        _NODE + "PublishKey": "publish key",
        _NODE + "Declare": "declare",
        _NODE + "AwaitTask": None,
        _NODE + "Contribute": "contribute",
        _NODE + "GetUpload": None,
        _NODE + "CloseTask": "close",
        _NODE + "AbortTask": "abort",
        _NODE + "FetchResult": "fetch",
        _NODE + "FetchMask": "fetch mask",
        _HOLDER + "Join": "join",
        _HOLDER + "GetPublicKey": "fetch key",
        _HOLDER + "Commit": "commit",
        _HOLDER + "Release": "release",
    }
)
"""What the audit log calls a method; waiting is no event."""

HEALTH_CHECK = "/grpc.health.v1.Health/Check"
"""Open to every party of the coalition."""

REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
"""Open to every party of the coalition, where a server has it at all."""


def authenticated(identifier: str, names: Sequence[bytes]) -> Party:
    """Read the caller from the subject alternative names of its verified certificate.

    Raises
    ------
    PermissionDenied
        Unless there is exactly one party URI and it is of this coalition.
    """
    uris = [name.decode("utf-8", "replace") for name in names if b"://" in name]
    if len(uris) != 1:
        raise PermissionDenied(
            "a certificate must name exactly one role", got=f"{len(uris)} URIs", expected=1
        )
    party = parse_party_uri(uris[0])
    if party.identifier != identifier:
        raise PermissionDenied("the certificate belongs to another coalition")
    return party


def authorise(party: Party, method: str, retailers: Sequence[str]) -> None:
    """Refuse a call that the party's role may not make.

    Raises
    ------
    PermissionDenied
    """
    if party.role == RETAILER and party.name not in retailers:
        raise PermissionDenied("this retailer is not in the coalition's terms")
    if method in (HEALTH_CHECK, REFLECTION):
        return
    if party.role not in ALLOWED.get(method, frozenset()):
        raise PermissionDenied(f"a {party.role} may not call this method")
