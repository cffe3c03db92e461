"""Native messages to protobuf and back. Unknown values are errors, never defaults."""

from __future__ import annotations

from hecf.api.v1 import tasks_pb2, terms_pb2
from hecf.errors import MalformedMessage, Mismatch
from hecf.he.plan import LEFT, RIGHT
from hecf.protocol.tasks import MODEL, ScoreTask, gram_plan
from hecf.protocol.terms import Terms

_SIDES = {
    LEFT: tasks_pb2.SIDE_LEFT,
    RIGHT: tasks_pb2.SIDE_RIGHT,
    MODEL: tasks_pb2.SIDE_MODEL,
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
        parameters=gram_plan(terms).fingerprint,
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


def score_task_message(task: ScoreTask) -> tasks_pb2.ScoreTask:
    """Describe a score task."""
    return tasks_pb2.ScoreTask(target=task.target, rows=task.rows, items=task.items)


def score_task(message: tasks_pb2.ScoreTask, terms: Terms) -> ScoreTask:
    """Read a score task; raises InvalidInput if it does not fit the terms."""
    return ScoreTask(terms, message.target, tuple(message.rows), message.items)


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


def _shown(value: object) -> object:
    return value.hex()[:16] if isinstance(value, bytes) else value
