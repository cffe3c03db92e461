from __future__ import annotations

from dataclasses import replace

import pytest

from hecf.api.v1 import tasks_pb2, terms_pb2
from hecf.errors import InvalidInput, MalformedMessage, Mismatch, UnknownTask
from hecf.he.plan import LEFT, RIGHT
from hecf.protocol.tasks import MODEL, GramTask, ScoreTask, SimilarityTask, SumTask
from hecf.protocol.terms import MOST_SHOPPERS, Terms
from hecf.wire import messages

TERMS = Terms(
    coalition="loyal",
    identifier="0a" * 16,
    scheme="clear",
    retailers=("grocer", "butcher", "florist"),
    shoppers=500,
    directory="1b" * 32,
    factors=4,
    top_k=5,
)
SCORE = ScoreTask(TERMS, "butcher", (0, 7, 499), 25)
SUM = SumTask(
    TERMS, "grocer", "counts", 40, 8.0, 4, ("grocer", "florist"), ("butcher",), weights=(3, -2)
)

SIMILARITY = SimilarityTask(TERMS, "florist", "items", "grocer", 12, 40, 6, 3)


def sent(terms: Terms) -> terms_pb2.Agreement:
    """An agreement as it arrives: through its bytes."""
    return terms_pb2.Agreement.FromString(messages.agreement(terms).SerializeToString())


def test_equal_terms_agree() -> None:
    messages.check_agreement(sent(TERMS), Terms.from_json(TERMS.to_json()), "the node")
    assert set(terms_pb2.Agreement.DESCRIPTOR.fields_by_name) == {
        "coalition",
        "identifier",
        "shoppers",
        "directory",
        "parameters",
        "terms",
    }


DIFFERENCES = [
    ({"coalition": "royal"}, "coalition: got royal, expected loyal"),
    ({"identifier": "0c" * 16}, "identifier of the coalition: got 0c0c0c0c"),
    ({"shoppers": 501}, "length of the member directory: got 501, expected 500"),
    ({"directory": "1d" * 32}, "fingerprint of the member directory: got 1d1d1d1d"),
    ({"factors": 5}, "fingerprint of the parameters"),
    ({"statistical_bits": 40}, "fingerprint of the parameters"),
    ({"releases": 4095}, "fingerprint of the parameters"),
    ({"scheme": "ckks"}, "fingerprint of the parameters"),
    ({"minimum_shoppers": 99}, "fingerprint of the terms"),
    ({"minimum_contributors": 3}, "fingerprint of the terms"),
    ({"minimum_rows": 11}, "fingerprint of the terms"),
    (
        {"epsilon": 1.0, "delta": 1e-4, "clip": 2.0, "noise_multiplier": 9.0, "joint_clip": True},
        "fingerprint of the terms",
    ),
    ({"top_k": 6}, "fingerprint of the terms"),
    ({"ridge": 0.2}, "fingerprint of the terms"),
    ({"topology": "coalition-key"}, "fingerprint of the terms"),
    (
        {"epsilon": 2.0, "delta": 1e-7, "clip": 2.5, "noise_multiplier": 4.1},
        "fingerprint of the terms",
    ),
    ({"decay": 0.4}, "fingerprint of the terms"),
    (
        {"epsilon": 1.0, "delta": 1e-4, "clip": 2.0, "noise_multiplier": 9.0},
        "fingerprint of the terms",
    ),
    (
        {
            "epsilon": 1.0,
            "delta": 1e-4,
            "noise_multiplier": 9.0,
            "sums": 2,
            "sum_clip": 3.0,
            "colluders": 1,
        },
        "fingerprint of the terms",
    ),
    ({"retailers": ("butcher", "grocer", "florist")}, "fingerprint of the terms"),
]


@pytest.mark.parametrize(("changes", "sentence"), DIFFERENCES)
def test_the_first_difference_is_named(changes: dict[str, object], sentence: str) -> None:
    other = replace(TERMS, **changes)
    with pytest.raises(Mismatch) as caught:
        messages.check_agreement(sent(other), TERMS, "the compute node")
    assert str(caught.value).startswith(f"the compute node has another {sentence}")
    # Either side notices.
    with pytest.raises(Mismatch):
        messages.check_agreement(sent(TERMS), other, "grocer")


def test_every_field_of_the_terms_is_compared() -> None:
    changed = {name for changes, _ in DIFFERENCES for name in changes}
    assert changed == set(Terms.__dataclass_fields__)


@pytest.mark.parametrize(
    "field", ["coalition", "identifier", "shoppers", "directory", "parameters", "terms"]
)
def test_a_missing_field_is_a_difference(field: str) -> None:
    message = sent(TERMS)
    message.ClearField(field)
    with pytest.raises(Mismatch):
        messages.check_agreement(message, TERMS, "the node")


def test_the_largest_directory_fits_its_message() -> None:
    assert sent(replace(TERMS, shoppers=MOST_SHOPPERS)).shoppers == MOST_SHOPPERS


def test_tasks_survive_their_message() -> None:
    for task in (GramTask(TERMS), SCORE, SUM, SIMILARITY):
        data = messages.task_message(task).SerializeToString()
        back = messages.task(tasks_pb2.Task.FromString(data), TERMS)
        assert back == task
        assert back.identifier == task.identifier
        named = messages.identifier_bytes(task.identifier)
        assert messages.agreed_task(named, messages.task_message(task), TERMS) == task
        with pytest.raises(UnknownTask, match=r"^no such task$"):
            messages.agreed_task(named, messages.task_message(task), replace(TERMS, ridge=0.2))


def test_a_task_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="unknown kind"):
        messages.task(tasks_pb2.Task(), TERMS)


def test_contributions_survive_their_messages() -> None:
    used = {("grocer", LEFT): "0a" * 32, ("butcher", RIGHT): "0b" * 32}
    assert messages.contributions(messages.contribution_messages(used)) == used
    twice = messages.contribution_messages(used)[:1] * 2
    with pytest.raises(MalformedMessage, match="named twice"):
        messages.contributions(twice)
    twice[0].sha256 = bytes(31)
    with pytest.raises(MalformedMessage, match="digest has another length: got 31"):
        messages.contributions(twice[:1])


@pytest.mark.parametrize(
    "message",
    [
        tasks_pb2.ScoreTask(),
        tasks_pb2.ScoreTask(target="baker", rows=[1], items=25),
        tasks_pb2.ScoreTask(target="butcher", rows=[], items=25),
        tasks_pb2.ScoreTask(target="butcher", rows=[2, 1], items=25),
        tasks_pb2.ScoreTask(target="butcher", rows=[1, 1], items=25),
        tasks_pb2.ScoreTask(target="butcher", rows=[500], items=25),
        tasks_pb2.ScoreTask(target="butcher", rows=[2**32 - 1], items=25),
        tasks_pb2.ScoreTask(target="butcher", rows=[1], items=0),
        tasks_pb2.ScoreTask(target="butcher", rows=[1], items=2**32 - 1),
    ],
)
def test_score_tasks_that_do_not_fit_the_terms_are_refused(message: tasks_pb2.ScoreTask) -> None:
    with pytest.raises(InvalidInput):
        messages.task(tasks_pb2.Task(score=message), TERMS)


@pytest.mark.parametrize("side", [LEFT, RIGHT, MODEL])
def test_sides_survive_their_number(side: str) -> None:
    assert messages.side_name(messages.side_number(side)) == side


@pytest.mark.parametrize("number", [0, 5, -1, 2**31 - 1])
def test_unknown_sides_are_errors(number: int) -> None:
    with pytest.raises(MalformedMessage, match=f"unknown side: got {number}"):
        messages.side_name(number)


def test_every_side_of_the_wire_but_the_default_has_a_name() -> None:
    numbers = {value.number for value in tasks_pb2.Side.DESCRIPTOR.values} - {0}
    assert {messages.side_number(messages.side_name(number)) for number in numbers} == numbers


def test_task_identifiers_survive_their_bytes() -> None:
    identifier = GramTask(TERMS).identifier
    assert messages.identifier_text(messages.identifier_bytes(identifier)) == identifier


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_task_identifiers_of_another_length_are_refused(length: int) -> None:
    with pytest.raises(MalformedMessage, match=f"another length: got {length}, expected 32"):
        messages.identifier_text(bytes(length))
