"""Payloads in chunks: a manifest with size and digest first, then at most that many bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hecf.api.v1 import transfer_pb2
from hecf.errors import LimitExceeded, MalformedMessage

CHUNK_BYTES = 1 << 20
"""Bytes of one chunk; a message stays well below gRPC's default limit of 4 MiB."""


@dataclass(frozen=True)
class Limits:
    """Caps of one transfer, in bytes of payload."""

    payload: int


def manifest(data: bytes) -> transfer_pb2.Manifest:
    """Describe a payload."""
    return transfer_pb2.Manifest(size=len(data), sha256=hashlib.sha256(data).digest())


def chunks(data: bytes) -> Iterator[bytes]:
    """Split a payload."""
    view = memoryview(data)
    for start in range(0, len(data), CHUNK_BYTES):
        yield bytes(view[start : start + CHUNK_BYTES])


def gather(declared: transfer_pb2.Manifest, parts: Iterable[bytes], limits: Limits) -> bytes:
    """Collect the chunks of a payload, never holding more than was declared.

    Raises
    ------
    LimitExceeded
        If more is declared than allowed, more comes than was declared, or a chunk is empty.
    MalformedMessage
        If bytes are missing or the digest differs.
    """
    if declared.size > limits.payload:
        raise LimitExceeded(
            "a payload is too large",
            got=f"{declared.size} bytes",
            expected=f"at most {limits.payload}",
        )
    collected = bytearray()
    for part in parts:
        if not part:
            raise LimitExceeded("a chunk is empty", expected="at least 1 byte")
        if len(collected) + len(part) > declared.size:
            raise LimitExceeded(
                "a payload is longer than declared", expected=f"{declared.size} bytes"
            )
        collected += part
    data = bytes(collected)
    if len(data) != declared.size:
        raise MalformedMessage(
            "a payload is shorter than declared",
            got=f"{len(data)} bytes",
            expected=declared.size,
        )
    if hashlib.sha256(data).digest() != declared.sha256:
        raise MalformedMessage("a payload does not have the declared digest")
    return data
