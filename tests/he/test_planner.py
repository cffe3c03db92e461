from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from encryption import PARAMETERS, gram_plan, python_integers, score_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from hecf.errors import ParameterError
from hecf.he.parameters import MODULUS_BITS_128, ParameterSet, largest_primes
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.packing import ProductPacking
from hecf.he.product.plan import GRAM, SCORE, ProductPlan
from hecf.he.product.planner import plan_gram, plan_score

strengths = {"statistical_bits": st.integers(20, 50), "releases": st.integers(1, 1 << 16)}
precisions = st.integers(4, 24).map(lambda bits: 2.0**-bits)


def check_plan(plan: ProductPlan, precision: float) -> None:
    """What a plan promises, computed again with Python integers from its fields."""
    modulus = math.prod(plan.parameters.primes[: plan.level])
    assert plan.result_bound < modulus // 2
    assert plan.error_bound <= precision
    assert plan.flooding <= precision
    degree = plan.parameters.ring_degree
    chain = math.prod(plan.parameters.primes) * plan.parameters.special_prime
    assert chain.bit_length() <= MODULUS_BITS_128[degree]
    assert plan.packing.left * plan.packing.inner * plan.packing.right == degree
    sigma = math.sqrt(12 * plan.releases * 2.0**plan.statistical_bits)
    scale = 2.0 ** (plan.left_scale_bits + plan.right_scale_bits)
    revealed = math.sqrt(plan.packing.left * plan.packing.right)
    assert math.isclose(plan.flooding, sigma * revealed * plan.noise_bound / scale, rel_tol=1e-12)
    # The grid is between a half and a quarter of the noise.
    assert plan.flooding / 4 <= 2.0**-plan.grid_bits <= max(plan.flooding, 0.5)


def planned(
    planner: Callable[..., ProductPlan], precision: float, **request: Any
) -> ProductPlan | None:
    """A plan, or None if it was refused for the one good reason: its precision."""
    refusal = None
    try:
        return planner(precision=precision, **request)
    except ParameterError as error:
        refusal = error
    assert "no parameters of 128-bit security" in str(refusal)
    reached = float(str(refusal.got).split()[-1])
    assert reached > precision * 0.9
    return None


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 3_000_000),
    left=st.integers(1, 200),
    right=st.integers(1, 200),
    precision=precisions,
    **strengths,
)
def test_a_gram_plan_keeps_its_promises_or_is_refused(precision: float, **request: int) -> None:
    plan = planned(plan_gram, precision, scheme="ckks", **request)
    if plan is None:
        return
    check_plan(plan, precision)
    assert (plan.inner, plan.left, plan.right) == (
        request["rows"],
        request["left"],
        request["right"],
    )


@settings(max_examples=30, deadline=None)
@given(
    factors=st.integers(1, 300),
    shoppers=st.integers(1, 5_000),
    items=st.integers(1, 50_000),
    retailers=st.integers(1, 300),
    operand_bound=st.floats(1e-3, 1e3),
    precision=precisions,
    reuse=st.booleans(),
    **strengths,
)
def test_a_score_plan_keeps_its_promises_or_is_refused(
    precision: float, reuse: bool, **request: Any
) -> None:
    key = ParameterSet.with_data_primes(8192, 5) if reuse else None
    plan = planned(plan_score, precision, scheme="ckks", parameters=key, **request)
    if plan is None:
        return
    check_plan(plan, precision)
    assert plan.summands == request["retailers"]
    if key is not None:
        assert plan.parameters == key
        assert plan.primes == key.primes[: plan.level]


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (100, 4, 4), (3, 1, 20)])
def test_shapes_that_do_not_fill_a_ring_have_plans(shape: tuple[int, int, int]) -> None:
    rows, left, right = shape
    strength = {"statistical_bits": 30, "releases": 64}
    gram = plan_gram(
        scheme="ckks", rows=rows, left=left, right=right, precision=2.0**-12, **strength
    )
    score = plan_score(
        scheme="ckks",
        factors=rows,
        shoppers=left,
        items=right,
        retailers=2,
        operand_bound=1.0,
        precision=2.0**-12,
        parameters=gram.parameters,
        **strength,
    )
    for plan in (gram, score):
        check_plan(plan, 2.0**-12)
        assert plan.constant_shape[:2] == (1, 1)


def every_gram_plan(request: dict[str, Any]) -> Iterator[ProductPlan]:
    """All plans of one scale rule, found without the planner's own enumeration."""
    for degree in (4096, 8192, 16384):
        room = (MODULUS_BITS_128[degree] - 30) // 24
        for count in range(1, min(8, room) + 1):
            parameters = ParameterSet.with_data_primes(degree, count)
            bits = min((math.prod(parameters.primes).bit_length() - 3) // 2, 100)
            powers = [1 << bit for bit in range(15)]
            for m, u, n in product(powers, powers, powers):
                if m * u * n != degree:
                    continue
                try:
                    yield ProductPlan(
                        scheme="ckks",
                        operation=GRAM,
                        parameters=parameters,
                        level=count,
                        packing=ProductPacking(m, u, n),
                        left_scale_bits=bits,
                        right_scale_bits=bits,
                        summands=1,
                        operand_bound=1.0,
                        **request,
                    )
                except ParameterError:
                    continue


def moved(plan: ProductPlan) -> int:
    """Bytes of both uploads and of the result, from the shapes."""
    m, u, n = plan.packing.left, plan.packing.inner, plan.packing.right
    groups, others = -(-plan.left // m), -(-plan.right // n)
    ring = plan.level * plan.parameters.ring_degree * 3
    blocks = -(-plan.inner // u)
    constants = groups * others * plan.level * m * n * 3
    return 2 * blocks * (groups + others) * ring + constants + 2 * groups * others * ring


@pytest.mark.parametrize(
    ("rows", "left", "right", "precision"),
    [(2467, 32, 32, 2.0**-16), (300, 5, 9, 2.0**-10), (20_000, 8, 1, 2.0**-14), (7, 2, 2, 0.25)],
)
def test_the_cheapest_valid_plan_wins(rows: int, left: int, right: int, precision: float) -> None:
    request = {"inner": rows, "left": left, "right": right}
    strength = {"statistical_bits": 30, "releases": 4096}
    plan = plan_gram(
        scheme="ckks", rows=rows, left=left, right=right, precision=precision, **strength
    )
    valid = [
        other
        for other in every_gram_plan({**request, **strength})
        if max(other.flooding, other.error_bound) <= precision
    ]
    assert moved(plan) == min(moved(other) for other in valid)
    # The choice is not vacuous: others are valid and dearer.
    assert moved(plan) < max(moved(other) for other in valid)


def test_sizes_in_bytes_are_those_of_the_shapes() -> None:
    for plan in (gram_plan(), score_plan()):
        left = 3 * math.prod(plan.operand_shape(LEFT))
        assert plan.operand_bytes(LEFT) == left
        if plan.operation == GRAM:
            assert left + plan.operand_bytes(RIGHT) + plan.result_bytes == moved(plan)


GRAM_REQUEST: dict[str, Any] = {
    "scheme": "ckks",
    "rows": 100,
    "left": 4,
    "right": 4,
    "precision": 2.0**-10,
    "statistical_bits": 30,
    "releases": 64,
}
SCORE_REQUEST: dict[str, Any] = {
    "scheme": "ckks",
    "factors": 8,
    "shoppers": 10,
    "items": 30,
    "retailers": 2,
    "operand_bound": 1.0,
    "precision": 2.0**-10,
    "statistical_bits": 30,
    "releases": 64,
}


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": 1e-30},
        {"precision": math.nan},
        {"precision": 0.0},
        {"precision": -1.0},
        {"rows": 10**60},
        {"statistical_bits": 160},
        {"releases": 0},
        {"releases": -4},
        {"statistical_bits": 0},
        {"rows": 0},
        {"left": -1},
        {"scheme": "bfv"},
    ],
)
def test_gram_requests_that_cannot_be_met_are_refused(changes: dict[str, Any]) -> None:
    plan_gram(**GRAM_REQUEST)
    with pytest.raises(ParameterError):
        plan_gram(**{**GRAM_REQUEST, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": 1e-14},
        {"operand_bound": 1e30},
        {"operand_bound": math.inf},
        {"operand_bound": math.nan},
        {"operand_bound": -1.0},
        {"operand_bound": 0.0},
        {"retailers": 0},
        {"retailers": 10**25},
        {"factors": 0},
        {"items": 0},
        {"shoppers": 0},
        {"releases": 0},
        {"scheme": "none"},
        {"parameters": PARAMETERS},
    ],
)
def test_score_requests_that_cannot_be_met_are_refused(changes: dict[str, Any]) -> None:
    plan_score(**SCORE_REQUEST)
    with pytest.raises(ParameterError):
        plan_score(**{**SCORE_REQUEST, "precision": 2.0**-16, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"left_scale_bits": 38, "right_scale_bits": 38},
        {"left_scale_bits": 62},
        {"left_scale_bits": 0},
        {"right_scale_bits": -3},
        {"level": 0},
        {"level": 4},
        {"level": 2},
        {"packing": ProductPacking(2, 256, 4)},
        {"operation": "sum"},
        {"scheme": "seal"},
        {"summands": 2},
        {"summands": 0},
        {"operand_bound": 2.0},
        {"operand_bound": math.nan},
        {"inner": 0},
        {"releases": 0},
        {"statistical_bits": 0},
    ],
)
def test_a_gram_plan_that_could_overflow_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        gram_plan(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"operand_bound": 64.0},
        {"summands": 200},
        {"left_scale_bits": 49},
        {"right_scale_bits": 28},
        {"operand_bound": math.inf},
        {"operand_bound": -0.5},
    ],
)
def test_a_score_plan_that_could_overflow_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        score_plan(**changes)


def test_the_fingerprint_changes_with_every_field() -> None:
    for plan in (gram_plan(), score_plan()):
        other = PARAMETERS.primes[:2] + largest_primes(4096, 24, 5)[4:]
        changes: dict[str, Any] = {
            "scheme": "clear",
            "inner": plan.inner + 1,
            "left": plan.left + 1,
            "right": plan.right + 1,
            "parameters": replace(PARAMETERS, primes=other),
            "level": 2,
            "packing": ProductPacking(4, 64, 16),
            "left_scale_bits": 15,
            "right_scale_bits": 17,
            "statistical_bits": 31,
            "releases": 5,
        }
        short = replace(plan, left_scale_bits=16, right_scale_bits=16)
        if plan.operation == SCORE:
            changes |= {"summands": 3, "operand_bound": 0.75}
        found = {short.fingerprint} | {
            replace(short, **{name: value}).fingerprint for name, value in changes.items()
        }
        assert len(found) == len(changes) + 1
        missing = {field.name for field in fields(plan)} - set(changes)
        fixed = {"operation", "summands", "operand_bound"}
        assert missing == (fixed if plan.operation == GRAM else {"operation"})
    assert gram_plan().fingerprint == gram_plan().fingerprint
    # The operation alone tells a Gram block and a score of one shape apart.
    score = score_plan(summands=1, left_scale_bits=20, right_scale_bits=20)
    assert replace(score, operation=GRAM).fingerprint != score.fingerprint


@pytest.mark.parametrize("bits", [34, 10])
def test_the_noise_bound_of_a_gram_is_reached_by_the_worst_noise(bits: int) -> None:
    """Largest noise of every coefficient, aligned at the last position, where nothing wraps.

    With large scales the products of matrix and noise dominate, with small ones the squares.
    """
    plan = gram_plan(
        inner=1024,
        packing=ProductPacking(2, 512, 4),
        left_scale_bits=bits,
        right_scale_bits=bits,
    )
    fresh = plan.parameters.fresh_noise_bound
    even = np.full((plan.inner, 4), plan.inner**-0.5)
    left = int(python_integers(even[:, :2], plan.left_scale_bits).sum())
    right = int(python_integers(even[:, :4], plan.right_scale_bits).sum())
    squares = plan.packing.blocks(plan.inner) * 4096 * fresh**2
    noise = fresh * (left + right) + squares + plan.parameters.zero_noise_bound
    assert 0.9 * plan.noise_bound < noise <= plan.noise_bound


def test_the_noise_bound_of_scores_is_reached_by_the_worst_noise() -> None:
    score = score_plan()
    items = 1 << score.right_scale_bits
    worst = score.summands * PARAMETERS.fresh_noise_bound * score.packing.right * items
    assert 0.9 * score.noise_bound < worst + PARAMETERS.zero_noise_bound <= score.noise_bound


def test_the_result_bound_allows_for_the_slack_of_the_operand_checks() -> None:
    """The checks let a relative 1e-9 pass on either side, which must not wrap around."""
    plan, score = gram_plan(), score_plan()
    room = plan.result_bound - plan.rounding_bound - plan.noise_bound
    assert room >= (1 + Fraction(1, 10**9)) ** 2 * 2 ** (34 + 34)
    room = score.result_bound - score.rounding_bound - score.noise_bound
    # Two summands of at most 1, items of 1-norm at most 1, and a bias.
    assert room >= (2 * (1 + Fraction(1, 10**9)) ** 2 + 1) * 2 ** (44 + 22)


def test_clear_plans_add_no_noise() -> None:
    plan = gram_plan(scheme="clear")
    assert plan.flooding == 0
    assert plan.grid_bits == 40
