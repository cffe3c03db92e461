"""What a compute node computes once a task is complete."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from hecf.errors import Mismatch, UnknownTask
from hecf.he.blinding import SEED_BYTES, MaskSeed
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.item_model import ItemModel
from hecf.he.sampling import RandomBytes
from hecf.he.scheme import Evaluator, Scheme, Serialised
from hecf.protocol.tasks import MODEL, GramTask, Part, ScoreTask, SumTask, Task

ReadPart = Callable[[Part], bytes]


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


def check_part(task: Task, part: Part, data: bytes, scheme: Scheme) -> None:
    """Parse a contribution strictly and drop it, so that nothing unchecked is stored.

    Raises
    ------
    Mismatch, MalformedMessage, InvalidInput
        If it is not what the task's plan says.
    """
    _, what = part
    if isinstance(task, ScoreTask) and what == MODEL:
        ItemModel.from_bytes(task.plan, data)
    else:
        scheme.operand(task.plan, what, data)


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

    @classmethod
    def from_bytes(cls, data: bytes) -> Masked:
        """Take apart what :meth:`to_bytes` put together."""
        return cls(MaskSeed(data[:SEED_BYTES]), data[SEED_BYTES:])


def compute(
    task: Task,
    result: str,
    present: Collection[Part],
    read: ReadPart,
    scheme: Scheme,
    evaluator: Evaluator,
    random: RandomBytes,
) -> Serialised | Masked:
    """Compute one result of a task from its contributions, for the node's store.

    Parameters
    ----------
    task : Task
    result : str
        One of ``task.results``.
    present : collection of Part
        Contributions that are there; only a sum goes on when one of its parts is missing.
    read : callable
        Returns the bytes of a contribution.
    random : callable
        Source of cryptographically secure bytes for the seed of a mask.

    Raises
    ------
    UnknownTask
        If the task has no such result.
    Mismatch
        If a contribution is missing.
    """
    parts = parts_of(task, result)
    if isinstance(task, SumTask):
        return _sum(task, [part for part in parts if part in present], read, scheme, evaluator)
    if any(part not in present for part in parts):
        raise Mismatch("a contribution is missing")
    if isinstance(task, ScoreTask):
        scores = _scores(task, read, scheme, evaluator)
        if not task.blinded:
            return scores
        seed = MaskSeed.draw(random)
        return Masked(seed, evaluator.blind(scores, seed).to_bytes())
    operands = [scheme.operand(task.plan, part[1], read(part)) for part in parts]
    return evaluator.gram(*operands)


def _sum(
    task: SumTask, parts: list[Part], read: ReadPart, scheme: Scheme, evaluator: Evaluator
) -> Serialised:
    weight_of = dict(zip(task.contributors, task.weights, strict=True))
    operands = [scheme.operand(task.plan, LEFT, read(part)) for part in parts]
    weights = [weight_of[name] for name, _ in parts]
    # A sum has as many summands as planned; who dropped out is stood in for with weight zero.
    absent = len(task.contributors) - len(parts)
    return evaluator.sum(operands + operands[:1] * absent, weights + [0] * absent)


def _scores(task: ScoreTask, read: ReadPart, scheme: Scheme, evaluator: Evaluator) -> Serialised:
    operands = [scheme.operand(task.plan, LEFT, read((name, LEFT))) for name in task.sources]
    model = ItemModel.from_bytes(task.plan, read((task.target, MODEL)))
    return evaluator.score(evaluator.add(operands), model.items, model.bias)
