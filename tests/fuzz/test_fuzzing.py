"""The quick part of ``python -m tests.fuzz``, its corpus, and faults that it must find (C08)."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import fuzzing
import pytest
from fuzzing import Broken, fuzz, judge, kept
from subjects import Subject, subjects

from hecf.errors import MalformedMessage

SUBJECTS = subjects()
OTHERS = [subject.message.data for subject in SUBJECTS.values()]
CORPUS = kept()


@pytest.mark.parametrize("name", SUBJECTS)
def test_changed_inputs_are_refused_or_valid(name: str) -> None:
    verdict = fuzz(name, SUBJECTS[name], OTHERS, 150, seed=1)
    assert verdict.inputs == 150
    assert verdict.accepted < 150


@pytest.mark.parametrize("name", CORPUS)
def test_inputs_that_were_kept_break_nothing(name: str) -> None:
    for data in CORPUS[name]:
        judge(SUBJECTS[name], data)


def planted(parse: Any, **changes: Any) -> Subject:
    subject = SUBJECTS["released sum"]
    return replace(subject, message=replace(subject.message, parse=parse, **changes))


def sound(data: bytes) -> Any:
    return SUBJECTS["released sum"].message.parse(data)


def crashing(data: bytes) -> Any:
    if len(data) % 7 == 0:
        raise ValueError("an error that nobody meant")
    return sound(data)


def lenient(data: bytes) -> Any:
    # Ignores what follows the message.
    return sound(data[: len(SUBJECTS["released sum"].message.data)])


def repairing(data: bytes) -> Any:
    return sound(b"HECF" + data[4:])


def slow(data: bytes) -> Any:
    time.sleep(0.03)
    return sound(data)


def quoting(data: bytes) -> Any:
    try:
        return sound(data)
    except MalformedMessage:
        raise MalformedMessage(f"cannot parse {data!r} {'x' * 2000}") from None


LEAK: list[bytes] = []


def leaking(data: bytes) -> Any:
    LEAK.append(bytearray(1 << 20))  # type: ignore[arg-type]
    return sound(data)


@pytest.mark.parametrize(
    ("parse", "problem"),
    [
        (crashing, "ValueError"),
        (lenient, "written in another form"),
        (repairing, "written in another form"),
        (slow, "seconds"),
        (quoting, "repeats what it was sent"),
        (leaking, "grew by"),
    ],
)
def test_a_planted_fault_is_found(
    parse: Any, problem: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(fuzzing, "CORPUS", tmp_path / "corpus.jsonl")
    monkeypatch.setattr(fuzzing, "LONGEST_SECONDS", 0.02 if parse is slow else 2.0)
    try:
        with pytest.raises(Broken, match=problem):
            fuzz("planted", planted(parse), OTHERS, 400, seed=1)
    finally:
        LEAK.clear()


def test_what_is_accepted_but_not_valid_is_found() -> None:
    subject = planted(sound, valid=lambda parsed: float(parsed.values[0]) == 1.0)
    data = bytearray(subject.message.data)
    judge(subject, bytes(data))
    data[-24] ^= 1
    with pytest.raises(Broken, match="not valid"):
        judge(subject, bytes(data))
