"""What a party can ask of the compute node and of the key holder.

Two transports implement these: :mod:`hecf.rpc.client` over gRPC, and :mod:`hecf.rpc.memory` in one
process. The caller's identity belongs to the transport, never to an argument.
"""

from __future__ import annotations

from typing import Protocol

from hecf.he.blinding import MaskSeed
from hecf.he.similarity.scores import TopSimilar
from hecf.protocol.computation import Computed
from hecf.protocol.released import (
    ReleasedBlindedSum,
    ReleasedBlocks,
    ReleasedScores,
    ReleasedSum,
)
from hecf.protocol.tasks import DeclaredTask, GramTask, ScoreTask, SimilarityTask, SumTask, Task
from hecf.protocol.terms import Terms


class ComputeNode(Protocol):
    """A node that computes on ciphertexts and holds no secret."""

    def join(self, terms: Terms) -> None:
        """Compare terms; raises Mismatch naming the first difference."""
        ...

    def publish_key(self, terms: Terms, public_key: bytes) -> None:
        """Hand over the coalition's public key, or the one that replaces it (key holder only)."""
        ...

    def declare(self, task: DeclaredTask) -> None:
        """Declare a task (its declarer only)."""
        ...

    def await_task(self, terms: Terms, name: str) -> Task:
        """Wait until a task of a name has been declared."""
        ...

    def contribute(self, task: Task, what: str, data: bytes) -> None:
        """Upload the caller's part of a task: :func:`hecf.protocol.contribution.bound` bytes."""
        ...

    def contributed(self, task: Task, what: str) -> str | None:
        """Return SHA-256 of what the caller has contributed, or None."""
        ...

    def close_task(self, task: SumTask) -> None:
        """Take no more contributions to a sum (its declarer only)."""
        ...

    def abort_task(self, task: DeclaredTask) -> None:
        """End a task without a result (its declarer only)."""
        ...

    def fetch(self, task: Task, result: str) -> Computed:
        """Wait for a result and download it (whoever decrypts it only)."""
        ...

    def fetch_mask(self, task: ScoreTask | SumTask) -> MaskSeed:
        """Wait for the mask of a blinded task's result (its recipients only)."""
        ...


class KeyHolder(Protocol):
    """The party that decrypts, and releases results of tasks only."""

    def join(self, terms: Terms) -> None:
        """Compare terms; raises Mismatch naming the first difference."""
        ...

    def public_key(self, terms: Terms) -> bytes:
        """Download the coalition's public key."""
        ...

    def commit(self, task: Task, what: str, digest: str, key: str) -> None:
        """Say which contribution the caller made to a task under which key, by their SHA-256."""
        ...

    def release_blocks(self, task: GramTask) -> ReleasedBlocks:
        """Wait for the released Gram blocks."""
        ...

    def release_scores(self, task: ScoreTask) -> ReleasedScores:
        """Wait for the best items, or for masked scores (the task's target only)."""
        ...

    def release_sum(self, task: SumTask) -> ReleasedSum | ReleasedBlindedSum:
        """Wait for a released sum, perhaps under a mask (its recipients only)."""
        ...

    def release_similar(self, task: SimilarityTask) -> TopSimilar:
        """Wait for the most similar rows (the task's declarer only)."""
        ...
