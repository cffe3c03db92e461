"""Who a party is: role and name in exactly one URI of its certificate (control C02)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hecf.errors import PermissionDenied

COMPUTE_NODE = "compute-node"
KEY_HOLDER = "key-holder"
RETAILER = "retailer"
ROLES = (COMPUTE_NODE, KEY_HOLDER, RETAILER)

_URI = re.compile(
    r"spiffe://(?P<identifier>[0-9a-f]{32})\.hecf/(?P<role>[a-z-]+)/(?P<name>[a-z][a-z0-9-]{0,62})"
)


@dataclass(frozen=True)
class Party:
    """An authenticated party of a coalition.

    Parameters
    ----------
    identifier : str
        The coalition's 32 hexadecimal digits.
    role : {"compute-node", "key-holder", "retailer"}
        What the party is.
    name : str
        Which one it is; for node and key holder the same word as the role.
    """

    identifier: str
    role: str
    name: str


def party_uri(identifier: str, role: str, name: str) -> str:
    """URI that stands in a party's certificate, in the form of a SPIFFE identifier."""
    return f"spiffe://{identifier}.hecf/{role}/{name}"


def parse_party_uri(uri: str) -> Party:
    """Read a party's URI.

    Raises
    ------
    PermissionDenied
        If the URI has another form or names an unknown role.
    """
    match = _URI.fullmatch(uri)
    if match is None or match["role"] not in ROLES:
        raise PermissionDenied("the certificate names no role of a coalition")
    return Party(**match.groupdict())


def server_name(identifier: str, role: str) -> str:
    """DNS name in the certificate of a serving party, which its clients insist on."""
    return f"{role}.{identifier}.hecf"
