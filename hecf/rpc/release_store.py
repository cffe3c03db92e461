"""What a key holder must not forget beside its keys: commitments, and what it has released."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from hecf.errors import Conflict
from hecf.protocol.tasks import Part
from hecf.rpc.payload import Payload
from hecf.rpc.sqlite_tasks import connect, transaction
from hecf.rpc.store import CHUNK

_SCHEMA = """
CREATE TABLE commitments (
    task TEXT NOT NULL,
    retailer TEXT NOT NULL,
    what TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (task, retailer, what)
) WITHOUT ROWID;
CREATE TABLE releases (task TEXT PRIMARY KEY, result BLOB NOT NULL);
CREATE TABLE sums (task TEXT PRIMARY KEY, weights TEXT NOT NULL);
"""
FORMAT_VERSION = 2


class ReleaseStore(Protocol):
    """Where a key holder keeps commitments and released results."""

    def commit(self, identifier: str, part: Part, digest: str) -> None:
        """Keep a commitment; raises Conflict if another was made before."""
        ...

    def commitments(self, identifier: str) -> dict[Part, str]:
        """Return the commitments to a task."""
        ...

    def released(self, identifier: str) -> Payload | None:
        """Return where what was released of a task is, if anything was."""
        ...

    def keep(self, identifier: str, result: bytes) -> None:
        """Keep what is released; raises Conflict if another result was."""
        ...

    def enter(self, identifier: str, weights: Mapping[str, int]) -> None:
        """Keep whose vectors are in a sum, and how often, before it is released."""
        ...

    def sums(self) -> dict[str, dict[str, int]]:
        """Return the weights of every sum that was entered."""
        ...

    def close(self) -> None:
        """Release what the store holds."""
        ...


class MemoryReleaseStore:
    """A store that ends with its process; see :class:`ReleaseStore`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._commitments: dict[tuple[str, Part], str] = {}
        self._released: dict[str, bytes] = {}
        self._sums: dict[str, dict[str, int]] = {}

    def commit(self, identifier: str, part: Part, digest: str) -> None:
        """Keep a commitment."""
        with self._lock:
            known = self._commitments.setdefault((identifier, part), digest)
        _check_same(known, digest, part)

    def commitments(self, identifier: str) -> dict[Part, str]:
        """Return the commitments to a task."""
        with self._lock:
            found = self._commitments.items()
            return {part: digest for (task, part), digest in found if task == identifier}

    def released(self, identifier: str) -> Payload | None:
        """Return what was released of a task."""
        with self._lock:
            result = self._released.get(identifier)
        return None if result is None else Payload.of(result)

    def keep(self, identifier: str, result: bytes) -> None:
        """Keep what is released."""
        with self._lock:
            _check_only(self._released.setdefault(identifier, result), result)

    def enter(self, identifier: str, weights: Mapping[str, int]) -> None:
        """Keep whose vectors are in a sum."""
        with self._lock:
            self._sums[identifier] = dict(weights)

    def sums(self) -> dict[str, dict[str, int]]:
        """Return the weights of every sum."""
        with self._lock:
            return dict(self._sums)

    def close(self) -> None:
        """Do nothing."""


class SqliteReleaseStore:
    """A durable store in an SQLite file of mode 0600; see :class:`ReleaseStore`.

    Parameters
    ----------
    path : Path
    chunk : int
        Bytes of a result that are read at once.

    Raises
    ------
    ConfigurationError
        If the file cannot be opened.
    """

    def __init__(self, path: Path, *, chunk: int = CHUNK) -> None:
        self._chunk = chunk
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection = connect(path, _SCHEMA, FORMAT_VERSION)

    def commit(self, identifier: str, part: Part, digest: str) -> None:
        """Keep a commitment."""
        place = (identifier, *part)
        with self._lock, transaction(self._connection):
            self._connection.execute(
                "INSERT OR IGNORE INTO commitments VALUES (?, ?, ?, ?)", (*place, digest)
            )
            known = self._connection.execute(
                "SELECT digest FROM commitments WHERE task = ? AND retailer = ? AND what = ?", place
            ).fetchone()[0]
        _check_same(known, digest, part)

    def commitments(self, identifier: str) -> dict[Part, str]:
        """Return the commitments to a task."""
        with self._lock, transaction(self._connection):
            rows = self._connection.execute(
                "SELECT retailer, what, digest FROM commitments WHERE task = ?", (identifier,)
            ).fetchall()
        return {(name, what): digest for name, what, digest in rows}

    def released(self, identifier: str) -> Payload | None:
        """Return where what was released of a task is; the result stays on the disk."""
        with self._lock, transaction(self._connection):
            row = self._connection.execute(
                "SELECT rowid, length(result) FROM releases WHERE task = ?", (identifier,)
            ).fetchone()
        if row is None:
            return None
        number, size = row
        return Payload.hashed(size, lambda offset: self._pieces(number, offset, size))

    def _pieces(self, number: int, offset: int, size: int) -> Iterator[bytes]:
        for start in range(offset, size, self._chunk):
            with (
                self._lock,
                self._connection.blobopen("releases", "result", number, readonly=True) as blob,
            ):
                blob.seek(start)
                piece = blob.read(self._chunk)
            yield piece

    def keep(self, identifier: str, result: bytes) -> None:
        """Keep what is released."""
        with self._lock, transaction(self._connection):
            self._connection.execute(
                "INSERT OR IGNORE INTO releases VALUES (?, ?)", (identifier, result)
            )
            known = self._connection.execute(
                "SELECT result FROM releases WHERE task = ?", (identifier,)
            ).fetchone()[0]
            _check_only(bytes(known), result)

    def enter(self, identifier: str, weights: Mapping[str, int]) -> None:
        """Keep whose vectors are in a sum."""
        with self._lock, transaction(self._connection):
            self._connection.execute(
                "INSERT OR REPLACE INTO sums VALUES (?, ?)", (identifier, json.dumps(dict(weights)))
            )

    def sums(self) -> dict[str, dict[str, int]]:
        """Return the weights of every sum."""
        with self._lock, transaction(self._connection):
            rows = self._connection.execute("SELECT task, weights FROM sums").fetchall()
        return {task: json.loads(weights) for task, weights in rows}

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()


def _check_same(known: str, digest: str, part: Part) -> None:
    if known != digest:
        raise Conflict(f"{part[0]} has committed to another contribution to this task")


def _check_only(known: bytes, result: bytes) -> None:
    if known != result:
        raise Conflict("another result of this task was released")
