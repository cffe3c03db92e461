"""Latency of running services: percentiles, open loops, and a small run against processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import SERVERS, Provisioned, Running, make_coalition

from benchmarks import latency
from benchmarks.open_loop import Request, offer, summary
from hecf.errors import InvalidInput, LimitExceeded
from hecf.he.clear import ClearMatrix


def test_latency_counts_from_when_a_request_was_due() -> None:
    # One client, one second each, ten due in a second: the last waits for the nine before it.
    requests = [Request(0.1 * n, float(n), float(n + 1)) for n in range(10)]
    found: Any = summary(requests)
    assert found["service_seconds"] == {"p50": 1.0, "p95": 1.0, "p99": 1.0, "maximum": 1.0}
    assert found["latency_seconds"]["p50"] == pytest.approx(1 + 0.9 * 4.5)
    assert found["latency_seconds"]["maximum"] == pytest.approx(1 + 0.9 * 9)
    assert found["answered_a_second"] == pytest.approx(1.0)


def test_requests_that_failed_are_counted_and_not_timed() -> None:
    requests = [Request(0.0, 0.0, 1.0), Request(0.0, 0.0, 50.0, "refused")]
    found: Any = summary(requests)
    assert (found["requests"], found["failed"], found["errors"]) == (2, 1, ["refused"])
    assert found["latency_seconds"]["maximum"] == 1.0
    assert "latency_seconds" not in summary(requests[1:])


def test_every_request_is_offered_once_and_none_before_it_is_due() -> None:
    taken: list[int] = []

    def fails(number: int) -> None:
        taken.append(number)
        if number == 3:
            raise LimitExceeded("too much")

    requests = offer([fails, fails], rate=1000, seconds=0.02)
    assert sorted(taken) == list(range(20))
    assert [each.error for each in requests if each.error] == ["too much"]
    assert requests[3].error
    assert all(each.due <= each.begun <= each.ended for each in requests)
    assert [each.due for each in requests] == sorted(each.due for each in requests)


@pytest.mark.parametrize(("clients", "rate"), [(0, 10.0), (1, 0.0), (1, 1.0)])
def test_nothing_to_offer_is_refused(clients: int, rate: float) -> None:
    with pytest.raises(InvalidInput):
        offer([lambda number: None] * clients, rate=rate, seconds=0.5)


@pytest.fixture(scope="module")
def coalition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provisioned]:
    made = make_coalition(tmp_path_factory.mktemp("latency") / "coalition")
    with Running(made) as running:
        running.start(*SERVERS)
        yield made


def run(coalition: Provisioned, *more: str) -> int:
    kits = str(next(iter(coalition.kits.values())).parent)
    return latency.main([kits, "--factors", "2", "--seconds", "0.5", *more])


def test_services_that_are_up_are_measured(
    coalition: Provisioned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "latency.json"
    sizes = ("--items", "3", "40", "--clients", "1", "2", "--rates", "8")
    assert run(coalition, *sizes, "--json", str(path)) == 0
    found = json.loads(path.read_text())
    assert json.loads(capsys.readouterr().out) == found
    assert [(each["items"], each["clients"]) for each in found["latencies"]] == [
        (3, 1),
        (3, 2),
        (40, 1),
        (40, 2),
    ]
    for each in found["latencies"]:
        assert (each["requests"], each["failed"]) == (4, 0)
        seconds = each["latency_seconds"]
        assert 0 < seconds["p50"] <= seconds["p95"] <= seconds["p99"] <= seconds["maximum"]
    # Both retailers send 8 bytes for each of 80 numbers, and 6 in the smaller rounds.
    sent = [each["a_request"]["bytes_sent"] for each in found["latencies"]]
    assert sent[2] - sent[0] == pytest.approx(2 * 8 * (80 - 6), abs=64)


def test_a_wrong_sum_is_no_answer(
    coalition: Provisioned, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = ClearMatrix.to_bytes
    monkeypatch.setattr(
        ClearMatrix,
        "to_bytes",
        lambda matrix: real(ClearMatrix(matrix.plan, matrix.side, -matrix.values)),
    )
    assert run(coalition, "--items", "3", "--clients", "1", "--rates", "4") == 1
    assert capsys.readouterr().err == "error: a released sum is not that of the vectors\n"


def test_a_folder_without_kits_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert latency.main([str(tmp_path)]) == 1
    assert "holds no kits: expected what hecf provision made" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [("--items", "0"), ("--rates", "inf"), ("--seconds", "-1")])
def test_senseless_numbers_are_refused(wrong: tuple[str, str]) -> None:
    with pytest.raises(SystemExit):
        latency.main(["kits", *wrong])
