"""What a compute node computes once a task is complete."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from hecf.errors import LimitExceeded, Mismatch, UnknownTask
from hecf.he.blinding import SEED_BYTES, MaskSeed
from hecf.he.paillier.plan import PaillierSumPlan
from hecf.he.plan import LEFT, RIGHT, OperandPlan
from hecf.he.product.item_model import ItemModel
from hecf.he.product.plan import ProductPlan
from hecf.he.sampling import RandomBytes
from hecf.he.scheme import Evaluator, Scheme, Serialised, StreamingEvaluator, StreamingScheme
from hecf.he.similarity.evaluator import MEMORY as TILE_MEMORY
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.streams import MEMORY, Source, chunks_of
from hecf.he.summation.plan import SumPlan
from hecf.protocol.tasks import (
    KEY,
    MODEL,
    GramTask,
    Part,
    QueryTask,
    ScoreTask,
    SimilarityTask,
    SumTask,
    Task,
    result_name,
    tile_rows,
)

ReadPart = Callable[[Part], Iterable[bytes]]
"""Reads a contribution in chunks."""


@dataclass(frozen=True)
class Computed:
    """An encrypted result, and what it was computed from.

    Parameters
    ----------
    data : bytes
    used : mapping of Part to str
        SHA-256 of every contribution that went into the result, in hexadecimal.
    """

    data: bytes
    used: Mapping[Part, str]


def check_part(
    task: Task, part: Part, operand: Source, scheme: Scheme, *, memory: int = MEMORY
) -> None:
    """Parse an operand strictly and drop it, so that nothing unchecked is stored.

    Parameters
    ----------
    task : Task
    part : Part
    operand : binary file, or iterable of bytes
        Read to its end; an item model or a key at once, everything else in blocks.
    memory : int
        Bytes that blocks may use.

    Raises
    ------
    Mismatch, MalformedMessage, InvalidInput
        If it is not what the task's plan says.
    """
    _, what = part
    if isinstance(task, ScoreTask | QueryTask) and what == MODEL:
        ItemModel.from_bytes(task.plan, b"".join(chunks_of(operand)))
        return
    if isinstance(task, QueryTask) and what == KEY:
        form = cast(StreamingScheme, scheme)
        form.check_querier_key(task.plan.parameters, b"".join(chunks_of(operand)))
        return
    for _ in scheme.blocks(task.plan, what, operand, memory=memory):
        pass


def parts_of(task: Task, result: str) -> list[Part]:
    """Return the contributions that a result is computed from.

    Raises
    ------
    UnknownTask
        If the task has no such result.
    """
    if result not in task.results:
        raise UnknownTask("the task has no such result", got=result)
    if isinstance(task, GramTask):
        first, second = result.split("/")
        return [(first, LEFT), (second, RIGHT)]
    return task.parts


def computed_with(task: Task, result: str) -> list[str]:
    """Return the results that are computed in one go with a result.

    Those are all results of a similarity: tiles of one panel share the encryptions of zero that
    conceal it, so none of them is ever computed alone.

    Raises
    ------
    UnknownTask
        If the task has no such result.
    """
    parts_of(task, result)
    return task.results if isinstance(task, SimilarityTask) else [result]


@dataclass(frozen=True, repr=False)
class Masked:
    """A blinded result as the node keeps it: in one piece with the seed of its mask.

    So neither can be lost or replaced without the other, and no seed meets two results.

    Parameters
    ----------
    seed : MaskSeed
        For the recipient alone.
    product : bytes
        The masked result, for the key holder alone.
    """

    seed: MaskSeed
    product: bytes

    def to_bytes(self) -> bytes:
        """Seed and product, for the node's own store and nobody else."""
        return self.seed.data + self.product

    @staticmethod
    def seed_of(start: bytes) -> MaskSeed:
        """Return the seed from the first bytes of what :meth:`to_bytes` put together."""
        return MaskSeed(start[:SEED_BYTES])


def compute(
    task: Task,
    result: str,
    present: Collection[Part],
    read: ReadPart,
    scheme: Scheme,
    evaluator: Evaluator,
    random: RandomBytes,
    *,
    memory: int = MEMORY,
) -> Serialised | Masked:
    """Compute one result of a task from its contributions, for the node's store.

    Contributions pass through memory in blocks; what is kept is the result, for scores the sum
    of the contributions, and a block, however many contributions there are. Under Paillier, which
    has no blocks, contributions are read whole.

    Parameters
    ----------
    task : Task
    result : str
        One of ``task.results``.
    present : collection of Part
        Contributions that are there; only a sum goes on when one of its parts is missing.
    read : callable
        Returns the bytes of a contribution, chunk by chunk.
    random : callable
        Source of cryptographically secure bytes for the seed of a mask.
    memory : int
        Bytes to use for the blocks of contributions.

    Raises
    ------
    UnknownTask
        If the task has no such result.
    Mismatch
        If a contribution is missing, or results of the task are tiles; see :func:`compute_tiles`.
    LimitExceeded
        If the memory is too small for one block.
    """
    parts = parts_of(task, result)
    if not isinstance(task, SumTask) and any(part not in present for part in parts):
        raise Mismatch("a contribution is missing")
    weights = _weights(task, [part for part in parts if part in present])
    plan = task.plan
    if isinstance(plan, PaillierSumPlan):
        summed = _sum_of_wholes(plan, weights, read, scheme, evaluator)
        return _masked(summed, evaluator, random) if is_blinded(task) else summed
    # Every other plan is of a scheme that works in blocks.
    form, streaming = cast(StreamingScheme, scheme), cast(StreamingEvaluator, evaluator)
    if isinstance(plan, SimilarityPlan):
        raise Mismatch("a panel is computed tile by tile")
    if isinstance(task, GramTask | SimilarityTask):
        return _product(plan, parts, read, form, streaming, memory)
    if isinstance(task, QueryTask):
        return _answer(task, read, form, random, memory)
    total = _added(plan, weights, read, form, streaming, memory)
    if isinstance(task, SumTask):
        return cast(Serialised, total)
    model = ItemModel.from_bytes(task.plan, b"".join(read((task.target, MODEL))))
    scores = evaluator.score(total, model.items, model.bias)
    return _masked(scores, evaluator, random) if task.blinded else scores


def is_blinded(task: Task) -> bool:
    """Whether the results of a task leave the node under a mask."""
    return isinstance(task, ScoreTask | SumTask) and task.blinded


def _masked(result: Serialised, evaluator: Evaluator, random: RandomBytes) -> Masked:
    seed = MaskSeed.draw(random)
    return Masked(seed, evaluator.blind(result, seed).to_bytes())


def _answer(
    task: QueryTask, read: ReadPart, scheme: StreamingScheme, random: RandomBytes, memory: int
) -> Serialised:
    """Score an asker's shoppers under its own key; what it decrypts shows the scores alone."""
    key = b"".join(read((task.asker, KEY)))
    answerer = scheme.answerer(task.plan.parameters, key, random)
    shoppers = _added(task.plan, {(task.asker, LEFT): 1}, read, scheme, answerer, memory)
    model = ItemModel.from_bytes(task.plan, b"".join(read((task.owner, MODEL))))
    return answerer.drown(answerer.score(shoppers, model.items, model.bias))


def compute_tiles(
    task: SimilarityTask,
    read: ReadPart,
    scheme: StreamingScheme,
    evaluator: StreamingEvaluator,
    *,
    memory: int = MEMORY,
    tile_memory: int = TILE_MEMORY,
) -> Iterator[tuple[str, Serialised]]:
    """Compute every tile of a similarity, for the node's store.

    Parameters
    ----------
    task : SimilarityTask
    read : callable
        Returns the bytes of a contribution, chunk by chunk.
    memory : int
        Bytes to use for the blocks of each contribution.
    tile_memory : int
        Bytes to use for the tiles in work and what conceals them.

    Yields
    ------
    result : str
        One of ``task.results``, each of them once.
    tile : Serialised

    Raises
    ------
    LimitExceeded
        If the memory is too small for a stripe or a tile.
    Mismatch
        If the task's rows are packed; see :func:`compute`.
    """
    plan, expected = task.plan, set(task.results)
    if not isinstance(plan, SimilarityPlan):
        raise Mismatch("packed rows have no tiles")
    left_part, right_part = task.parts
    for left in scheme.blocks(plan, LEFT, read(left_part), memory=memory):
        for right in scheme.blocks(plan, RIGHT, read(right_part), memory=memory):
            for tile in evaluator.similarity(left, right, memory=tile_memory, rows=tile_rows(plan)):
                name = result_name(tile.place)
                if name not in expected:
                    # The evaluator makes smaller tiles in less memory; the agreed ones are fixed.
                    raise LimitExceeded(
                        "the memory is too small for a tile of the similarity",
                        got=f"{tile_memory} bytes",
                    )
                yield name, tile


def _product(
    plan: OperandPlan,
    parts: list[Part],
    read: ReadPart,
    scheme: StreamingScheme,
    evaluator: StreamingEvaluator,
    memory: int,
) -> Serialised:
    accumulator = evaluator.gram_accumulator(plan)
    share = memory // len(parts)
    readers = [scheme.blocks(plan, side, read((n, side)), memory=share) for n, side in parts]
    for left, right in zip(*readers, strict=True):
        accumulator.add(left, right)
    product: Serialised = accumulator.finish()
    return product


def _weights(task: Task, parts: list[Part]) -> dict[Part, int]:
    """Return the contributions that are added up, with their weights."""
    if isinstance(task, SumTask):
        weight_of = dict(zip(task.contributors, task.weights, strict=True))
        return {part: weight_of[part[0]] for part in parts}
    return {part: 1 for part in parts if part[1] == LEFT}


def _added(
    plan: SumPlan | ProductPlan,
    weights: Mapping[Part, int],
    read: ReadPart,
    scheme: StreamingScheme,
    evaluator: StreamingEvaluator,
    memory: int,
) -> Any:
    """Add contributions, one after the other."""
    total = evaluator.sum_accumulator(plan)
    # A sum has as many summands as planned; who dropped out is stood in for with weight zero.
    absent = plan.summands - len(weights)
    for part, weight in weights.items():
        for block in scheme.blocks(plan, LEFT, read(part), memory=memory):
            for factor in (weight, *[0] * absent):
                total.add(block, factor)
        absent = 0
    return total.finish()


def _sum_of_wholes(
    plan: PaillierSumPlan,
    weights: Mapping[Part, int],
    read: ReadPart,
    scheme: Scheme,
    evaluator: Evaluator,
) -> Serialised:
    operands = [scheme.operand(plan, LEFT, b"".join(read(part))) for part in weights]
    absent = plan.summands - len(operands)
    factors = [*weights.values(), *[0] * absent]
    return evaluator.sum(operands + operands[:1] * absent, factors)
