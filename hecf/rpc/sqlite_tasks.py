"""Tasks in an SQLite file: write-ahead log, every commit on the disk before it counts."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hecf.api.v1 import tasks_pb2
from hecf.errors import ConfigurationError, InternalFailure, LimitExceeded
from hecf.protocol.contribution import key_fingerprint
from hecf.protocol.state import Phase, TaskState
from hecf.protocol.tasks import Task
from hecf.protocol.terms import Terms
from hecf.rpc.task_store import Tasks
from hecf.wire import messages

_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE tasks (
    number INTEGER PRIMARY KEY,
    identifier TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    task BLOB NOT NULL,
    state TEXT NOT NULL
);
CREATE TABLE operands (digest TEXT PRIMARY KEY, place TEXT NOT NULL) WITHOUT ROWID;
"""
FORMAT_VERSION = 2
_TERMS, _PUBLIC_KEY, _REPLACED_KEYS = "terms", "public key", "replaced keys"


def connect(path: Path, schema: str, version: int) -> sqlite3.Connection:
    """Open a database file of mode 0600 that loses no commit, and give it its tables.

    Raises
    ------
    ConfigurationError
        If the file is no database of that version, or cannot be opened.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("BEGIN IMMEDIATE")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            for statement in schema.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version:d}")
        connection.execute("COMMIT")
    except (sqlite3.Error, OSError) as error:
        raise ConfigurationError(f"{path} cannot be used as a store", got=str(error)) from None
    if found not in (0, version):
        connection.close()
        raise ConfigurationError(
            f"{path} is of another version", got=f"version {found}", expected=version
        )
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block has done, or undo it.

    Raises
    ------
    LimitExceeded
        If the disk is full.
    InternalFailure
        If the database fails otherwise.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            full = os.strerror(errno.ENOSPC)
            raise LimitExceeded("the state cannot be stored", got=full) from None
        raise InternalFailure("the state cannot be stored") from error


class SqliteTaskStore:
    """A durable store of tasks; see :class:`hecf.rpc.task_store.TaskStore`.

    Parameters
    ----------
    path : Path
        The database, which is created with mode 0600 if it does not exist.
    terms : Terms
        The coalition's terms; a store of others is refused.

    Raises
    ------
    ConfigurationError
        If the file cannot be opened or belongs to other terms.
    """

    def __init__(self, path: Path, terms: Terms) -> None:
        self._lock = threading.RLock()
        self._connection = connect(path, _SCHEMA, FORMAT_VERSION)
        self._content = _Content(self._connection, terms)
        with self.change():
            known = self._content.fact(_TERMS)
            if known is None:
                self._content.put_fact(_TERMS, terms.fingerprint.encode())
            elif known != terms.fingerprint.encode():
                raise ConfigurationError(
                    f"{path} belongs to a coalition with other terms",
                    got=known.decode()[:16],
                    expected=terms.fingerprint[:16],
                )

    @contextmanager
    def change(self) -> Iterator[Tasks]:
        """Begin a transaction of the database."""
        with self._lock, transaction(self._connection):
            yield self._content

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()


class _Content:
    """The tables as :class:`hecf.rpc.task_store.Tasks`."""

    def __init__(self, connection: sqlite3.Connection, terms: Terms) -> None:
        self._connection = connection
        self._terms = terms
        # A task never changes, and reading one checks thousands of rows.
        self._tasks: dict[str, Task] = {}

    def get(self, identifier: str) -> TaskState | None:
        found = self._rows("WHERE identifier = ?", identifier)
        return found[0] if found else None

    def named(self, name: str) -> TaskState | None:
        found = self._rows("WHERE name = ?", name)
        return found[0] if found else None

    def all(self) -> list[TaskState]:
        return self._rows("ORDER BY number")

    def put(self, state: TaskState) -> None:
        task = state.task
        self._connection.execute(
            "INSERT INTO tasks (identifier, name, task, state) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (identifier) DO UPDATE SET state = excluded.state",
            (
                task.identifier,
                task.name,
                messages.task_message(task).SerializeToString(deterministic=True),
                _state_text(state),
            ),
        )

    def claim(self, operand: str, place: str) -> bool:
        self._connection.execute("INSERT OR IGNORE INTO operands VALUES (?, ?)", (operand, place))
        row = self._connection.execute(
            "SELECT place FROM operands WHERE digest = ?", (operand,)
        ).fetchone()
        return bool(row[0] == place)

    def public_key(self) -> bytes | None:
        return self.fact(_PUBLIC_KEY)

    def replaced_keys(self) -> frozenset[str]:
        return frozenset((self.fact(_REPLACED_KEYS) or b"").decode().split())

    def put_public_key(self, key: bytes) -> None:
        before = self.public_key()
        if before is not None:
            replaced = self.replaced_keys() | {key_fingerprint(before)}
            self.put_fact(_REPLACED_KEYS, " ".join(sorted(replaced)).encode())
        self.put_fact(_PUBLIC_KEY, key)

    def fact(self, name: str) -> bytes | None:
        row = self._connection.execute(
            "SELECT content FROM facts WHERE name = ?", (name,)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def put_fact(self, name: str, content: bytes) -> None:
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, content))

    def _rows(self, where: str, *arguments: str) -> list[TaskState]:
        # The condition is one of three constants above; values are always bound.
        query = f"SELECT identifier, task, state FROM tasks {where}"  # noqa: S608
        rows = self._connection.execute(query, arguments).fetchall()
        return [_read_state(self._task(row[0], row[1]), row[2]) for row in rows]

    def _task(self, identifier: str, data: bytes) -> Task:
        if identifier not in self._tasks:
            self._tasks[identifier] = messages.task(tasks_pb2.Task.FromString(data), self._terms)
        return self._tasks[identifier]


def _state_text(state: TaskState) -> str:
    content = {
        "deadline": state.deadline,
        "phase": state.phase.value,
        "joined": sorted(state.joined),
        "contributions": [[*part, digest] for part, digest in state.contributions.items()],
        "results": dict(state.results),
        "handed_out": sorted(state.handed_out),
        "reason": state.reason,
        "key": state.key,
    }
    return json.dumps(content, separators=(",", ":"))


def _read_state(task: Task, text: str) -> TaskState:
    content: dict[str, Any] = json.loads(text)
    return TaskState(
        task,
        content["deadline"],
        Phase(content["phase"]),
        frozenset(content["joined"]),
        MappingProxyType({(name, what): digest for name, what, digest in content["contributions"]}),
        MappingProxyType(content["results"]),
        frozenset(content["handed_out"]),
        content["reason"],
        content["key"],
    )
