"""What a serving party sends: described first, then piece by piece from its disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hecf.errors import InvalidInput
from hecf.protocol.contribution import Declared
from hecf.protocol.tasks import Part
from hecf.wire import transfer


@dataclass(frozen=True)
class Payload:
    """Bytes that are not in memory, and can be sent from any offset on.

    Parameters
    ----------
    declared : Declared
        Size and digest of all of them.
    read : callable
        Returns the bytes from an offset on, in chunks.
    """

    declared: Declared
    read: Callable[[int], Iterator[bytes]] = field(repr=False)

    @classmethod
    def of(cls, data: bytes) -> Payload:
        """Describe bytes that are in memory."""
        return cls(Declared.of(data), lambda offset: transfer.chunks(data, offset))

    @classmethod
    def hashed(cls, size: int, read: Callable[[int], Iterator[bytes]]) -> Payload:
        """Describe bytes of which the digest is not known, by reading them once."""
        return cls(Declared(size, digest_of_all(read(0))), read)

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """Return the bytes from an offset on, in chunks.

        Raises
        ------
        InvalidInput
            If the offset is behind the end.
        """
        if not 0 <= offset <= self.declared.size:
            raise InvalidInput(
                "a download begins behind the end of its payload",
                got=offset,
                expected=f"at most {self.declared.size}",
            )
        return self.read(offset)


@dataclass(frozen=True)
class StoredResult:
    """An encrypted result on the node's disk, and what it was computed from.

    Parameters
    ----------
    payload : Payload
    used : mapping of Part to str
        SHA-256 of every contribution that went into the result, in hexadecimal.
    """

    payload: Payload
    used: Mapping[Part, str]


def digest_of_all(chunks: Iterable[bytes]) -> str:
    """Return SHA-256 of chunks in hexadecimal."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
