"""The life of a task as a state machine: pure transitions, with the time as an argument.

::

    declared --> joined --> collecting --> computing --> ready --> released
        |           |            |             |           |
        +-----------+------------+--> expired  |           |
        +-----------+------------+-------------+-----------+--> aborted

When the coalition's key is replaced, a task of which not everything was handed out is collected
again from its beginning, because nobody can decrypt under the old key any more.

A task is *joined* when every participant knows it, *collecting* from the first contribution,
*computing* when nothing more is taken, *ready* when every result is computed and *released* when
every result was handed to who decrypts it. A state never loses a contribution, and takes each part
once (controls C16, C20, C27 and C29).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import reduce
from types import MappingProxyType

from hecf.errors import Conflict, InvalidInput, TaskEnded
from hecf.protocol.computation import parts_of
from hecf.protocol.tasks import Part, SumTask, Task


class Phase(StrEnum):
    """Where a task stands."""

    DECLARED = "declared"
    JOINED = "joined"
    COLLECTING = "collecting"
    COMPUTING = "computing"
    READY = "ready"
    RELEASED = "released"
    ABORTED = "aborted"
    EXPIRED = "expired"


OPEN = frozenset({Phase.DECLARED, Phase.JOINED, Phase.COLLECTING})
"""Phases in which contributions are taken."""

ENDED = frozenset({Phase.ABORTED, Phase.EXPIRED})
"""Phases in which there will be no result."""


@dataclass(frozen=True)
class TaskState:
    """Everything that a compute node must not forget of a task.

    Parameters
    ----------
    task : Task
    deadline : float
        When contributions are no longer taken, in seconds since 1970.
    phase : Phase
    joined : frozenset of str
        Retailers that know the task.
    contributions : mapping of Part to str
        SHA-256 of every contribution in hexadecimal.
    results : mapping of str to str
        SHA-256 of every computed result.
    handed_out : frozenset of str
        Results that who decrypts them was given: the key holder, or an asker under its own key.
    reason : str
        Why the task ended without a result.
    key : str
        Fingerprint of the public key under which contributions are, once there is one.
    """

    task: Task
    deadline: float
    phase: Phase = Phase.DECLARED
    joined: frozenset[str] = frozenset()
    contributions: Mapping[Part, str] = field(default_factory=lambda: MappingProxyType({}))
    results: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    handed_out: frozenset[str] = frozenset()
    reason: str = ""
    key: str = ""

    @property
    def open(self) -> bool:
        """Whether contributions are taken."""
        return self.phase in OPEN

    @property
    def missing(self) -> tuple[str, ...]:
        """Retailers that still have to contribute."""
        parts = [part for part in self.task.parts if part not in self.contributions]
        return tuple(dict.fromkeys(name for name, _ in parts))

    def used(self, result: str) -> dict[Part, str]:
        """Return the contributions that a result is computed from, with their digests."""
        parts = parts_of(self.task, result)
        return {part: self.contributions[part] for part in parts if part in self.contributions}

    def join(self, name: str) -> TaskState:
        """Note that a retailer knows the task."""
        participants = {party for party, _ in self.task.parts}
        if name in self.joined or name not in participants:
            return self
        joined = self.joined | {name}
        complete = self.phase is Phase.DECLARED and joined == participants
        return replace(self, joined=joined, phase=Phase.JOINED if complete else self.phase)

    def check(self, part: Part) -> None:
        """Refuse a part that the task does not have; raises InvalidInput."""
        if part not in self.task.parts:
            raise InvalidInput(f"{part[0]} contributes no such part to this task", got=part[1])

    def contribute(self, part: Part, digest: str) -> TaskState:
        """Take a contribution; the same one again changes nothing, however late.

        Raises
        ------
        InvalidInput
            If the task has no such part.
        Conflict
            If other bytes were contributed before, or nothing more is taken.
        TaskEnded
            If the task was aborted or has expired.
        """
        self.check(part)
        known = self.contributions.get(part)
        if known == digest:
            return self
        self.check_running()
        if known is not None:
            raise Conflict(f"{part[0]} has already contributed to this task")
        if not self.open:
            raise Conflict(f"{part[0]} is late: the task takes no more contributions")
        state = replace(
            self,
            phase=Phase.COLLECTING,
            joined=self.joined | {part[0]},
            contributions=MappingProxyType({**self.contributions, part: digest}),
        )
        return state if state.missing else replace(state, phase=Phase.COMPUTING)

    def at(self, now: float) -> TaskState:
        """Return the state once a time has come.

        A sum goes on with those who contributed if they are enough; everything else expires.
        """
        if not self.open or now < self.deadline:
            return self
        if self._enough:
            return replace(self, phase=Phase.COMPUTING)
        reason = f"{', '.join(self.missing)} did not contribute in time"
        return replace(self, phase=Phase.EXPIRED, reason=reason)

    def close(self) -> TaskState:
        """Take no more contributions: go on with those who contributed, or abort.

        Raises
        ------
        TaskEnded
            If the task was aborted or has expired.
        """
        self.check_running()
        if not self.open:
            return self
        if self._enough:
            return replace(self, phase=Phase.COMPUTING)
        return self.abort(f"closed without {', '.join(self.missing)}")

    def abort(self, reason: str) -> TaskState:
        """End the task without a result.

        Raises
        ------
        Conflict
            If its results were handed out already.
        """
        if self.phase in ENDED:
            return self
        if self.handed_out:
            raise Conflict("the task's results were handed out; it cannot be aborted")
        return replace(self, phase=Phase.ABORTED, reason=reason)

    def under(self, key: str, deadline: float, *, unreleased: bool = False) -> TaskState:
        """Go on under a public key: what was collected under another is given up.

        Parameters
        ----------
        key : str
            Fingerprint of the public key.
        deadline : float
            When contributions are no longer taken if the task is collected again.
        unreleased : bool
            Whether the key holder has released nothing of it. Otherwise a task of which everything
            was handed out stays as it is: its recipients still ask for its mask.
        """
        done = self.phase is Phase.RELEASED and not unreleased
        if self.key == key or self.phase in ENDED or done:
            return self
        if not self.contributions:
            return replace(self, key=key)
        # Nobody is told: who contributed finds its part missing, and everybody knows the task.
        return reduce(TaskState.join, self.joined, TaskState(self.task, deadline, key=key))

    def computed(self, result: str, digest: str) -> TaskState:
        """Note a computed result.

        Raises
        ------
        TaskEnded
            After an abort.
        Conflict
            If contributions are taken, for example again.
        """
        self.check_running()
        if self.open:
            raise Conflict("the task takes contributions; nothing is computed from it yet")
        results = MappingProxyType({**self.results, result: digest})
        ready = self.phase is Phase.COMPUTING and set(results) == set(self.task.results)
        return replace(self, results=results, phase=Phase.READY if ready else self.phase)

    def hand_out(self, result: str) -> TaskState:
        """Note that a result goes to who decrypts it; raises Conflict if it is not computed."""
        if result not in self.results:
            raise Conflict("the task has no such result yet", got=result)
        if result in self.handed_out:
            return self
        handed_out = self.handed_out | {result}
        complete = handed_out == set(self.task.results)
        return replace(
            self, handed_out=handed_out, phase=Phase.RELEASED if complete else self.phase
        )

    def check_running(self) -> None:
        """Refuse to go on with a task that has ended; raises TaskEnded."""
        if self.phase in ENDED:
            raise TaskEnded(f"the task is {self.phase.value}: {self.reason}")

    @property
    def _enough(self) -> bool:
        """Whether results can be computed from the contributions that are there."""
        if not self.missing:
            return True
        minimum = self.task.terms.minimum_contributors
        return isinstance(self.task, SumTask) and len(self.contributions) >= minimum
