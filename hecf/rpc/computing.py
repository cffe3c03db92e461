"""Where a compute node computes: from stored blocks to a stored result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from hecf.errors import Unavailable
from hecf.he.sampling import RandomBytes
from hecf.he.scheme import scheme_by_name, streaming_scheme
from hecf.he.similarity.evaluator import MEMORY as TILE_MEMORY
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.streams import MEMORY
from hecf.protocol.computation import ReadPart, compute, compute_tiles
from hecf.protocol.contribution import key_of, operand_chunks
from hecf.protocol.tasks import Part, SimilarityTask, Task, key_parameters
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
    ) -> Mapping[str, str]:
        """Compute a result from contributions of given digests, and store it.

        Returns
        -------
        mapping of str to str
            Digests of the results of :func:`hecf.protocol.computation.computed_with` by name.

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
    ) -> Mapping[str, str]:
        """Compute a result, and take down of which task."""
        digests = self._computer.compute(task, result, parts, public_key, active)
        self._audit.record("compute", "", task=task.identifier[:16], result=result)
        return digests


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
    tile_memory : int
        Bytes to use for the tiles of a similarity and what conceals them.
    """

    def __init__(
        self,
        terms: Terms,
        store: BlockStore,
        random: RandomBytes,
        *,
        memory: int = MEMORY,
        tile_memory: int = TILE_MEMORY,
    ) -> None:
        self._scheme = scheme_by_name(terms.scheme)
        self._parameters = key_parameters(terms)
        self._store = store
        self._random = random
        self._memory = memory
        self._tile_memory = tile_memory

    def compute(
        self,
        task: Task,
        result: str,
        parts: Mapping[Part, str],
        public_key: bytes,
        active: Active = always,
    ) -> Mapping[str, str]:
        """Compute a result; once begun it goes on to its end, or to the end of a tile."""
        key = key_of(task, public_key)

        def read(part: Part) -> Iterator[bytes]:
            return operand_chunks(task, part[1], self._store.chunks(parts[part]), key)

        if isinstance(task, SimilarityTask) and isinstance(task.plan, SimilarityPlan):
            return self._tiles(task, read, public_key, active)
        evaluator = self._scheme.evaluator(self._parameters, public_key, self._random)
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
        return {result: self._store.put(computed.to_bytes())}

    def _tiles(
        self, task: SimilarityTask, read: ReadPart, public_key: bytes, active: Active
    ) -> Mapping[str, str]:
        scheme = streaming_scheme(task.terms.scheme)
        evaluator = scheme.evaluator(self._parameters, public_key, self._random)
        digests = {}
        tiles = compute_tiles(
            task, read, scheme, evaluator, memory=self._memory, tile_memory=self._tile_memory
        )
        for name, tile in tiles:
            if not active():
                raise Unavailable("the caller has gone")
            digests[name] = self._store.put(tile.to_bytes())
        return digests
