from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecf.api.v1 import transfer_pb2
from hecf.errors import LimitExceeded, MalformedMessage
from hecf.wire.transfer import CHUNK_BYTES, Limits, chunks, gather, manifest

LIMITS = Limits(payload=3 * CHUNK_BYTES)
DATA = bytes(range(256)) * 40


def split(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    position = 0
    for size in sizes:
        if position < len(data):
            yield data[position : position + size]
            position += size
    if position < len(data):
        yield data[position:]


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]
)
def test_payloads_survive_their_chunks(size: int) -> None:
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    parts = list(chunks(data))
    assert len(parts) == -(-size // CHUNK_BYTES)
    assert all(0 < len(part) <= CHUNK_BYTES for part in parts)
    assert gather(manifest(data), parts, LIMITS) == data


def test_the_manifest_is_size_and_digest() -> None:
    declared = manifest(DATA)
    assert declared.size == len(DATA)
    assert declared.sha256 == hashlib.sha256(DATA).digest()


@settings(max_examples=50)
@given(st.binary(max_size=2000), st.lists(st.integers(1, 300), max_size=20))
def test_any_division_into_chunks_is_accepted(data: bytes, sizes: list[int]) -> None:
    assert gather(manifest(data), split(data, sizes), LIMITS) == data


class Supply:
    """Chunks that count how many were taken."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        for part in self.parts:
            self.taken += 1
            yield part


def test_a_payload_that_declares_too_much_is_refused_before_a_chunk_is_read() -> None:
    supply = Supply([DATA])
    declared = transfer_pb2.Manifest(size=LIMITS.payload + 1, sha256=bytes(32))
    with pytest.raises(LimitExceeded, match="too large"):
        gather(declared, supply, LIMITS)
    assert supply.taken == 0
    with pytest.raises(LimitExceeded):
        gather(transfer_pb2.Manifest(size=2**64 - 1, sha256=bytes(32)), supply, LIMITS)
    exact = manifest(DATA)
    assert gather(exact, [DATA], Limits(len(DATA))) == DATA
    with pytest.raises(LimitExceeded):
        gather(exact, [DATA], Limits(len(DATA) - 1))


def test_a_payload_longer_than_declared_is_refused_at_the_first_byte_too_much() -> None:
    supply = Supply([DATA, b"x", b"never read"])
    with pytest.raises(LimitExceeded, match="longer than declared"):
        gather(manifest(DATA), supply, LIMITS)
    assert supply.taken == 2

    def endless() -> Iterator[bytes]:
        while True:
            yield b"more"

    with pytest.raises(LimitExceeded):
        gather(manifest(DATA), endless(), LIMITS)


@pytest.mark.parametrize("kept", [0, 1, len(DATA) - 1])
def test_a_payload_shorter_than_declared_is_refused(kept: int) -> None:
    parts = [DATA[:kept]] if kept else []
    with pytest.raises(MalformedMessage, match="shorter than declared"):
        gather(manifest(DATA), parts, LIMITS)


def test_an_empty_chunk_is_refused_at_once() -> None:
    supply = Supply([DATA[:10], b"", DATA[10:]])
    with pytest.raises(LimitExceeded, match="chunk is empty"):
        gather(manifest(DATA), supply, LIMITS)
    assert supply.taken == 2
    with pytest.raises(LimitExceeded, match="chunk is empty"):
        gather(manifest(b""), [b""], LIMITS)


@pytest.mark.parametrize("position", [0, 5000, len(DATA) - 1])
def test_a_changed_byte_is_noticed(position: int) -> None:
    changed = bytearray(DATA)
    changed[position] ^= 1
    with pytest.raises(MalformedMessage, match="declared digest"):
        gather(manifest(DATA), [bytes(changed)], LIMITS)


@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(32), bytes(33)])
def test_another_digest_is_refused(digest: bytes) -> None:
    declared = transfer_pb2.Manifest(size=len(DATA), sha256=digest)
    with pytest.raises(MalformedMessage, match="declared digest"):
        gather(declared, [DATA], LIMITS)


def test_chunks_in_another_order_are_noticed() -> None:
    with pytest.raises(MalformedMessage, match="declared digest"):
        gather(manifest(DATA[:999]), [DATA[500:999], DATA[:500]], LIMITS)
