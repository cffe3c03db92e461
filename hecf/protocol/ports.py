"""What a party can ask of the compute node and of the key holder.

Two transports implement these: :mod:`hecf.rpc.client` over gRPC, and :mod:`hecf.rpc.memory` in one
process. The caller's identity belongs to the transport, never to an argument.
"""

from __future__ import annotations

from typing import Protocol

from hecf.privacy.release import TopScores
from hecf.protocol.released import ReleasedBlocks
from hecf.protocol.tasks import GramTask, Part, ScoreTask, Task
from hecf.protocol.terms import Terms


class ComputeNode(Protocol):
    """A node that computes on ciphertexts and holds no secret."""

    def join(self, terms: Terms) -> None:
        """Compare terms; raises Mismatch naming the first difference."""
        ...

    def publish_key(self, terms: Terms, public_key: bytes) -> None:
        """Hand over the coalition's public key (key holder only)."""
        ...

    def declare(self, task: ScoreTask) -> None:
        """Declare a score task (its target only)."""
        ...

    def await_score_task(self, terms: Terms, target: str) -> ScoreTask:
        """Wait until a target has declared its score task."""
        ...

    def contribute(self, task: Task, what: str, data: bytes) -> None:
        """Upload the caller's part of a task."""
        ...

    def fetch(self, task: Task, result: str) -> bytes:
        """Wait for a result and download it (key holder only)."""
        ...


class KeyHolder(Protocol):
    """The party that decrypts, and releases results of tasks only."""

    def join(self, terms: Terms) -> None:
        """Compare terms; raises Mismatch naming the first difference."""
        ...

    def public_key(self, terms: Terms) -> bytes:
        """Download the coalition's public key."""
        ...

    def release_blocks(self, task: GramTask) -> ReleasedBlocks:
        """Wait for the released Gram blocks."""
        ...

    def release_scores(self, task: ScoreTask) -> TopScores:
        """Wait for the released best items (the task's target only)."""
        ...


__all__ = ["ComputeNode", "KeyHolder", "Part"]
