"""What a compute node must not forget, behind an interface that a database can implement.

Every change is one transaction: after an error or a crash either all of it holds or nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from hecf.protocol.contribution import key_fingerprint
from hecf.protocol.state import TaskState


class Tasks(Protocol):
    """The content of a store within one transaction."""

    def get(self, identifier: str) -> TaskState | None:
        """Return a task by its identifier."""
        ...

    def named(self, name: str) -> TaskState | None:
        """Return a task by its name."""
        ...

    def all(self) -> list[TaskState]:
        """Return every task in the order in which they were put first."""
        ...

    def put(self, state: TaskState) -> None:
        """Add a task or replace its state."""
        ...

    def claim(self, operand: str, place: str) -> bool:
        """Say whether an operand, by its digest, is used at a place and nowhere else.

        The first place that claims it keeps it.
        """
        ...

    def public_key(self) -> bytes | None:
        """Return the public key, if it was published."""
        ...

    def replaced_keys(self) -> frozenset[str]:
        """Return the fingerprints of the public keys before."""
        ...

    def put_public_key(self, key: bytes) -> None:
        """Keep the public key, and the fingerprint of the one before."""
        ...


class TaskStore(Protocol):
    """Where a compute node keeps its tasks."""

    def change(self) -> AbstractContextManager[Tasks]:
        """Begin a transaction; an error inside undoes it."""
        ...

    def close(self) -> None:
        """Release what the store holds."""
        ...


@dataclass
class _Content:
    states: dict[str, TaskState] = field(default_factory=dict)
    operands: dict[str, str] = field(default_factory=dict)
    key: bytes | None = None
    replaced: frozenset[str] = frozenset()

    def copy(self) -> _Content:
        return _Content(dict(self.states), dict(self.operands), self.key, self.replaced)

    def get(self, identifier: str) -> TaskState | None:
        return self.states.get(identifier)

    def named(self, name: str) -> TaskState | None:
        return next((state for state in self.states.values() if state.task.name == name), None)

    def all(self) -> list[TaskState]:
        return list(self.states.values())

    def put(self, state: TaskState) -> None:
        self.states[state.task.identifier] = state

    def claim(self, operand: str, place: str) -> bool:
        return self.operands.setdefault(operand, place) == place

    def public_key(self) -> bytes | None:
        return self.key

    def replaced_keys(self) -> frozenset[str]:
        return self.replaced

    def put_public_key(self, key: bytes) -> None:
        if self.key is not None:
            self.replaced |= {key_fingerprint(self.key)}
        self.key = key


class MemoryTaskStore:
    """A store that ends with its process; see :class:`TaskStore`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._content = _Content()

    @contextmanager
    def change(self) -> Iterator[Tasks]:
        """Work on a copy, which counts once the block has ended well."""
        with self._lock:
            content = self._content.copy()
            yield content
            self._content = content

    def close(self) -> None:
        """Do nothing."""
