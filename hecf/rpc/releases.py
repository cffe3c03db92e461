"""What a key holder hands out, read from bytes in one way whatever carried them."""

from __future__ import annotations

from abc import ABC, abstractmethod

from hecf.he.similarity.scores import TopSimilar
from hecf.protocol.released import (
    ReleasedBlindedSum,
    ReleasedBlocks,
    ReleasedScores,
    ReleasedSum,
    scores_from_bytes,
    similar_from_bytes,
    sum_from_bytes,
)
from hecf.protocol.tasks import GramTask, ScoreTask, SimilarityTask, SumTask, Task


class Releases(ABC):
    """The part of :class:`hecf.protocol.ports.KeyHolder` that waits for releases."""

    def release_blocks(self, task: GramTask) -> ReleasedBlocks:
        """Wait for the released Gram blocks."""
        return ReleasedBlocks.from_bytes(task, self._release(task))

    def release_scores(self, task: ScoreTask) -> ReleasedScores:
        """Wait for the released scores."""
        return scores_from_bytes(task, self._release(task))

    def release_sum(self, task: SumTask) -> ReleasedSum | ReleasedBlindedSum:
        """Wait for a released sum."""
        return sum_from_bytes(task, self._release(task))

    def release_similar(self, task: SimilarityTask) -> TopSimilar:
        """Wait for the most similar rows."""
        return similar_from_bytes(task, self._release(task))

    @abstractmethod
    def _release(self, task: Task) -> bytes:
        """Wait for the bytes of a release."""
