"""`hecf plan`, `hecf bench` and calibration through the command line."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from encryption import parties
from typer.testing import CliRunner

from hecf.he.explain import explain
from hecf.he.messages import HEADER_BYTES
from hecf.he.parameters import MODULUS_BITS_128
from hecf.he.plan import OperandPlan
from hecf.he.product.planner import plan_gram, plan_score
from hecf.he.similar_rows import PACKED_BYTES, plan_similar_rows
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.summation.planner import plan_sum
from hecf.he.work import Calibration, Work, work
from parties import calibration, planning
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


def the_plan_of_a_sum(values: int = 3000) -> OperandPlan:
    return plan_sum(scheme="ckks", values=values, summands=2, value_bound=50.0, precision=1e-3)


def the_plan_of_a_gram(rows: int = 500) -> OperandPlan:
    return plan_gram(scheme="ckks", left=3, right=2, rows=rows, **STRENGTH)


def the_plan_of_a_similarity(left: int = 50) -> OperandPlan:
    return plan_similar_rows(scheme="ckks", inner=4, left=left, right=30, **STRENGTH)


def the_plan_of_a_score(items: int = 90) -> OperandPlan:
    return plan_score(
        scheme="ckks",
        factors=6,
        shoppers=40,
        items=items,
        retailers=2,
        operand_bound=50.0,
        **STRENGTH,
    )


STRENGTH = {"precision": 1e-3, "statistical_bits": 25, "releases": 4}
OPTIONS = "--precision 1e-3 --statistical-bits 25 --releases 4 --bound 50 --parties 2"


@pytest.mark.parametrize(
    ("operation", "sizes", "planner"),
    [
        ("sum", "--values 3000", the_plan_of_a_sum),
        ("gram", "--shoppers 500 --left 3 --right 2", the_plan_of_a_gram),
        ("similarity", "--factors 4 --left 50 --right 30", the_plan_of_a_similarity),
        ("score", "--left 6 --shoppers 40 --items 90", the_plan_of_a_score),
    ],
)
def test_a_run_encrypts_with_the_plan_that_was_printed(tmp_path, operation, sizes, planner):
    out = tmp_path / "plan.json"
    arguments = ["--operation", operation, *sizes.split(), *OPTIONS.split(), "--json", str(out)]
    printed = run("plan", *arguments)
    assert printed.exit_code == 0, printed.output
    found = json.loads(out.read_text())
    assert found["fingerprint"][:16] in printed.output
    plan = planner()
    encryptor, _, _ = parties(plan)
    for side in plan.encrypted_sides:
        zeros = np.zeros(plan.matrix_shape(side))
        message = encryptor.encrypt(encryptor.encode(plan, side, zeros)).to_bytes()
        assert message[8:HEADER_BYTES].hex() == found["fingerprint"]
        name = "upload" if operation == "sum" else side
        assert len(message) - HEADER_BYTES == found["bytes"][name]
    # One more of anything is another plan, with another fingerprint.
    size = next(iter(planner.__defaults__))
    assert planner(size + 1).fingerprint.hex() != found["fingerprint"]


def test_a_similarity_that_cannot_be_is_refused():
    refused = run("plan", "--operation", "similarity", "--precision", "1e-60")
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


RATES = Calibration(
    product=Work(encrypt=1.0, prepare=1.5, multiply=2.0, conceal=3.0, decrypt=4.0),
    similarity=Work(encrypt=5.0, prepare=5.5, multiply=6.0, conceal=7.0, decrypt=8.0),
    summation=Work(encrypt=9.0, prepare=9.5, multiply=10.0, conceal=11.0, decrypt=12.0),
)


@pytest.mark.parametrize(
    ("operation", "rates"),
    [
        ("gram", RATES.product),
        ("score", RATES.product),
        ("similarity", RATES.product),
        ("similarity --left 3000 --right 3000", RATES.similarity),
        ("sum", RATES.summation),
    ],
)
def test_a_stored_calibration_gives_seconds_of_its_operation(tmp_path, operation, rates):
    assert calibration.load() is None
    calibration.store(RATES)
    assert calibration.load() == RATES
    out = tmp_path / "plan.json"
    options = ["--precision", "1e-3", "--releases", "4", "--json", str(out)]
    result = run("plan", "--operation", *operation.split(), *options)
    assert result.exit_code == 0, result.output
    assert "expected seconds, key holder" in result.output
    found = json.loads(out.read_text())
    name, *_ = operation.split()
    sizes = {"left": 3000, "right": 3000} if "3000" in operation else {}
    plan = planning.plan(planning.Request(**{**DEFAULTS, **sizes, "operation": name}))
    assert plan.fingerprint.hex() == found["fingerprint"]
    units, seconds = work(plan), found["expected_seconds"]
    assert math.isclose(seconds["encrypt"], units.encrypt * rates.encrypt / 1e6)
    node = units.prepare * rates.prepare
    node += units.multiply * rates.multiply + units.conceal * rates.conceal
    assert math.isclose(seconds["node"], node / 1e6)
    assert math.isclose(seconds["key_holder"], units.decrypt * rates.decrypt / 1e6)


DEFAULTS = {
    "precision": 1e-3,
    "releases": 4,
    "statistical_bits": 30,
    "shoppers": 2467,
    "left": 32,
    "right": 32,
    "factors": 32,
    "items": 1000,
    "values": 65_536,
    "parties": 3,
    "bound": 1.0,
}


@pytest.mark.parametrize(
    "stored",
    [
        "{",
        "[]",
        "{}",
        '{"product": 1}',
        '{"encrypt": 1, "prepare": 1, "multiply": 1, "conceal": 1, "decrypt": 1}',
        json.dumps({**asdict(RATES), "summation": {**asdict(RATES.summation), "encrypt": -1}}),
        json.dumps({**asdict(RATES), "summation": {**asdict(RATES.summation), "encrypt": "1"}}),
    ],
)
def test_a_calibration_that_cannot_be_read_is_none(stored):
    calibration.store(RATES)
    calibration.path().write_text(stored)
    assert calibration.load() is None


def test_measured_rates_are_positive():
    measured = calibration.measure()
    for rates in (measured.product, measured.similarity, measured.summation):
        assert min(rates.encrypt, rates.multiply, rates.decrypt) > 0


def test_work_counts_every_word():
    sums = plan_sum(scheme="ckks", values=1000, summands=3, value_bound=1.0, precision=1e-3)
    words = sums.polynomials * 2 * sums.level * sums.parameters.ring_degree
    assert work(sums) == Work(
        encrypt=3 * words, prepare=0, multiply=3 * words, conceal=0, decrypt=words
    )
    gram = plan_gram(scheme="ckks", **REQUEST)
    packing, degree = gram.packing, gram.parameters.ring_degree
    left, right = packing.left_groups(16), packing.right_groups(8)
    blocks = packing.blocks(5000)
    assert work(gram).encrypt == (left + right) * blocks * 2 * gram.level * degree
    assert work(gram).multiply == 4 * left * right * blocks * degree * gram.level
    # What conceals is a pair of polynomials, also where a product of ciphertexts has three.
    results = left * right * degree * gram.level
    assert work(gram).conceal == 2 * results
    assert work(gram).decrypt == 2 * results + math.prod(gram.constant_shape)
    assert work(gram).prepare == 0
    score = the_plan_of_a_score()
    items, blocks = score.packing.right_groups(90), score.packing.blocks(6)
    words = items * blocks * score.parameters.ring_degree * score.level
    assert work(score).prepare == words
    assert work(score).decrypt == work(score).conceal + math.prod(score.constant_shape)


def test_few_similar_rows_are_packed_while_the_result_is_small():
    packed = the_plan_of_a_similarity(50)
    assert not isinstance(packed, SimilarityPlan)
    # A panel of the same rows has over a gigabyte in this ring.
    assert packed.result_bytes < 1 << 20
    sizes = [2**power for power in range(6, 20)]
    plans = [the_plan_of_a_similarity(size) for size in sizes]
    last = [isinstance(plan, SimilarityPlan) for plan in plans].index(True)
    assert last > 0
    assert all(plan.result_bytes <= PACKED_BYTES for plan in plans[:last])
    assert all(isinstance(plan, SimilarityPlan) for plan in plans[last:])


def test_work_of_a_similarity_grows_with_its_panels():
    large = the_plan_of_a_similarity(400_000)
    assert isinstance(large, SimilarityPlan)
    degree, level, blocks = large.parameters.ring_degree, large.level, large.blocks("left")
    assert blocks > 1
    assert work(large).conceal == level * degree * (400_000 + 30 * blocks)
    stacked = degree * blocks + 400_000
    assert work(large).decrypt == level * degree * (stacked + 30 * blocks)
    results = level * stacked * (degree + 30)
    # Four products and one reduction, which counts as 16 of them.
    assert work(large).multiply == (4 + 16) * results
    assert work(replace(large, concealed=False, releases=0)).conceal == 0


def test_unknown_job_is_refused():
    result = run("bench", "no-such-job")
    assert result.exit_code == 1
    assert "unknown job: got no-such-job, expected " in result.stderr
