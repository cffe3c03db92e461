"""`hecf plan`, `hecf bench` and calibration through the command line."""

from __future__ import annotations

import json
import math

import pytest
from typer.testing import CliRunner

from hecf.he.explain import Calibration, explain, work
from hecf.he.parameters import MODULUS_BITS_128
from hecf.he.product.planner import plan_gram
from hecf.he.similarity.planner import plan_similarity
from hecf.he.summation.planner import plan_sum
from parties import calibration
from parties.cli import app

REQUEST = {
    "rows": 5000,
    "left": 16,
    "right": 8,
    "precision": 1e-5,
    "statistical_bits": 30,
    "releases": 64,
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_the_printed_plan_is_the_plan_that_a_run_uses(tmp_path):
    out = tmp_path / "plan.json"
    options = ["--shoppers", "5000", "--left", "16", "--right", "8", "--precision", "1e-5"]
    result = run("plan", "--operation", "gram", *options, "--releases", "64", "--json", str(out))
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    plan = plan_gram(scheme="ckks", **REQUEST)
    assert found["fingerprint"] == plan.fingerprint.hex()
    assert found["modulus_bits"] <= found["modulus_bits_allowed"]
    assert found["modulus_bits_allowed"] == MODULUS_BITS_128[found["ring_degree"]]
    assert found["bytes"]["result"] == plan.result_bytes
    assert "expected_seconds" not in found
    other = explain(plan_gram(scheme="ckks", **{**REQUEST, "rows": 5001}))
    assert other["fingerprint"] != found["fingerprint"]


SIMILARITY = ["plan", "--operation", "similarity", "--left", "500", "--right", "300"]


def test_the_printed_similarity_is_the_plan_that_encrypts(tmp_path):
    out = tmp_path / "plan.json"
    options = ["--factors", "8", "--precision", "1e-3", "--releases", "4"]
    assert run(*SIMILARITY, *options, "--json", str(out)).exit_code == 0
    found = json.loads(out.read_text())
    plan = plan_similarity(
        scheme="ckks",
        inner=8,
        left=500,
        right=300,
        precision=1e-3,
        encryption="public-key",
        releases=4,
    )
    assert found["fingerprint"] == plan.fingerprint.hex()
    assert found["bytes"]["result"] == plan.result_bytes
    assert found["flooding_deviation"] <= 1e-3
    refused = run(*SIMILARITY, "--precision", "1e-60")
    assert refused.exit_code == 1
    assert "got at best" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--operation", "gram", "--precision", "1e-40"], ["got at best", "expected at most"]),
        (
            ["--operation", "median"],
            ["unknown operation", "got median", "or similarity"],
        ),
        (["--operation", "sum", "--bound", "1e12"], ["do not fit a digit", "expected at most"]),
        (["--operation", "gram", "--releases", "0"], ["would not flood", "0 releases"]),
        (["--operation", "score", "--items", "0"], ["positive sizes"]),
    ],
)
def test_refusals_are_one_sentence(arguments, words):
    result = run("plan", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


def test_a_stored_calibration_gives_seconds(tmp_path):
    assert calibration.load() is None
    calibration.store(Calibration(encrypt=1.0, multiply=2.0, conceal=3.0, decrypt=4.0))
    out = tmp_path / "plan.json"
    assert run("plan", "--operation", "gram", "--json", str(out)).exit_code == 0
    seconds = json.loads(out.read_text())["expected_seconds"]
    plan = plan_gram(
        scheme="ckks",
        rows=2467,
        left=32,
        right=32,
        precision=2.0**-16,
        statistical_bits=30,
        releases=4096,
    )
    units = work(plan)
    assert math.isclose(seconds["encrypt"], units["encrypt"] / 1e6)
    assert math.isclose(seconds["node"], (2 * units["multiply"] + 3 * units["conceal"]) / 1e6)
    assert math.isclose(seconds["key_holder"], 4 * units["decrypt"] / 1e6)
    calibration.path().write_text("{")
    assert calibration.load() is None


def test_measured_rates_are_positive():
    measured = calibration.measure()
    assert min(measured.encrypt, measured.multiply, measured.decrypt) > 0


def test_work_counts_every_word():
    plan = plan_sum(scheme="ckks", values=1000, summands=3, value_bound=1.0, precision=1e-3)
    words = plan.polynomials * 2 * plan.level * plan.parameters.ring_degree
    assert work(plan) == {"encrypt": words, "multiply": 0.0, "conceal": 0.0, "decrypt": words}
    gram = plan_gram(scheme="ckks", **REQUEST)
    packing, degree = gram.packing, gram.parameters.ring_degree
    left, right = packing.left_groups(16), packing.right_groups(8)
    blocks = packing.blocks(5000)
    assert work(gram)["encrypt"] == (left + right) * blocks * 2 * gram.level * degree
    assert work(gram)["multiply"] == 4 * left * right * blocks * degree * gram.level


def test_unknown_job_is_refused():
    result = run("bench", "no-such-job")
    assert result.exit_code == 1
    assert "unknown job: got no-such-job, expected " in result.stderr
