"""What a compute node computes once a task is complete."""

from __future__ import annotations

from collections.abc import Callable

from hecf.errors import UnknownTask
from hecf.he.item_model import ItemModel
from hecf.he.plan import LEFT, RIGHT
from hecf.he.scheme import Evaluator, Scheme, Serialised
from hecf.protocol.tasks import MODEL, GramTask, Part, ScoreTask, Task

ReadPart = Callable[[Part], bytes]


def check_part(task: Task, part: Part, data: bytes, scheme: Scheme) -> None:
    """Parse a contribution strictly and drop it, so that nothing unchecked is stored.

    Raises
    ------
    Mismatch, MalformedMessage, InvalidInput
        If it is not what the task's plan says.
    """
    _, what = part
    if what == MODEL:
        ItemModel.from_bytes(task.plan, data)
    else:
        scheme.operand(task.plan, what, data)


def compute(
    task: Task, result: str, read: ReadPart, scheme: Scheme, evaluator: Evaluator
) -> Serialised:
    """Compute one result of a task from its contributions.

    Parameters
    ----------
    task : GramTask or ScoreTask
    result : str
        One of ``task.results``.
    read : callable
        Returns the bytes of a contribution.

    Raises
    ------
    UnknownTask
        If the task has no such result.
    """
    if result not in task.results:
        raise UnknownTask("the task has no such result", got=result)
    if isinstance(task, GramTask):
        first, second = result.split("/")
        left = scheme.operand(task.plan, LEFT, read((first, LEFT)))
        right = scheme.operand(task.plan, RIGHT, read((second, RIGHT)))
        return evaluator.gram(left, right)
    return _scores(task, read, scheme, evaluator)


def _scores(task: ScoreTask, read: ReadPart, scheme: Scheme, evaluator: Evaluator) -> Serialised:
    operands = [scheme.operand(task.plan, LEFT, read((name, LEFT))) for name in task.sources]
    model = ItemModel.from_bytes(task.plan, read((task.target, MODEL)))
    return evaluator.score(evaluator.add(operands), model.items, model.bias)
