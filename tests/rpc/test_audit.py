"""The audit log: what stands in it, and that no line can go, change or move unseen (C25)."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from coalitions import GrpcCoalition, columns, make_terms, operand
from typer.testing import CliRunner

from hecf.errors import ConfigurationError, HecfError, InternalFailure, InvalidInput
from hecf.he.plan import LEFT
from hecf.protocol.tasks import GramTask
from hecf.rpc import audit as module
from hecf.rpc.audit import AuditLog, Head, digest_of, verify
from hecf.rpc.authority import ALLOWED, EVENTS
from hecf.rpc.identity import KEY_HOLDER
from parties.cli import app

CANARY = "canary-quartzite-4711"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    made = AuditLog(tmp_path / "audit.jsonl")
    yield made
    made.close()


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def refused(data: bytes, head: Head, **options: bool) -> bool:
    try:
        verify(data, head, **options)
    except InvalidInput:
        return True
    return False


def test_every_method_is_an_event_or_said_to_be_none() -> None:
    assert EVENTS.keys() == ALLOWED.keys()


def test_any_change_of_any_line_is_found(log: AuditLog, tmp_path: Path) -> None:
    for number in range(12):
        log.record("contribute", "alder", task=f"{number:016x}", received=number)
    data, head = (tmp_path / "audit.jsonl").read_bytes(), log.head
    assert verify(data, head) == verify(data, head, latest=True) == head
    lines = data.splitlines(keepends=True)
    for number in range(12):
        assert refused(b"".join(lines[:number] + lines[number + 1 :]), head), "deleted"
        changed = lines[number].replace(b"alder", b"birch")
        assert refused(b"".join([*lines[:number], changed, *lines[number + 1 :]]), head), "changed"
        assert refused(b"".join(lines[:number] + lines[number:][::-1]), head) == (number < 11)
        assert refused(b"".join(lines[:number]), head), "cut"
        assert refused(b"".join(lines[: number + 1] + lines[number:]), head), "doubled"
    assert refused(data[:-1], head)
    assert refused(data + lines[-1], head)
    generator = random.Random(3)
    for _ in range(2000):
        place = generator.randrange(len(data))
        mutated = bytearray(data)
        mutated[place] ^= 1 << generator.randrange(8)
        assert refused(bytes(mutated), head), place


def test_a_log_that_was_rewritten_as_a_chain_differs_from_its_head(
    log: AuditLog, tmp_path: Path
) -> None:
    for number in range(5):
        log.record("release", "alder", received=number)
    anchor = Head(3, digest_of((tmp_path / "audit.jsonl").read_bytes().splitlines()[2]))
    other = AuditLog(tmp_path / "other.jsonl")
    for number in range(5):
        other.record("release", "birch", received=number)
    other.close()
    forged = (tmp_path / "other.jsonl").read_bytes()
    # The chain in itself is sound, which is why a head in another place is needed.
    verify(forged, other.head, latest=True)
    assert refused(forged, log.head)
    assert refused(forged, anchor)
    verify((tmp_path / "audit.jsonl").read_bytes(), anchor)


def test_lines_after_the_head_are_at_most_one(log: AuditLog, tmp_path: Path) -> None:
    heads = []
    for _ in range(4):
        log.record("join", "alder")
        heads.append(log.head)
    data = (tmp_path / "audit.jsonl").read_bytes()
    assert not refused(data, heads[2], latest=True)
    assert refused(data, heads[1], latest=True)
    assert not refused(data, heads[1])


def test_a_log_is_continued_after_a_crash_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    first = AuditLog(path)
    first.record("join", "alder")
    before = path.with_suffix(".head").read_bytes()
    first.record("join", "birch")
    first.close()
    # Killed between the line and its head, and then in the middle of the next line.
    path.with_suffix(".head").write_bytes(before)
    with path.open("ab") as file:
        file.write(b'{"number": 3, "ti')
    second = AuditLog(path)
    second.record("join", "cedar")
    second.close()
    assert [line["party"] for line in lines_of(path)] == ["alder", "birch", "cedar"]
    assert verify(path.read_bytes(), second.head, latest=True) == second.head


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes().replace(b"alder", b"birch")),
        lambda path: path.write_bytes(b"".join(path.read_bytes().splitlines(True)[:-2])),
        lambda path: path.with_suffix(".head").unlink(),
        lambda path: path.with_suffix(".head").write_text("many\n"),
    ],
    ids=["gone", "changed", "cut", "no head", "broken head"],
)
def test_a_log_that_was_harmed_is_not_continued(
    tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    for _ in range(4):
        log.record("join", "alder")
    log.close()
    AuditLog(path).close()
    harm(path)
    with pytest.raises(ConfigurationError, match="cannot be continued because"):
        AuditLog(path)


def test_what_cannot_be_written_does_not_happen(
    log: AuditLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.record("join", "alder")
    real = os.write

    def half(descriptor: int, data: bytes) -> int:
        return real(descriptor, data[: len(data) // 2])

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "write", half)
        with pytest.raises(InternalFailure):
            log.record("release", "alder")
        log.refuse("alder", "Join", "MISMATCH")
    log.record("join", "birch")
    data = (tmp_path / "audit.jsonl").read_bytes()
    assert verify(data, log.head, latest=True).number == 2


def test_a_flood_of_refusals_is_counted_and_not_written(tmp_path: Path) -> None:
    seconds = [0.0]
    log = AuditLog(tmp_path / "audit.jsonl", lambda: seconds[0])
    for _ in range(1000):
        log.refuse("alder", "Join", "LIMIT_EXCEEDED")
    log.refuse("birch", "Join", "LIMIT_EXCEEDED")
    seconds[0] += 1
    log.refuse("alder", "Join", "LIMIT_EXCEEDED")
    log.close()
    found = [(line["party"], line["times"]) for line in lines_of(tmp_path / "audit.jsonl")]
    assert found == [("alder", 1), ("birch", 1), ("alder", 1000)]


@pytest.fixture
def coalition(log: AuditLog, tmp_path: Path) -> Iterator[GrpcCoalition]:
    running = GrpcCoalition(make_terms(), tmp_path / "coalition", audit=log)
    yield running
    running.close()


def test_events_of_a_node_name_party_task_and_size_and_no_payload(
    coalition: GrpcCoalition, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    terms, task = coalition.terms, GramTask(coalition.terms)
    data = operand(coalition, task, LEFT, columns(terms, 1))
    coalition.node("alder").join(terms)
    coalition.node("alder").contribute(task, LEFT, data)
    for attempt in (
        lambda: coalition.node("birch").contribute(task, LEFT, CANARY.encode() * 100),
        lambda: coalition.node("alder").await_task(terms, f"sum/{CANARY}/x"),
        lambda: coalition.node("alder").publish_key(terms, CANARY.encode()),
        lambda: coalition.node("dogwood").join(terms),
    ):
        with pytest.raises(HecfError):
            attempt()
    found = lines_of(tmp_path / "audit.jsonl")
    events = [(line["event"], line["party"]) for line in found]
    assert events == [
        ("publish key", KEY_HOLDER),
        ("join", "alder"),
        ("contribute", "alder"),
        ("refusal", "birch"),
        ("refusal", "alder"),
        ("refusal", "alder"),
        ("refusal", "dogwood"),
    ]
    assert found[2]["task"] == task.identifier[:16]
    assert found[2]["received"] >= len(data)
    assert [line["reason"] for line in found[3:]] == [
        "MALFORMED_MESSAGE",
        "UNKNOWN_TASK",
        "PERMISSION_DENIED",
        "PERMISSION_DENIED",
    ]
    captured = capfd.readouterr()
    everything = (tmp_path / "audit.jsonl").read_text() + captured.out + captured.err
    for form in (CANARY, CANARY.encode().hex(), data[200:232].hex()):
        assert form not in everything


def test_the_command_says_whole_or_what_is_wrong(log: AuditLog, tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as said:
        for event in ("start", "stop"):
            log.announce(event)
    anchor = f"{said[0]['number']}:{said[0]['digest']}"
    path = tmp_path / "audit.jsonl"
    run = CliRunner()
    result = run.invoke(app, ["audit", "verify", str(path), "--anchor", anchor])
    assert result.exit_code == 0
    assert "2 lines, whole" in result.output
    wrong = f"1:{'0' * 64}"
    for arguments, problem in (
        (["--anchor", wrong], "another than its head says"),
        (["--anchor", "soon"], "the anchor has another form"),
        (["--head", str(tmp_path / "none")], "cannot be read"),
    ):
        result = run.invoke(app, ["audit", "verify", str(path), *arguments])
        assert result.exit_code == 1
        assert problem in result.stderr
        assert result.stderr.count("\n") == 1
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[1])
    result = run.invoke(app, ["audit", "verify", str(path)])
    assert (result.exit_code, "lost its end" in result.stderr) == (1, True)
