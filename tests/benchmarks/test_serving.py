"""Scores and training rounds at services that are up: every answer checked, small runs."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import serving
from hecf.he.product.item_model import ItemModel

SMALL = ("--scheme", "clear", "--items", "30", "--factors", "9", "--clients", "2", "--seconds", "1")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The program takes signals as its own, which these tests must give back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def few_retailers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "RETAILERS", 3)


def test_scores_are_asked_for_with_cold_and_warm_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scores.json"
    assert serving.main(["scores", *SMALL, "--rates", "4", "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert json.loads(capsys.readouterr().out) == found
    assert [each["keys"] for each in found["latencies"]] == ["cold", "warm"]
    for each in found["latencies"]:
        assert (each["requests"], each["failed"]) == (4, 0)
        assert 0 < each["latency_seconds"]["p50"] <= each["latency_seconds"]["p99"]
        assert each["first_seconds"] > 0
        # Eight shoppers get 30 scores of 8 bytes.
        assert each["a_request"]["bytes_received"] > 8 * 30 * 8


def test_scores_of_another_catalogue_are_no_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = ItemModel.to_bytes
    monkeypatch.setattr(
        ItemModel, "to_bytes", lambda model, plan: honest(replace(model, bias=-model.bias), plan)
    )
    assert serving.main(["scores", *SMALL, "--rates", "2"]) == 1
    assert "error: scores are not those of the shoppers: got" in capsys.readouterr().err


def test_more_requests_than_pairs_of_retailers_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert serving.main(["scores", *SMALL, "--rates", "6"]) == 1
    expected = "error: too many requests fall due: got 7, expected at most 6\n"
    assert capsys.readouterr().err == expected


def test_training_rounds_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ("--shoppers", "50", "--retailers", "3", "--factors", "2", "--rounds", "1")
    assert serving.main(["training", *sizes, "--scheme", "clear"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["latencies"]
    assert (found["retailers"], found["requests"], found["failed"]) == (3, 1, 0)
    assert found["latency_seconds"]["p50"] > 0
    # Two operands for the left side and two for the right.
    operands = 4 * 50 * 2 * 8
    assert operands < found["a_request"]["bytes_sent"] < 4 * operands
