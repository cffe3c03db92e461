"""Payloads in chunks: a manifest with size and digest first, then at most that many bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hecf.api.v1 import transfer_pb2
from hecf.errors import LimitExceeded, MalformedMessage
from hecf.protocol.contribution import Declared
from hecf.wire.messages import digest_text

CHUNK_BYTES = 1 << 20
"""Bytes of one chunk; a message stays well below gRPC's default limit of 4 MiB."""


@dataclass(frozen=True)
class Limits:
    """Caps of one transfer, in bytes of payload."""

    payload: int


def manifest(data: bytes) -> transfer_pb2.Manifest:
    """Describe a payload."""
    return manifest_of(Declared.of(data))


def manifest_of(declared: Declared) -> transfer_pb2.Manifest:
    """Return the message of a declaration."""
    return transfer_pb2.Manifest(size=declared.size, sha256=bytes.fromhex(declared.digest))


def declared(message: transfer_pb2.Manifest) -> Declared:
    """Return the declaration of a message; raises MalformedMessage."""
    return Declared(message.size, digest_text(message.sha256))


def chunks(data: bytes, offset: int = 0, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Split what a payload has from an offset on."""
    view = memoryview(data)
    for start in range(offset, len(data), size):
        yield bytes(view[start : start + size])


def gather(described: transfer_pb2.Manifest, parts: Iterable[bytes], limits: Limits) -> bytes:
    """Collect the chunks of a payload, never holding more than was declared.

    Raises
    ------
    LimitExceeded
        If more is declared than allowed, more comes than was declared, or a chunk is empty.
    MalformedMessage
        If bytes are missing or the digest differs.
    """
    if described.size > limits.payload:
        raise LimitExceeded(
            "a payload is too large",
            got=f"{described.size} bytes",
            expected=f"at most {limits.payload}",
        )
    collected = bytearray()
    for part in parts:
        if not part:
            raise LimitExceeded("a chunk is empty", expected="at least 1 byte")
        if len(collected) + len(part) > described.size:
            raise LimitExceeded(
                "a payload is longer than declared", expected=f"{described.size} bytes"
            )
        collected += part
    data = bytes(collected)
    if len(data) != described.size:
        raise MalformedMessage(
            "a payload is shorter than declared",
            got=f"{len(data)} bytes",
            expected=described.size,
        )
    if hashlib.sha256(data).digest() != described.sha256:
        raise MalformedMessage("a payload does not have the declared digest")
    return data
