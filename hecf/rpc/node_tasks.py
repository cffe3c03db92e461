"""The tasks of a compute node as they are now: states, deadlines, public keys, and waits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from hecf.errors import Conflict, Replayed, Unavailable, UnknownTask
from hecf.protocol.contribution import key_fingerprint, key_of
from hecf.protocol.state import TaskState
from hecf.protocol.tasks import Part, Task
from hecf.rpc.receiving import Keys
from hecf.rpc.task_store import Tasks, TaskStore
from hecf.rpc.waiting import Active, Board


class NodeTasks:
    """Changes the stored states of tasks, one transaction a change, and wakes who waits for one.

    Parameters
    ----------
    store : TaskStore
    patience_seconds : float
        How long a wait lasts at most.
    task_seconds : float
        How long a task takes contributions.
    clock : callable
        Seconds since 1970.
    """

    def __init__(
        self,
        store: TaskStore,
        patience_seconds: float,
        task_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._board = Board(patience_seconds)
        self._task_seconds = task_seconds
        self._clock = clock

    def begin(self, implied: Iterable[Task]) -> set[str]:
        """Put tasks that need no declaration; return the digests that any task refers to."""
        with self._store.change() as tasks:
            for task in implied:
                if tasks.get(task.identifier) is None:
                    tasks.put(TaskState(task, self._deadline))
            return {
                digest
                for state in tasks.all()
                for digest in (*state.contributions.values(), *state.results.values())
            }

    def replace_key(self, public_key: bytes) -> None:
        """Take a public key; tasks whose results nobody has are collected again under it.

        Raises
        ------
        Replayed
            If it was replaced before.
        """
        key = key_fingerprint(public_key)
        with self._changing() as tasks:
            if tasks.public_key() == public_key:
                return
            if key in tasks.replaced_keys():
                raise Replayed("this public key was replaced by another", got=key[:16])
            tasks.put_public_key(public_key)
            for state in tasks.all():
                tasks.put(state.under(key_of(state.task, public_key), self._deadline))

    def public_key(self) -> bytes:
        """Return the public key; raises Unavailable if there is none yet."""
        with self._store.change() as tasks:
            return _present(tasks)

    def keys(self, task: Task) -> Keys:
        """Return what contributions to a task are bound to, and what they were before.

        Raises
        ------
        Unavailable
            If there is no public key yet.
        """
        with self._store.change() as tasks:
            return _keys(tasks, task)

    def declare(self, task: Task, declarer: str) -> None:
        """Put a task, which its declarer has joined.

        Raises
        ------
        Conflict
            If another task has its name.
        """
        with self._changing() as tasks:
            known = tasks.named(task.name)
            if known is None:
                tasks.put(TaskState(task, self._deadline).join(declarer))
            elif known.task != task:
                raise Conflict("another task of this name was declared", got=task.name)

    def state(self, identifier: str) -> TaskState:
        """Return the state of a task as it is now; raises UnknownTask."""
        with self._store.change() as tasks:
            return self._current(tasks, identifier)

    def change(self, identifier: str, step: Callable[[TaskState], TaskState]) -> TaskState:
        """Replace the state of a task by what a step makes of it; raises UnknownTask."""
        with self._changing() as tasks:
            before = self._current(tasks, identifier)
            after = step(before)
            if after is not before:
                tasks.put(after)
            return after

    def renew(self, identifier: str) -> None:
        """Collect a task again if what it handed out can no longer be decrypted."""
        with self._changing() as tasks:
            key, state = tasks.public_key(), self._current(tasks, identifier)
            if key is not None:
                tasks.put(state.under(key_of(state.task, key), self._deadline, unreleased=True))

    def record(
        self, identifier: str, part: Part, key: str, digest: str, store: Callable[[Tasks], None]
    ) -> bool:
        """Take a contribution into a task; False if the same bytes were there already.

        Parameters
        ----------
        identifier, part, digest
            What was contributed, and to which part of which task.
        key : str
            Fingerprint of the key that it was checked against.
        store : callable
            Stores the contribution in the same transaction, before it is recorded, so that a full
            disk leaves the part missing and not lost.

        Raises
        ------
        Unavailable
            If the public key was replaced meanwhile.
        """
        # Under one lock, so that two uploads cannot both win.
        with self._changing() as tasks:
            before = self._current(tasks, identifier)
            if _keys(tasks, before.task).present != key:
                raise Unavailable("the public key was replaced meanwhile")
            after = before.under(key, self._deadline).contribute(part, digest)
            if after is before:
                return False
            store(tasks)
            tasks.put(after)
        return True

    def await_declared(
        self, name: str, declarer: str, concerns: Callable[[Task], bool], active: Active
    ) -> Task:
        """Wait for a task of a name that concerns the caller; raises PartyMissing, Unavailable."""
        found: list[Task] = []

        def declared() -> bool:
            with self._store.change() as tasks:
                state = tasks.named(name)
            if state is not None and concerns(state.task):
                found.append(state.task)
            return bool(found)

        self._board.wait(declared, lambda: declarer, active)
        return found[0]

    def await_collected(self, identifier: str, active: Active) -> None:
        """Wait until a task takes no more contributions; raises PartyMissing, Unavailable."""
        self._board.wait(
            lambda: not self.state(identifier).open,
            lambda: ", ".join(self.state(identifier).missing),
            active,
        )

    def close(self) -> None:
        """End every wait."""
        self._board.close()

    @contextmanager
    def _changing(self) -> Iterator[Tasks]:
        with self._board.change(), self._store.change() as tasks:
            yield tasks

    @property
    def _deadline(self) -> float:
        return self._clock() + self._task_seconds

    def _current(self, tasks: Tasks, identifier: str) -> TaskState:
        stored = tasks.get(identifier)
        if stored is None:
            raise UnknownTask("no such task")
        current = stored.at(self._clock())
        if current is not stored:
            tasks.put(current)
        return current


def _present(tasks: Tasks) -> bytes:
    key = tasks.public_key()
    if key is None:
        raise Unavailable("the key holder has not published the public key")
    return key


def _keys(tasks: Tasks, task: Task) -> Keys:
    return Keys(key_of(task, _present(tasks)), tasks.replaced_keys())
