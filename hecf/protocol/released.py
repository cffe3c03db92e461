"""Released results and their bytes.

The header names the task, not the plan: two tasks of one size share a plan, and the results of
one must not pass for the other's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hecf.errors import MalformedMessage, Mismatch
from hecf.he.blinding import BlindedResult, MaskSeed
from hecf.he.messages import (
    HEADER_BYTES,
    Kind,
    check_residues,
    header,
    open_header,
    pack_words,
    unpack_words,
)
from hecf.he.modular import Float
from hecf.he.paillier.blinding import BlindedIntegers, masked_bytes
from hecf.he.paillier.plan import KEY_FINGERPRINT_BYTES, PaillierSumPlan
from hecf.he.plan import WORD_BYTES
from hecf.he.similarity.scores import TopSimilar
from hecf.privacy.release import TopScores
from hecf.protocol.tasks import GramTask, ScoreTask, SimilarityTask, SumTask


@dataclass(frozen=True)
class ReleasedBlocks:
    """Every cross-Gram block of a coalition, ``(first, second) -> (d, d)`` float64."""

    blocks: Mapping[tuple[str, str], Float]

    def to_bytes(self, task: GramTask) -> bytes:
        """Header and blocks in the order of the task's pairs."""
        body = b"".join(
            np.ascontiguousarray(self.blocks[pair], dtype="<f8").tobytes() for pair in task.pairs
        )
        return header(Kind.RELEASED_BLOCKS, bytes.fromhex(task.identifier)) + body

    @classmethod
    def from_bytes(cls, task: GramTask, data: bytes) -> ReleasedBlocks:
        """Parse.

        Raises
        ------
        Mismatch, MalformedMessage
            If the bytes are for another task or not finite.
        """
        size = task.terms.factors
        length = 8 * size * size * len(task.pairs)
        body = open_header(data, Kind.RELEASED_BLOCKS, bytes.fromhex(task.identifier), length)
        values = np.frombuffer(body, dtype="<f8").astype(np.float64).reshape(-1, size, size)
        if not np.isfinite(values).all():
            raise MalformedMessage("a released block is not finite")
        return cls(dict(zip(task.pairs, values, strict=True)))


def top_scores_to_bytes(task: ScoreTask, top: TopScores) -> bytes:
    """Header, positions (int32) and scores (float64) of the best items of every shopper."""
    parts = (
        header(Kind.RELEASED_SCORES, bytes.fromhex(task.identifier)),
        np.ascontiguousarray(top.items, dtype="<i4").tobytes(),
        np.ascontiguousarray(top.scores, dtype="<f8").tobytes(),
    )
    return b"".join(parts)


def top_scores_from_bytes(task: ScoreTask, data: bytes) -> TopScores:
    """Parse what :func:`top_scores_to_bytes` wrote.

    Raises
    ------
    Mismatch, MalformedMessage
        If the bytes are for another task or a position is not in the catalogue.
    """
    shape = (len(task.rows), min(task.terms.top_k, task.items))
    count = shape[0] * shape[1]
    body = open_header(data, Kind.RELEASED_SCORES, bytes.fromhex(task.identifier), 12 * count)
    items = np.frombuffer(body[: 4 * count], dtype="<i4").astype(np.int32).reshape(shape)
    scores = np.frombuffer(body[4 * count :], dtype="<f8").astype(np.float64).reshape(shape)
    if items.min() < 0 or items.max() >= task.items or not np.isfinite(scores).all():
        raise MalformedMessage("released scores do not fit the catalogue")
    return TopScores(items, scores)


ReleasedScores = TopScores | BlindedResult
"""The best items of every shopper, or all scores under a mask."""


def scores_to_bytes(task: ScoreTask, scores: ReleasedScores) -> bytes:
    """Header and the best items, or the masked words of a blinded task."""
    if isinstance(scores, TopScores):
        return top_scores_to_bytes(task, scores)
    start = header(Kind.RELEASED_BLINDED_SCORES, bytes.fromhex(task.identifier))
    return start + pack_words(scores.words)


def scores_from_bytes(task: ScoreTask, data: bytes) -> ReleasedScores:
    """Parse what :func:`scores_to_bytes` wrote; errors as for :func:`top_scores_from_bytes`."""
    if not task.blinded:
        return top_scores_from_bytes(task, data)
    shape = task.plan.constant_shape
    length = WORD_BYTES * math.prod(shape)
    body = open_header(data, Kind.RELEASED_BLINDED_SCORES, bytes.fromhex(task.identifier), length)
    words = unpack_words(body, shape)
    check_residues(words, task.plan.primes)
    return BlindedResult(task.plan, words)


@dataclass(frozen=True)
class ReleasedSum:
    """An exact sum of vectors, and whose vectors are in it.

    Parameters
    ----------
    values : float64 array, shape (task.values,)
    contributors : tuple of str
        Retailers whose vectors were added, in the order of the task.
    """

    values: Float
    contributors: tuple[str, ...]

    def to_bytes(self, task: SumTask) -> bytes:
        """Header, one octet for every declared contributor (1 if it is in the sum), and values."""
        values = np.ascontiguousarray(self.values, dtype="<f8").tobytes()
        start = header(Kind.RELEASED_SUM, bytes.fromhex(task.identifier))
        return start + _present(task, self.contributors) + values

    @classmethod
    def from_bytes(cls, task: SumTask, data: bytes) -> ReleasedSum:
        """Parse.

        Raises
        ------
        Mismatch, MalformedMessage
            If the bytes are for another task, not finite, or of fewer contributors than agreed.
        """
        count = len(task.contributors)
        length = count + 8 * task.values
        body = open_header(data, Kind.RELEASED_SUM, bytes.fromhex(task.identifier), length)
        values = np.frombuffer(body[count:], dtype="<f8").astype(np.float64)
        if not np.isfinite(values).all():
            raise MalformedMessage("a released sum is not finite")
        return cls(values, _contributors(task, bytes(body[:count])))


@dataclass(frozen=True)
class ReleasedBlindedSum:
    """A sum under a mask that its recipients take off, and whose vectors are in it.

    Parameters
    ----------
    masked : BlindedIntegers
    contributors : tuple of str
        As of :class:`ReleasedSum`.
    """

    masked: BlindedIntegers
    contributors: tuple[str, ...]

    def to_bytes(self, task: SumTask) -> bytes:
        """Header, one octet for every declared contributor, and the masked integers."""
        start = header(Kind.RELEASED_BLINDED_SUM, bytes.fromhex(task.identifier))
        return start + _present(task, self.contributors) + self.masked.to_bytes()

    @classmethod
    def from_bytes(cls, task: SumTask, data: bytes) -> ReleasedBlindedSum:
        """Parse; errors as for :meth:`ReleasedSum.from_bytes`."""
        plan, count = _paillier(task), len(task.contributors)
        length = count + HEADER_BYTES + KEY_FINGERPRINT_BYTES + masked_bytes(plan)
        body = open_header(data, Kind.RELEASED_BLINDED_SUM, bytes.fromhex(task.identifier), length)
        masked = BlindedIntegers.from_bytes(plan, bytes(body[count:]))
        return cls(masked, _contributors(task, bytes(body[:count])))

    def unblind(self, seed: MaskSeed, public_key: bytes) -> ReleasedSum:
        """Take the mask off; errors as for :meth:`BlindedIntegers.unblind`."""
        return ReleasedSum(self.masked.unblind(seed, public_key), self.contributors)


def sum_from_bytes(task: SumTask, data: bytes) -> ReleasedSum | ReleasedBlindedSum:
    """Parse a released sum as the task says it is released."""
    kind = ReleasedBlindedSum if task.blinded else ReleasedSum
    return kind.from_bytes(task, data)


def _paillier(task: SumTask) -> PaillierSumPlan:
    if not isinstance(task.plan, PaillierSumPlan):
        raise Mismatch("a sum of this scheme is not blinded", got=task.terms.scheme)
    return task.plan


def _present(task: SumTask, contributors: tuple[str, ...]) -> bytes:
    return bytes(name in contributors for name in task.contributors)


def _contributors(task: SumTask, present: bytes) -> tuple[str, ...]:
    if not set(present) <= {0, 1}:
        raise MalformedMessage("the contributors of a released sum are not of this format")
    names = tuple(name for name, there in zip(task.contributors, present, strict=True) if there)
    if len(names) < task.terms.minimum_contributors:
        raise MalformedMessage(
            "a released sum has too few contributors",
            got=len(names),
            expected=f"at least {task.terms.minimum_contributors}",
        )
    return names


def similar_to_bytes(task: SimilarityTask, top: TopSimilar) -> bytes:
    """Header, positions (int32) and similarities (float64) of the best rows of every row."""
    parts = (
        header(Kind.RELEASED_SIMILAR, bytes.fromhex(task.identifier)),
        np.ascontiguousarray(top.columns, dtype="<i4").tobytes(),
        np.ascontiguousarray(top.scores, dtype="<f8").tobytes(),
    )
    return b"".join(parts)


def similar_from_bytes(task: SimilarityTask, data: bytes) -> TopSimilar:
    """Parse what :func:`similar_to_bytes` wrote.

    Raises
    ------
    Mismatch, MalformedMessage
        If the bytes are for another task, or a position is not of the source's rows.
    """
    shape = (task.left, task.count)
    count = task.left * task.count
    body = open_header(data, Kind.RELEASED_SIMILAR, bytes.fromhex(task.identifier), 12 * count)
    columns = np.frombuffer(body[: 4 * count], dtype="<i4").astype(np.int64).reshape(shape)
    scores = np.frombuffer(body[4 * count :], dtype="<f8").astype(np.float64).reshape(shape)
    if columns.min() < 0 or columns.max() >= task.right or not np.isfinite(scores).all():
        raise MalformedMessage("released similarities do not fit the rows of their source")
    return TopSimilar(columns, scores)
