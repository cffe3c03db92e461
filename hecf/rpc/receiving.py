"""From the chunks of a contribution to a checked file: what a node does with an upload."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from hecf.errors import (
    HecfError,
    LimitExceeded,
    MalformedMessage,
    PartyMissing,
    PermissionDenied,
    Unavailable,
)
from hecf.he.messages import HEADER_BYTES
from hecf.he.scheme import Scheme
from hecf.he.streams import CHUNK
from hecf.protocol.computation import check_part
from hecf.protocol.contribution import Declared, check_binding
from hecf.protocol.tasks import Part, Task
from hecf.rpc.secret_material import refuse_secret_material
from hecf.rpc.spool import Arriving, Spool

_RESUMABLE = (LimitExceeded, PartyMissing, PermissionDenied, Unavailable)
"""What may break an upload off and says nothing against its bytes: they are kept."""


@dataclass(frozen=True)
class Keys:
    """Fingerprints of the present public key and of those before it."""

    present: str
    replaced: Collection[str] = ()


Record = Callable[[Arriving, str], bool]


class Receiver:
    """Takes contributions from their chunks through the spool and the strict parser.

    Parameters
    ----------
    scheme : Scheme
    spool : Spool
    memory : int
        Bytes that the check of a contribution may use.
    """

    def __init__(self, scheme: Scheme, spool: Spool, memory: int) -> None:
        self._scheme = scheme
        self._spool = spool
        self._memory = memory

    def arrived(self, task: Task, part: Part, declared: Declared) -> int:
        """Return how many bytes of a contribution have arrived."""
        return self._spool.confirmed(part[0], _what(task, part), declared)

    def take(
        self,
        task: Task,
        part: Part,
        declared: Declared,
        offset: int,
        chunks: Iterable[bytes],
        keys: Keys,
        record: Record,
    ) -> bool:
        """Receive a contribution, or go on with it, and record it once it is whole and checked.

        Nothing is written unless the first bytes are the header of a contribution for this part,
        so that what somebody sends by mistake does not touch the disk.

        Parameters
        ----------
        task : Task
        part : Part
        declared : Declared
        offset : int
            Where the chunks begin.
        chunks : iterable of bytes
        keys : Keys
        record : callable
            Gets the upload and the digest of its operand, takes its file over and returns whether
            it was new.

        Raises
        ------
        Unavailable
            If bytes before the offset have not arrived, or another call has ended the upload.
        MalformedMessage, Mismatch, InvalidInput, Replayed
            If the bytes are not as agreed; nothing of them is kept.
        LimitExceeded
            If more is declared or sent than may be, a chunk is empty, or the disk is full.
        """
        if declared.size < HEADER_BYTES:
            raise MalformedMessage("a contribution is too short", got=f"{declared.size} bytes")
        upload = self._spool.begin(part[0], _what(task, part), declared)
        try:
            position = offset
            for chunk in chunks:
                if position == 0 and chunk:
                    check_binding(task, part[1], chunk, keys.present, replaced=keys.replaced)
                    refuse_secret_material(chunk[HEADER_BYTES:])
                upload.append(position, chunk)
                position += len(chunk)
            with upload.finishing:
                upload.complete(position)
                accepted = record(upload, self._checked(task, part, upload, keys))
        except HecfError as error:
            if not isinstance(error, _RESUMABLE):
                self._spool.discard(upload)
            raise
        self._spool.discard(upload)
        return accepted

    def _checked(self, task: Task, part: Part, upload: Arriving, keys: Keys) -> str:
        digest = hashlib.sha256()
        with upload.path.open("rb") as file:
            start = file.read(HEADER_BYTES)
            check_binding(task, part[1], start, keys.present, replaced=keys.replaced)
            operand = _hashing(file, digest.update)
            check_part(task, part, operand, self._scheme, memory=self._memory)
        return digest.hexdigest()


def _what(task: Task, part: Part) -> str:
    return f"{task.identifier} {part[1]}"


def _hashing(file: BinaryIO, update: Callable[[bytes], None]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        update(chunk)
        yield chunk
