"""Contributions that are bound to one part of one task, and to one public key.

What travels is a header with the binding, and the operand. The binding makes the bytes useless
elsewhere: a captured contribution that is sent again for another task or part is refused
(control C17), and so is one under a key that was replaced, which nobody could decrypt together with
those of others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from hecf.errors import MalformedMessage, Mismatch, Replayed
from hecf.he.messages import HEADER_BYTES, Kind, check_header, header
from hecf.protocol.tasks import QueryTask, Task


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


def key_fingerprint(public_key: bytes) -> str:
    """Return SHA-256 of a public key in hexadecimal."""
    return hashlib.sha256(public_key).hexdigest()


def key_of(task: Task, public_key: bytes) -> str:
    """Return the fingerprint of the coalition's key that contributions to a task are bound to.

    It is empty for queries, which are under a key of their asker's.
    """
    return "" if isinstance(task, QueryTask) else key_fingerprint(public_key)


def bound(task: Task, what: str, operand: bytes, key: str) -> bytes:
    """Return the contribution that carries an operand for one part of a task.

    Parameters
    ----------
    task : Task
    what : str
        left, right or model.
    operand : bytes
    key : str
        Of :func:`key_of`.
    """
    return header(Kind.CONTRIBUTION, _binding(task, what, key)) + operand


def operand_of(task: Task, what: str, data: bytes, key: str) -> bytes:
    """Return the operand of a contribution; errors as for :func:`check_binding`."""
    check_binding(task, what, data, key)
    return bytes(memoryview(data)[HEADER_BYTES:])


def check_binding(
    task: Task, what: str, data: bytes, key: str, *, replaced: Collection[str] = ()
) -> None:
    """Check the header that a contribution starts with.

    Parameters
    ----------
    task : Task
    what : str
    data : bytes
        The contribution, or its beginning.
    key : str
        Of :func:`key_of` with the present public key.
    replaced : collection of str
        Fingerprints of the keys before it.

    Raises
    ------
    MalformedMessage
        If the bytes are not the beginning of a contribution.
    Mismatch
        If it was bound to a key that was replaced.
    Replayed
        If it was bound to another task or part.
    """
    expected = _binding(task, what, key)
    if len(data) < HEADER_BYTES:
        raise MalformedMessage("a contribution is too short", got=f"{len(data)} bytes")
    claimed = bytes(data[HEADER_BYTES - len(expected) : HEADER_BYTES])
    check_header(data, Kind.CONTRIBUTION, claimed)
    if claimed in {_binding(task, what, former) for former in replaced}:
        raise Mismatch(
            "a contribution is under a public key that was replaced",
            expected=f"the key {key[:16]}; fetch it again",
        )
    if claimed != expected:
        raise Replayed("a contribution was made for another task or part")


def operand_chunks(task: Task, what: str, chunks: Iterable[bytes], key: str) -> Iterator[bytes]:
    """Yield the operand of a contribution whose first chunk holds its header; errors as above."""
    arriving = iter(chunks)
    yield operand_of(task, what, next(arriving, b""), key)
    yield from arriving


def digest_of(data: bytes) -> str:
    """Return SHA-256 of a contribution in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _binding(task: Task, what: str, key: str) -> bytes:
    content = f"hecf contribution 2 {task.identifier} {what} {key}"
    return hashlib.sha256(content.encode()).digest()
