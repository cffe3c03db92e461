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


class Collector:
    """Collects the chunks of a payload, also over several connections.

    It never holds more than was declared.

    Parameters
    ----------
    limits : Limits
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._described: transfer_pb2.Manifest | None = None
        self._collected = bytearray()

    @property
    def begun(self) -> bool:
        """Whether a payload was described."""
        return self._described is not None

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return len(self._collected)

    def begin(self, described: transfer_pb2.Manifest) -> None:
        """Take a description, or compare it with that of the connection before.

        Raises
        ------
        LimitExceeded
            If more is declared than allowed.
        MalformedMessage
            If another payload was described before.
        """
        if described.size > self._limits.payload:
            raise LimitExceeded(
                "a payload is too large",
                got=f"{described.size} bytes",
                expected=f"at most {self._limits.payload}",
            )
        if self._described is not None and self._described != described:
            raise MalformedMessage("a download goes on with another payload")
        self._described = described

    def take(self, part: bytes) -> None:
        """Take the next chunk.

        Raises
        ------
        LimitExceeded
            If more comes than was declared, or the chunk is empty.
        """
        declared_size = 0 if self._described is None else self._described.size
        if not part:
            raise LimitExceeded("a chunk is empty", expected="at least 1 byte")
        if len(self._collected) + len(part) > declared_size:
            raise LimitExceeded(
                "a payload is longer than declared", expected=f"{declared_size} bytes"
            )
        self._collected += part

    def complete(self) -> bytes:
        """Return the payload.

        Raises
        ------
        MalformedMessage
            If bytes are missing or the digest differs.
        """
        described, data = self._described, bytes(self._collected)
        if described is None or len(data) != described.size:
            raise MalformedMessage(
                "a payload is shorter than declared",
                got=f"{len(data)} bytes",
                expected="some" if described is None else described.size,
            )
        if hashlib.sha256(data).digest() != described.sha256:
            raise MalformedMessage("a payload does not have the declared digest")
        return data


def gather(described: transfer_pb2.Manifest, parts: Iterable[bytes], limits: Limits) -> bytes:
    """Collect the chunks of a payload that arrives over one connection.

    Raises
    ------
    LimitExceeded
        If more is declared than allowed, more comes than was declared, or a chunk is empty.
    MalformedMessage
        If bytes are missing or the digest differs.
    """
    collector = Collector(limits)
    collector.begin(described)
    for part in parts:
        collector.take(part)
    return collector.complete()
