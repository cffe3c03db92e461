"""Growth with the work: every point is right, and what the planner promises is of its own plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import growth
from benchmarks.costs import PARTIES, Training
from hecf.he.work import Calibration, Work
from parties import calibration
from parties.cli import app

RATES = Calibration(
    product=Work(encrypt=0.1, prepare=0.02, multiply=0.003, conceal=0.05, decrypt=0.07),
    similarity=Work(encrypt=0.1, prepare=0.0, multiply=0.001, conceal=0.05, decrypt=0.02),
    summation=Work(encrypt=0.1, prepare=0.0, multiply=0.001, conceal=0.0, decrypt=0.07),
)


@pytest.fixture(autouse=True)
def calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "measure", lambda: RATES)


@pytest.mark.parametrize("curve", growth.CURVES, ids=lambda curve: curve.name)
def test_every_point_is_right_and_moves_the_planned_bytes(curve: growth.Curve) -> None:
    small, large = (growth.point(curve, size, RATES) for size in curve.quick_sizes)
    for found in (small, large):
        assert found["error"] < 1e-3
        assert found["bytes"] == found["promised_bytes"]
        assert set(found["seconds"]) == set(found["promised_seconds"]) == set(PARTIES)
        assert min(found["seconds"].values()) > 0
    # The promise is of each size, and a plan of one does not pass for the other.
    assert sum(large["promised_bytes"].values()) > sum(small["promised_bytes"].values())
    assert sum(large["promised_seconds"].values()) > sum(small["promised_seconds"].values())


def test_a_training_promises_every_upload_and_every_pair() -> None:
    promise = Training(shoppers=100, factors=2, retailers=4).promise
    once = RATES.seconds(promise.plan)
    assert promise.seconds(RATES) == {
        "encrypt": 3 * once["encrypt"],
        "node": 6 * once["node"],
        "key_holder": 6 * once["key_holder"],
    }


def test_the_command_measures_in_processes_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    curves = tuple(curve for curve in growth.CURVES if curve.name == "sum")
    monkeypatch.setattr(growth, "CURVES", curves)
    path = tmp_path / "growth.json"
    done = CliRunner().invoke(app, ["bench", "growth", "--quick", "--json", str(path)])
    assert done.exit_code == 0, done.output
    assert "3 retailers" in done.output
    (curve,) = json.loads(path.read_text())["growth"]
    # A new process first reads the key and makes SEAL's contexts.
    assert all(point["peak_bytes"] > 1 << 20 for point in curve["points"])
    page = CliRunner().invoke(app, ["report", str(path)])
    assert page.exit_code == 0, page.output
    text = path.with_suffix(".html").read_text()
    assert "Sum by retailers: 65,536 values" in text
    assert "Chart of seconds by retailers for sum." in text
