"""The compute node as a service, whatever the transport.

Every method takes the authenticated party first. What a role may call at all is decided before
(:mod:`hecf.rpc.authority`); what it may do with a task is decided here. The service keeps nothing
to itself: tasks lie in a store, blocks in files, so that a node that was killed goes on where it
was (control C27).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from hecf.errors import (
    InvalidInput,
    PermissionDenied,
    Replayed,
    Unavailable,
    UnknownTask,
)
from hecf.he.blinding import SEED_BYTES, MaskSeed
from hecf.he.scheme import scheme_by_name
from hecf.he.streams import MEMORY
from hecf.measure import Measurements
from hecf.protocol.computation import Masked, is_blinded
from hecf.protocol.contribution import Declared
from hecf.protocol.state import TaskState
from hecf.protocol.tasks import (
    MODEL,
    GramTask,
    Part,
    QueryTask,
    Task,
    has_gram_task,
    key_parameters,
)
from hecf.protocol.terms import Terms
from hecf.rpc.computing import Computer
from hecf.rpc.identity import RETAILER, Party
from hecf.rpc.node_tasks import NodeTasks
from hecf.rpc.payload import StoredResult
from hecf.rpc.receiving import Receiver
from hecf.rpc.spool import Arriving, Spool
from hecf.rpc.store import BlockStore
from hecf.rpc.task_store import MemoryTaskStore, Tasks, TaskStore
from hecf.rpc.waiting import Active, always

TASK_SECONDS = 7 * 24 * 3600.0
"""How long a task takes contributions, unless told otherwise."""


class ComputeNodeService:
    """Collects contributions, computes results, and knows no secret.

    Parameters
    ----------
    terms : Terms
        The coalition it serves; other terms are refused.
    store : BlockStore
        Where contributions and results lie.
    computer : Computer
        What computes from the store, in this process or another.
    spool : Spool
        Where contributions lie while they arrive.
    patience_seconds : float
        How long a caller waits for other parties at most.
    tasks : TaskStore, optional
        Where the state of tasks lies; without it, in memory.
    task_seconds : float
        How long a task takes contributions.
    clock : callable
        Seconds since 1970.
    memory : int
        Bytes that the check of a contribution may use.
    """

    def __init__(
        self,
        terms: Terms,
        store: BlockStore,
        computer: Computer,
        spool: Spool,
        *,
        patience_seconds: float,
        tasks: TaskStore | None = None,
        task_seconds: float = TASK_SECONDS,
        clock: Callable[[], float] = time.time,
        memory: int = MEMORY,
        measurements: Measurements | None = None,
    ) -> None:
        self.terms = terms
        self.measurements = measurements or Measurements()
        self._scheme = scheme_by_name(terms.scheme)
        self._parameters = key_parameters(terms)
        self._store = store
        self._computer = computer
        self._receiver = Receiver(self._scheme, spool, memory)
        self._tasks = NodeTasks(tasks or MemoryTaskStore(), patience_seconds, task_seconds, clock)
        self._computing = threading.Lock()
        # Two encryptions are never the same, so equal ciphertexts are copies; operands in clear
        # may well be equal.
        self._copies_show = terms.scheme != "clear"
        self.received: dict[str, int] = {}
        implied = [GramTask(terms)] if has_gram_task(terms) else []
        # What a crash left behind was never acknowledged, so nobody misses it.
        store.keep(self._tasks.begin(implied))

    def publish_key(self, party: Party, public_key: bytes) -> None:
        """Take the coalition's public key, or the one that replaces it.

        Whatever is not handed out yet is collected again then: nobody can decrypt it any more.

        Raises
        ------
        Mismatch, MalformedMessage
            If it is no public key of the coalition's parameters.
        Replayed
            If it was replaced before.
        """
        self._scheme.check_public_key(self._parameters, public_key)
        self._tasks.replace_key(public_key)

    def join(self, party: Party) -> None:
        """Note that a party has the same terms, and with them knows the Gram task."""
        if party.role == RETAILER and has_gram_task(self.terms):
            self._note(GramTask(self.terms).identifier, party)

    def declare(self, party: Party, task: Task) -> None:
        """Take a task from its declarer.

        Raises
        ------
        InvalidInput
            If the terms define the task already.
        PermissionDenied
            If the caller is not the declarer.
        Conflict
            If another task of that name was declared.
        """
        if isinstance(task, GramTask):
            raise InvalidInput("the terms define this task; it is not declared", got=task.name)
        if party.name != task.declarer:
            raise PermissionDenied("only its declarer declares a task", expected=task.declarer)
        self._tasks.declare(task, party.name)

    def await_task(self, party: Party, name: str, active: Active = always) -> Task:
        """Wait until a task of a name has been declared.

        Raises
        ------
        UnknownTask
            If no retailer could declare it.
        PartyMissing
            If it is not declared in time.
        """
        declarer = name.partition("/")[2].partition("/")[0]
        if declarer not in self.terms.retailers:
            raise UnknownTask("no such task")
        task = self._tasks.await_declared(name, declarer, partial(_concerns, party), active)
        self._note(task.identifier, party)
        return task

    def contribute(
        self,
        party: Party,
        identifier: str,
        side: str,
        declared: Declared,
        offset: int,
        chunks: Iterable[bytes],
    ) -> bool:
        """Take a retailer's part of a task; the retailer's name is that of its certificate.

        What has arrived when the chunks break off is kept, and a later call goes on from there.

        Parameters
        ----------
        party : Party
        identifier, side : str
            The task, and the part of it.
        declared : Declared
            Size and digest of a contribution of :func:`hecf.protocol.contribution.bound`.
        offset : int
            Where in it the chunks begin: :meth:`uploaded` or less.
        chunks : iterable of bytes
            The first of a contribution holds its header at least.

        Returns
        -------
        bool
            False if the same bytes were there already.

        Raises
        ------
        UnknownTask, InvalidInput, MalformedMessage, Conflict, TaskEnded
            If the task, the part or the bytes are not as agreed. Nothing is stored then.
        Mismatch
            If the contribution is under a public key that was replaced.
        Replayed
            If it was made for another task, or its ciphertexts were used before.
        LimitExceeded
            If more is declared or sent than may be, or the disk is full; the part is missing then
            as before.
        Unavailable
            If the upload must go on from another offset, or there is no public key yet.
        """
        part: Part = (party.name, side)
        state = self._seen(party, identifier)
        if state.contribute(part, declared.digest) is state:
            return False
        keys = self._tasks.keys(state.task)
        record = partial(self._record, state.task, part, keys.present)
        try:
            return self._receiver.take(state.task, part, declared, offset, chunks, keys, record)
        except Unavailable:
            # Another call may have brought the same bytes to their end meanwhile.
            if self.contributed(party, identifier, side) != declared.digest:
                raise
            return False

    def uploaded(self, party: Party, identifier: str, side: str, declared: Declared) -> int:
        """Return how many bytes of a contribution have arrived, so that its sender goes on there.

        Raises
        ------
        UnknownTask, InvalidInput
            If there is no such task or part.
        """
        if self.contributed(party, identifier, side) == declared.digest:
            return declared.size
        return self._receiver.arrived(self.task(party, identifier), (party.name, side), declared)

    def contributed(self, party: Party, identifier: str, side: str) -> str | None:
        """Return SHA-256 of what a retailer has contributed as a part of a task.

        Raises
        ------
        UnknownTask, InvalidInput
            If there is no such task or part.
        """
        state = self._seen(party, identifier)
        state.check((party.name, side))
        return state.contributions.get((party.name, side))

    def close_task(self, party: Party, identifier: str) -> None:
        """Take no more contributions to a sum; below the minimum it is aborted.

        Raises
        ------
        UnknownTask, PermissionDenied, TaskEnded
        """
        self._end(party, identifier, lambda state: state.close())

    def abort_task(self, party: Party, identifier: str) -> None:
        """End a task without a result.

        Raises
        ------
        UnknownTask, PermissionDenied
        Conflict
            If its results were handed to the key holder already.
        """
        self._end(party, identifier, lambda state: state.abort(f"{party.name} aborted it"))

    def fetch(
        self, party: Party, identifier: str, result: str, active: Active = always
    ) -> StoredResult:
        """Wait for a result; return where its bytes are and what it was computed from.

        A retailer fetches what it asked for under its own key, the key holder everything else.

        Raises
        ------
        UnknownTask
            If there is no such task or result for the caller to decrypt.
        PartyMissing
            If a contribution does not come in time.
        TaskEnded
            If the task was aborted or has expired.
        Conflict
            If the public key is replaced meanwhile.
        """
        if not _decrypts(party, self.task(party, identifier)):
            raise UnknownTask("no such task")
        # Whoever asks has not released it: what it can no longer decrypt is collected again.
        self._tasks.renew(identifier)
        state = self._result(identifier, result, active)
        skip = SEED_BYTES if is_blinded(state.task) else 0
        payload = self._store.payload(state.results[result], skip)
        self._tasks.change(identifier, lambda current: current.hand_out(result))
        return StoredResult(payload, state.used(result))

    def fetch_mask(self, party: Party, identifier: str, active: Active = always) -> MaskSeed:
        """Wait for the result of a blinded task and return the seed of its mask.

        The same seed is returned every time, and it masks this result only.

        Raises
        ------
        UnknownTask
            If there is no such task, or none of the caller's that is blinded.
        PartyMissing
            If a contribution does not come in time.
        TaskEnded
            If the task was aborted or has expired.
        """
        task = self.task(party, identifier)
        if not is_blinded(task) or party.name not in task.recipients:
            raise UnknownTask("no such task")
        [result] = task.results
        state = self._result(identifier, result, active)
        return Masked.seed_of(next(self._store.chunks(state.results[result])))

    def task(self, party: Party, identifier: str) -> Task:
        """Return a task by its identifier; raises UnknownTask."""
        return self._seen(party, identifier).task

    def state(self, identifier: str) -> TaskState:
        """Return the state of a task as it is now; raises UnknownTask."""
        return self._tasks.state(identifier)

    def _seen(self, party: Party, identifier: str) -> TaskState:
        """Return the state of a task; one of other parties is as unknown as one of nobody."""
        state = self.state(identifier)
        if not _concerns(party, state.task):
            raise UnknownTask("no such task")
        return state

    def _result(self, identifier: str, result: str, active: Active) -> TaskState:
        """Wait for a result, compute it if it is not there yet, and return the task's state."""
        state = self.state(identifier)
        if result not in state.task.results:
            raise UnknownTask("no such task")

        self._tasks.await_collected(identifier, active)
        with self._computing:
            state = self.state(identifier)
            state.check_running()
            if result not in state.results:
                digests = self._compute(state, result, active)
                state = self._tasks.change(identifier, lambda current: _noted(current, digests))
        return state

    def close(self) -> None:
        """End every wait; calls that compute go on to their end."""
        self._tasks.close()

    def _note(self, identifier: str, party: Party) -> None:
        self._tasks.change(identifier, lambda state: state.join(party.name))

    def _end(self, party: Party, identifier: str, step: Callable[[TaskState], TaskState]) -> None:
        task = self.task(party, identifier)
        if isinstance(task, GramTask) or party.name != task.declarer:
            raise PermissionDenied("only its declarer ends a task")
        self._tasks.change(identifier, step)

    def _record(self, task: Task, part: Part, key: str, upload: Arriving, operand: str) -> bool:
        """Take a checked contribution into the store, then into the task."""
        declared, name = upload.declared, part[0]

        def store(tasks: Tasks) -> None:
            self._claim(tasks, task, part, operand)
            self._store.adopt(upload.path, declared.digest)
            self.received[name] = self.received.get(name, 0) + declared.size

        return self._tasks.record(task.identifier, part, key, declared.digest, store)

    def _claim(self, tasks: Tasks, task: Task, part: Part, operand: str) -> None:
        """Refuse ciphertexts, by their digest, that were used elsewhere (control C17)."""
        if part[1] == MODEL or not self._copies_show:
            return
        if not tasks.claim(operand, f"{task.identifier} {part[0]} {part[1]}"):
            raise Replayed("the ciphertexts of a contribution were used before")

    def _compute(self, state: TaskState, result: str, active: Active) -> Mapping[str, str]:
        key = self._tasks.public_key()
        with self.measurements.stage("compute"):
            return self._computer.compute(state.task, result, state.used(result), key, active)


def _noted(state: TaskState, digests: Mapping[str, str]) -> TaskState:
    """Return a state that has some more results."""
    for result, digest in digests.items():
        state = state.computed(result, digest)
    return state


def _decrypts(party: Party, task: Task) -> bool:
    """Whether a party has the key to the results of a task."""
    if isinstance(task, QueryTask):
        return party.role == RETAILER and party.name == task.asker
    return party.role != RETAILER


def _concerns(party: Party, task: Task) -> bool:
    """Whether a party declares, contributes to, receives or decrypts a task (control C03)."""
    if party.role != RETAILER:
        return not isinstance(task, QueryTask)
    names = {*task.recipients, *(name for name, _ in task.parts)}
    if not isinstance(task, GramTask):
        names.add(task.declarer)
    return party.name in names
