"""Where a compute node computes: from stored blocks to a stored result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from hecf.he.sampling import RandomBytes
from hecf.he.scheme import scheme_by_name
from hecf.he.streams import MEMORY
from hecf.protocol.computation import compute
from hecf.protocol.contribution import operand_chunks
from hecf.protocol.tasks import Part, Task, key_parameters
from hecf.protocol.terms import Terms
from hecf.rpc.audit import Audit
from hecf.rpc.store import BlockStore
from hecf.rpc.waiting import Active, always


class Computer(Protocol):
    """Computes results of tasks; blocks go in and out by their digests, never by value."""

    def compute(
        self,
        task: Task,
        result: str,
        parts: Mapping[Part, str],
        public_key: bytes,
        active: Active = always,
    ) -> str:
        """Compute a result from contributions of given digests, store it and return its digest.

        Raises
        ------
        Unavailable
            If nobody waits for it any more; nothing is stored then.
        InternalFailure
            If the computation breaks; nothing is stored then.
        """
        ...


class AuditedComputer:
    """Takes down every result that another computer has computed; see :class:`Computer`."""

    def __init__(self, computer: Computer, audit: Audit) -> None:
        self._computer = computer
        self._audit = audit

    def compute(
        self,
        task: Task,
        result: str,
        parts: Mapping[Part, str],
        public_key: bytes,
        active: Active = always,
    ) -> str:
        """Compute a result, and take down of which task."""
        digest = self._computer.compute(task, result, parts, public_key, active)
        self._audit.record("compute", "", task=task.identifier[:16], result=result)
        return digest


class LocalComputer:
    """Computes in this process; see :class:`Computer`.

    Parameters
    ----------
    terms : Terms
    store : BlockStore
    random : callable
        Source of cryptographically secure bytes.
    memory : int
        Bytes to use for the blocks of contributions.
    """

    def __init__(
        self, terms: Terms, store: BlockStore, random: RandomBytes, *, memory: int = MEMORY
    ) -> None:
        self._scheme = scheme_by_name(terms.scheme)
        self._parameters = key_parameters(terms)
        self._store = store
        self._random = random
        self._memory = memory

    def compute(
        self,
        task: Task,
        result: str,
        parts: Mapping[Part, str],
        public_key: bytes,
        active: Active = always,
    ) -> str:
        """Compute a result; once begun it goes on to its end."""
        evaluator = self._scheme.evaluator(self._parameters, public_key, self._random)

        def read(part: Part) -> Iterator[bytes]:
            return operand_chunks(task, part[1], self._store.chunks(parts[part]))

        computed = compute(
            task,
            result,
            parts,
            read,
            self._scheme,
            evaluator,
            self._random,
            memory=self._memory,
        )
        return self._store.put(computed.to_bytes())
