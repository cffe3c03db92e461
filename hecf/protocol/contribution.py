"""Contributions that are bound to one part of one task.

What travels is a header with the binding, and the operand. The binding makes the bytes useless
elsewhere: a captured contribution that is sent again for another task or part is refused
(control C17).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hecf.errors import MalformedMessage, Replayed
from hecf.he.messages import HEADER_BYTES, Kind, check_header, header
from hecf.protocol.tasks import Task


@dataclass(frozen=True)
class Declared:
    """What a sender says of a payload before its first byte.

    Parameters
    ----------
    size : int
        Bytes.
    digest : str
        SHA-256 in hexadecimal.
    """

    size: int
    digest: str

    @classmethod
    def of(cls, data: bytes) -> Declared:
        """Describe a payload."""
        return cls(len(data), digest_of(data))


def bound(task: Task, what: str, operand: bytes) -> bytes:
    """Return the contribution that carries an operand for one part of a task."""
    return header(Kind.CONTRIBUTION, _binding(task, what)) + operand


def operand_of(task: Task, what: str, data: bytes) -> bytes:
    """Return the operand of a contribution.

    Raises
    ------
    MalformedMessage
        If the bytes are no contribution.
    Replayed
        If they were bound to another task or part.
    """
    check_binding(task, what, data)
    return bytes(memoryview(data)[HEADER_BYTES:])


def check_binding(task: Task, what: str, data: bytes) -> None:
    """Check the header that a contribution starts with.

    Raises
    ------
    MalformedMessage
        If the bytes are not the beginning of a contribution.
    Replayed
        If it was bound to another task or part.
    """
    expected = _binding(task, what)
    if len(data) < HEADER_BYTES:
        raise MalformedMessage("a contribution is too short", got=f"{len(data)} bytes")
    claimed = bytes(data[HEADER_BYTES - len(expected) : HEADER_BYTES])
    check_header(data, Kind.CONTRIBUTION, claimed)
    if claimed != expected:
        raise Replayed("a contribution was made for another task or part")


def operand_chunks(task: Task, what: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the operand of a contribution whose first chunk holds its header; errors as above."""
    arriving = iter(chunks)
    yield operand_of(task, what, next(arriving, b""))
    yield from arriving


def digest_of(data: bytes) -> str:
    """Return SHA-256 of a contribution in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _binding(task: Task, what: str) -> bytes:
    content = f"hecf contribution 1 {task.identifier} {what}"
    return hashlib.sha256(content.encode()).digest()
