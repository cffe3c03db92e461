"""Native messages to protobuf and back. Unknown values are errors, never defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hecf.api.v1 import tasks_pb2, terms_pb2
from hecf.errors import MalformedMessage, Mismatch, UnknownTask
from hecf.he.plan import LEFT, RIGHT
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
    agreed_fingerprint,
)
from hecf.protocol.terms import Terms

_SIDES = {
    LEFT: tasks_pb2.SIDE_LEFT,
    RIGHT: tasks_pb2.SIDE_RIGHT,
    MODEL: tasks_pb2.SIDE_MODEL,
    KEY: tasks_pb2.SIDE_KEY,
}
_NAMES: dict[int, str] = {number: name for name, number in _SIDES.items()}
DIGEST_BYTES = 32


def agreement(terms: Terms) -> terms_pb2.Agreement:
    """Name the terms by their parts."""
    return terms_pb2.Agreement(
        coalition=terms.coalition,
        identifier=bytes.fromhex(terms.identifier),
        shoppers=terms.shoppers,
        directory=bytes.fromhex(terms.directory),
        parameters=agreed_fingerprint(terms),
        terms=bytes.fromhex(terms.fingerprint),
    )


def check_agreement(message: terms_pb2.Agreement, terms: Terms, who: str) -> None:
    """Compare another party's agreement with one's own terms.

    Raises
    ------
    Mismatch
        Naming the first difference.
    """
    mine = agreement(terms)
    for field, what in (
        ("coalition", "coalition"),
        ("identifier", "identifier of the coalition"),
        ("shoppers", "length of the member directory"),
        ("directory", "fingerprint of the member directory"),
        ("parameters", "fingerprint of the parameters"),
        ("terms", "fingerprint of the terms"),
    ):
        got, expected = getattr(message, field), getattr(mine, field)
        if got != expected:
            raise Mismatch(f"{who} has another {what}", got=_shown(got), expected=_shown(expected))


def task_message(task: Task) -> tasks_pb2.Task:
    """Describe a task."""
    if isinstance(task, GramTask):
        return tasks_pb2.Task(gram=tasks_pb2.GramTask())
    if isinstance(task, ScoreTask):
        score = tasks_pb2.ScoreTask(target=task.target, rows=task.rows, items=task.items)
        return tasks_pb2.Task(score=score)
    if isinstance(task, QueryTask):
        query = tasks_pb2.QueryTask(
            owner=task.owner, asker=task.asker, shoppers=task.shoppers, items=task.items
        )
        return tasks_pb2.Task(query=query)
    if isinstance(task, SimilarityTask):
        similarity = tasks_pb2.SimilarityTask(
            declarer=task.declarer,
            label=task.label,
            source=task.source,
            left=task.left,
            right=task.right,
            inner=task.inner,
            count=task.count,
        )
        return tasks_pb2.Task(similarity=similarity)
    total = tasks_pb2.SumTask(
        declarer=task.declarer,
        label=task.label,
        values=task.values,
        value_bound=task.value_bound,
        fraction_bits=task.fraction_bits,
        contributors=task.contributors,
        recipients=task.recipients,
        weights=task.weights,
    )
    return tasks_pb2.Task(sum=total)


def task(message: tasks_pb2.Task, terms: Terms) -> Task:
    """Read a task.

    Raises
    ------
    MalformedMessage
        If its kind is unknown.
    InvalidInput, ParameterError, ReleaseRefused
        If it does not fit the terms.
    """
    kind = message.WhichOneof("kind")
    if kind == "gram":
        return GramTask(terms)
    if kind == "score":
        score = message.score
        return ScoreTask(terms, score.target, tuple(score.rows), score.items)
    if kind == "query":
        query = message.query
        return QueryTask(terms, query.owner, query.asker, query.shoppers, query.items)
    if kind == "sum":
        total = message.sum
        return SumTask(
            terms,
            total.declarer,
            total.label,
            total.values,
            total.value_bound,
            total.fraction_bits,
            tuple(total.contributors),
            tuple(total.recipients),
            tuple(total.weights),
        )
    if kind == "similarity":
        rows = message.similarity
        return SimilarityTask(
            terms,
            rows.declarer,
            rows.label,
            rows.source,
            rows.left,
            rows.right,
            rows.inner,
            rows.count,
        )
    raise MalformedMessage("a task has an unknown kind")


def agreed_task(identifier: bytes, message: tasks_pb2.Task, terms: Terms) -> Task:
    """Read a task that the sender identifies, too.

    Raises
    ------
    UnknownTask
        If the identifier is another task's, for example one of other terms.
    MalformedMessage, InvalidInput, ParameterError
        As for :func:`task`.
    """
    named = identifier_text(identifier)
    read = task(message, terms)
    if read.identifier != named:
        raise UnknownTask("no such task")
    return read


def contribution_messages(used: Mapping[Part, str]) -> list[tasks_pb2.Contribution]:
    """Name contributions by their digests."""
    return [
        tasks_pb2.Contribution(retailer=name, side=side_number(side), sha256=bytes.fromhex(digest))
        for (name, side), digest in used.items()
    ]


def contributions(found: Iterable[tasks_pb2.Contribution]) -> dict[Part, str]:
    """Read contributions.

    Raises
    ------
    MalformedMessage
        If a side is unknown, a digest has another length, or one part stands there twice.
    """
    used: dict[Part, str] = {}
    for each in found:
        part = (each.retailer, side_name(each.side))
        if part in used:
            raise MalformedMessage("a contribution is named twice")
        used[part] = digest_text(each.sha256)
    return used


def side_number(side: str) -> tasks_pb2.Side.ValueType:
    """Return the wire value of a side."""
    return _SIDES[side]


def side_name(number: int) -> str:
    """Read a side.

    Raises
    ------
    MalformedMessage
        If the number is not a known side.
    """
    if number not in _NAMES:
        raise MalformedMessage("a contribution has an unknown side", got=number)
    return _NAMES[number]


def identifier_bytes(identifier: str) -> bytes:
    """Return a task identifier as it travels."""
    return bytes.fromhex(identifier)


def identifier_text(data: bytes) -> str:
    """Read a task identifier.

    Raises
    ------
    MalformedMessage
        If it does not have 32 bytes.
    """
    if len(data) != DIGEST_BYTES:
        raise MalformedMessage("a task identifier has another length", got=len(data), expected=32)
    return data.hex()


def digest_text(data: bytes) -> str:
    """Read a SHA-256 digest; raises MalformedMessage if it does not have 32 bytes."""
    if len(data) != DIGEST_BYTES:
        raise MalformedMessage("a digest has another length", got=len(data), expected=DIGEST_BYTES)
    return data.hex()


def _shown(value: object) -> object:
    return value.hex()[:16] if isinstance(value, bytes) else value
