"""Recognise secret keys that somebody sends by mistake, before anything of them is kept (C07).

A node accepts nothing but messages of agreed kinds, so none of these could be stored; the point is
to say at once what happened, because a key that has crossed the wire must be replaced.
"""

from __future__ import annotations

import re

from hecf.errors import InvalidInput
from hecf.he.messages import MAGIC, Kind

_SEAL = re.compile(rb"\x5e\xa1\x10[\x03-\x05].[\x00-\x02]", re.DOTALL)
"""Header of SEAL's serialisation: magic number 0xA15E, size 16, version, compression."""

_TENSEAL_PREFIX = 64
_FIRST = 4096
_SIGNS = (
    re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    # PKCS #8, PKCS #1 and SEC 1: a sequence that begins with version 0 or 1.
    re.compile(rb"\A\x30(?:\x81.|\x82..|[^\x80-\xff])\x02\x01[\x00\x01]", re.DOTALL),
    # The key files of hecf's own key holder.
    re.compile(rb"\AHECFKEY[0-9]"),
    re.compile(rb"\A" + MAGIC + rb"\x01\x00" + bytes([Kind.PAILLIER_SEALED_KEY]) + rb"\x00"),
    # JSON Web Keys as python-paillier writes them, with the factors or the exponents.
    re.compile(rb'\A\s*\{(?=.*"kty")(?=.*"(?:d|p|q|lambda|mu)"\s*:)', re.DOTALL),
    re.compile(rb'"key_ops"\s*:\s*\[\s*"decrypt"'),
)


def refuse_secret_material(data: bytes) -> None:
    """Refuse bytes that begin like a secret key.

    Raises
    ------
    InvalidInput
        Without a word of what the bytes are.
    """
    first = bytes(data[:_FIRST])
    seal = not first.startswith(MAGIC) and _SEAL.search(first[:_TENSEAL_PREFIX])
    if seal or any(sign.search(first) for sign in _SIGNS):
        raise InvalidInput(
            "this upload looks like a secret key, which no node may have; it was not kept, "
            "and the key must be replaced"
        )
