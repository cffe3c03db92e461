"""Ciphertext blocks in files that are named by their digest and written atomically."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path

from hecf.errors import InternalFailure, LimitExceeded
from hecf.protocol.contribution import Declared
from hecf.rpc.payload import Payload, digest_of_all

CHUNK = 1 << 20
"""Bytes that are read at once."""


class BlockStore:
    """Bytes by SHA-256 in a folder that only its owner can read.

    Parameters
    ----------
    folder : Path
        Created with mode 0700 if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, data: bytes) -> str:
        """Store bytes and return their digest; the same bytes again cost nothing.

        Raises
        ------
        LimitExceeded
            If the disk is full; nothing is left behind.
        """
        digest = hashlib.sha256(data).hexdigest()
        target = self._folder / digest
        if target.exists():
            return digest
        try:
            descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=".")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(target)
            finally:
                # After the rename there is nothing left to remove; after any failure there is.
                Path(name).unlink(missing_ok=True)
        except OSError as error:
            raise LimitExceeded("a block cannot be stored", got=error.strerror) from None
        return digest

    def adopt(self, path: Path, digest: str) -> None:
        """Take over a complete file of this disk, of which the digest was checked.

        Raises
        ------
        LimitExceeded
            If the disk is full; the file stays where it is.
        """
        try:
            with path.open("rb") as file:
                os.fsync(file.fileno())
            path.replace(self._folder / digest)
        except OSError as error:
            raise LimitExceeded("a block cannot be stored", got=error.strerror) from None

    def get(self, digest: str) -> bytes:
        """Read bytes and check them against their digest.

        Raises
        ------
        InternalFailure
            If the file is gone or was changed.
        """
        try:
            data = (self._folder / digest).read_bytes()
        except OSError:
            raise InternalFailure("a stored block is gone") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise InternalFailure("a stored block was changed")
        return data

    def chunks(self, digest: str) -> Iterator[bytes]:
        """Yield bytes piece by piece, after all of them were checked against their digest.

        Raises
        ------
        InternalFailure
            If the file is gone or was changed.
        """
        try:
            file = (self._folder / digest).open("rb")
        except OSError:
            raise InternalFailure("a stored block is gone") from None
        with file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise InternalFailure("a stored block was changed")
            file.seek(0)
            while chunk := file.read(CHUNK):
                yield chunk

    def payload(self, digest: str, skip: int = 0) -> Payload:
        """Describe bytes, but for some at their beginning, after all were checked.

        Raises
        ------
        InternalFailure
            If the file is gone, or was changed.
        """
        path = self._folder / digest
        whole = self.chunks(digest)
        if skip:
            first = next(whole, b"")
            rest = digest_of_all(chain([first[skip:]], whole))
        else:
            # The first piece comes after all of them were checked.
            next(whole, None)
            rest = digest
        return Payload(
            Declared(path.stat().st_size - skip, rest), lambda offset: _pieces(path, skip + offset)
        )

    def keep(self, digests: Collection[str]) -> None:
        """Remove every other block, and what a crash has left half written."""
        for path in self._folder.iterdir():
            if path.name not in digests:
                path.unlink()


def _pieces(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(CHUNK):
            yield chunk
