"""The compute node as a service, whatever the transport.

Every method takes the authenticated party first. What a role may call at all is decided before
(:mod:`hecf.rpc.authority`); what it may do with a task is decided here.
"""

from __future__ import annotations

import hashlib
import threading

from hecf.errors import Conflict, InvalidInput, Mismatch, PermissionDenied, UnknownTask
from hecf.he.blinding import MaskSeed
from hecf.he.scheme import scheme_by_name
from hecf.measure import Measurements
from hecf.protocol.computation import Computed, Masked, check_part, parts_of
from hecf.protocol.state import TaskState
from hecf.protocol.tasks import SCORES, GramTask, Part, ScoreTask, Task, gram_plan
from hecf.protocol.terms import Terms
from hecf.rpc.computing import Computer
from hecf.rpc.identity import Party
from hecf.rpc.store import BlockStore
from hecf.rpc.waiting import Active, Board, always


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
    patience_seconds : float
        How long a caller waits for other parties at most.
    """

    def __init__(
        self,
        terms: Terms,
        store: BlockStore,
        computer: Computer,
        *,
        patience_seconds: float,
        measurements: Measurements | None = None,
    ) -> None:
        self.terms = terms
        self.measurements = measurements or Measurements()
        self._scheme = scheme_by_name(terms.scheme)
        self._parameters = gram_plan(terms).parameters
        self._store = store
        self._computer = computer
        self._board = Board(patience_seconds)
        self._key: bytes | None = None
        gram = GramTask(terms)
        self._states: dict[str, TaskState] = {gram.identifier: TaskState(gram)}
        self._names: dict[str, str] = {gram.name: gram.identifier}
        self._results: dict[tuple[str, str], str] = {}
        self._computing = threading.Lock()
        self.received: dict[str, int] = {}

    def publish_key(self, party: Party, public_key: bytes) -> None:
        """Take the coalition's public key, once.

        Raises
        ------
        Conflict
            If another key was published before.
        """
        self._scheme.check_public_key(self._parameters, public_key)
        with self._board.change():
            if self._key is not None and self._key != public_key:
                raise Conflict("another public key was published for this coalition")
            self._key = public_key

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
        with self._board.change():
            if self._names.setdefault(task.name, task.identifier) != task.identifier:
                raise Conflict("another task of this name was declared", got=task.name)
            self._states.setdefault(task.identifier, TaskState(task))

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
        if name not in self._names and declarer not in self.terms.retailers:
            raise UnknownTask("no such task")
        self._board.wait(lambda: name in self._names, lambda: declarer, active)
        return self._states[self._names[name]].task

    def contribute(self, party: Party, identifier: str, side: str, data: bytes) -> bool:
        """Take a retailer's part of a task; the retailer's name is that of its certificate.

        Returns
        -------
        bool
            False if the same bytes were there already.

        Raises
        ------
        UnknownTask, InvalidInput, Mismatch, MalformedMessage, Conflict
            If the task, the part or the bytes are not as agreed. Nothing is stored then.
        LimitExceeded
            If the disk is full; the part is missing then as before.
        """
        state = self._state(identifier)
        part: Part = (party.name, side)
        state.check(part)
        check_part(state.task, part, data, self._scheme)
        digest = hashlib.sha256(data).hexdigest()
        # Under one lock, so that two uploads cannot both win; and written before it is recorded,
        # so that a full disk leaves the part missing and not lost.
        with self._board.change():
            if part not in state or state.digest(part) == digest:
                self._store.put(data)
            accepted = state.accept(part, digest)
            self.received[party.name] = self.received.get(party.name, 0) + len(data)
        return accepted

    def fetch(
        self, party: Party, identifier: str, result: str, active: Active = always
    ) -> Computed:
        """Wait for a result; return its bytes and what it was computed from.

        Raises
        ------
        UnknownTask
            If there is no such task or result.
        PartyMissing
            If a contribution does not come in time.
        """
        state = self._state(identifier)
        data = self._result(state, result, active)
        if isinstance(state.task, ScoreTask) and state.task.blinded:
            data = Masked.from_bytes(data).product
        used = {part: state.digest(part) for part in parts_of(state.task, result)}
        return Computed(data, used)

    def fetch_mask(self, party: Party, identifier: str, active: Active = always) -> MaskSeed:
        """Wait for the scores of a blinded task and return the seed of their mask.

        The same seed is returned every time, and it masks these scores only.

        Raises
        ------
        UnknownTask
            If there is no such task, or none of the caller's that is blinded.
        PartyMissing
            If a contribution does not come in time.
        """
        task = self._state(identifier).task
        if not isinstance(task, ScoreTask) or not task.blinded or party.name not in task.recipients:
            raise UnknownTask("no such task")
        return Masked.from_bytes(self._result(self._state(identifier), SCORES, active)).seed

    def _result(self, state: TaskState, result: str, active: Active) -> bytes:
        """Wait for a result, compute it if it is not there yet, and return it as it is stored."""
        if result not in state.task.results:
            raise UnknownTask("no such task")
        self._board.wait(
            lambda: self._key is not None and not state.missing,
            lambda: ", ".join(state.missing) or "the key holder",
            active,
        )
        identifier = state.task.identifier
        with self._computing:
            digest = self._results.get((identifier, result))
            if digest is None:
                digest = self._compute(state, result, active)
                self._results[identifier, result] = digest
        return self._store.get(digest)

    def close(self) -> None:
        """End every wait; calls that compute go on to their end."""
        self._board.close()

    def _compute(self, state: TaskState, result: str, active: Active) -> str:
        if self._key is None:
            raise Mismatch("the key holder has not published the public key")
        parts = {part: state.digest(part) for part in parts_of(state.task, result)}
        with self.measurements.stage("compute"):
            return self._computer.compute(state.task, result, parts, self._key, active)

    def _state(self, identifier: str) -> TaskState:
        state = self._states.get(identifier)
        if state is None:
            raise UnknownTask("no such task")
        return state

    def task(self, identifier: str) -> Task:
        """Return a task by its identifier; raises UnknownTask."""
        return self._state(identifier).task
