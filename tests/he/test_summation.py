"""Encrypted sums are exact: NumPy integers are the oracle."""

from __future__ import annotations

import math
import secrets

import numpy as np
import pytest
import tenseal.sealapi as sealapi
from encryption import keys_for
from hypothesis import given, settings
from hypothesis import strategies as st
from seal_oracle import seal_ciphertext

from hecf.errors import InvalidInput, MalformedMessage, Mismatch, ParameterError
from hecf.he.parameters import ParameterSet
from hecf.he.plan import LEFT
from hecf.he.scheme import scheme_by_name
from hecf.he.seal import SealContext, _saved
from hecf.he.summation.plan import SumPlan
from hecf.he.summation.planner import plan_sum

PARAMETERS = ParameterSet.with_data_primes(4096, 3)


@pytest.fixture(scope="module", params=["ckks", "clear"])
def party(request):
    scheme = scheme_by_name(request.param)
    secret, public = scheme.generate_keys(PARAMETERS)
    return (
        scheme,
        scheme.encryptor(PARAMETERS, public),
        scheme.evaluator(PARAMETERS, public, secrets.token_bytes),
        scheme.decryptor(secret),
    )


def planned(scheme, values, summands, *, bound=1.0, precision=2.0**-12, weights=None):
    return plan_sum(
        scheme=scheme.name,
        values=values,
        summands=summands,
        value_bound=bound,
        precision=precision,
        weight_bound=weights,
        parameters=PARAMETERS,
    )


def run(party, plan, vectors, weights=None):
    scheme, encryptor, evaluator, decryptor = party
    operands = [
        scheme.operand(plan, LEFT, encryptor.encrypt(encryptor.encode(plan, LEFT, v)).to_bytes())
        for v in vectors
    ]
    total = scheme.operand(plan, LEFT, evaluator.sum(operands, weights).to_bytes())
    return decryptor.decrypt_sum(plan, total).unwrap()


def rounded_sum(plan, vectors, weights):
    """Oracle: Python integers, one value at a time."""
    unit = 2**plan.fraction_bits
    return np.array(
        [
            sum(w * round(float(v[i]) * unit) for w, v in zip(weights, vectors, strict=True)) / unit
            for i in range(plan.values)
        ]
    )


@settings(max_examples=12, deadline=None)
@given(
    values=st.integers(1, 9000),
    summands=st.integers(1, 5),
    bits=st.integers(2, 16),
    seed=st.integers(0, 2**32 - 1),
)
def test_sum_of_rounded_values_is_exact(party, values, summands, bits, seed):
    plan = planned(party[0], values, summands, precision=2.0**-bits)
    vectors = np.random.default_rng(seed).uniform(-1, 1, (summands, values))
    found = run(party, plan, vectors)
    assert np.array_equal(found, rounded_sum(plan, vectors, [1] * summands))
    assert np.abs(found - vectors.sum(axis=0)).max() <= plan.error_bound * (1 + 1e-12)


@pytest.mark.parametrize("fill", [1.0, -1.0])
def test_extreme_values_do_not_cross_into_neighbours(party, fill):
    plan = planned(party[0], 8192, 7)
    vectors = np.full((7, 8192), fill)
    vectors[:, ::2] = -fill
    assert np.array_equal(run(party, plan, vectors), vectors.sum(axis=0))


def test_one_hot_contributions_show_who_was_counted(party):
    plan = planned(party[0], 10, 5)
    assert np.array_equal(run(party, plan, np.eye(10)[:5]), np.eye(10)[:5].sum(axis=0))


def test_weights_may_be_negative_and_zero(party):
    plan = planned(party[0], 50, 3, weights=1000)
    vectors = np.random.default_rng(3).uniform(-1, 1, (3, 50))
    weights = [600, -400, 0]
    assert np.array_equal(run(party, plan, vectors, weights), rounded_sum(plan, vectors, weights))


def test_a_missing_or_doubled_contribution_changes_the_result(party):
    plan = planned(party[0], 10, 2)
    once = run(party, plan, np.eye(10)[:2])
    doubled = run(party, plan, np.eye(10)[[0, 0]])
    assert not np.array_equal(once, doubled)


def test_refusals(party):
    scheme, encryptor, evaluator, _ = party
    plan = planned(scheme, 10, 2)
    good = encryptor.encrypt(encryptor.encode(plan, LEFT, np.zeros(10)))
    for bad in (np.full(10, 1.5), np.full(10, np.nan), np.zeros(11), np.zeros((10, 1))):
        with pytest.raises(InvalidInput):
            encryptor.encode(plan, LEFT, bad)
    with pytest.raises(Mismatch):
        evaluator.sum([good])
    with pytest.raises(Mismatch):
        evaluator.sum([])
    with pytest.raises(Mismatch):
        evaluator.sum([good, good], [2, 1])
    other = planned(scheme, 11, 2)
    with pytest.raises(Mismatch):
        evaluator.sum([good, encryptor.encrypt(encryptor.encode(other, LEFT, np.zeros(11)))])
    with pytest.raises(MalformedMessage):
        scheme.operand(plan, LEFT, good.to_bytes()[:-1])
    with pytest.raises(Mismatch):
        scheme.operand(other, LEFT, good.to_bytes())


def test_a_sum_has_the_words_that_seals_evaluator_adds_up():
    scheme = scheme_by_name("ckks")
    _, public = keys_for(PARAMETERS)
    plan = planned(scheme, 9_000, 3, weights=4)
    encryptor = scheme.encryptor(PARAMETERS, public.to_bytes())
    evaluator = scheme.evaluator(PARAMETERS, public.to_bytes(), secrets.token_bytes)
    random = np.random.default_rng(8)
    vectors = random.uniform(-1, 1, (3, 9_000))
    operands = [encryptor.encrypt(encryptor.encode(plan, LEFT, vector)) for vector in vectors]
    # SEAL has no weights: what counts twice is added twice, and what counts negatively subtracted.
    total = evaluator.sum(operands, [2, 1, -1])
    context = SealContext(PARAMETERS)
    seal = sealapi.Evaluator(context._context)
    for polynomial in range(plan.polynomials):
        a, b, c = (seal_ciphertext(context, each.words[0, polynomial]) for each in operands)
        for other in (a, b):
            added = sealapi.Ciphertext()
            seal.add(a, other, added)
            a = added
        result = sealapi.Ciphertext()
        seal.sub(a, c, result)
        words = context._ciphertext_words(_saved(result.save))
        assert np.array_equal(words, total.words[0, polynomial].astype(np.uint64))
    # One weight less gives other words.
    fewer = evaluator.sum(operands, [1, 1, -1])
    assert not np.array_equal(fewer.words, total.words)


def test_another_key_opens_garbage_and_another_parameter_set_nothing():
    scheme = scheme_by_name("ckks")
    _, public = keys_for(PARAMETERS)
    plan = planned(scheme, 500, 2)
    encryptor = scheme.encryptor(PARAMETERS, public.to_bytes())
    evaluator = scheme.evaluator(PARAMETERS, public.to_bytes(), secrets.token_bytes)
    ones = encryptor.encrypt(encryptor.encode(plan, LEFT, np.ones(500)))
    total = evaluator.sum([ones, ones])
    stranger, _ = scheme.generate_keys(PARAMETERS)
    found = scheme.decryptor(stranger).decrypt_sum(plan, total).unwrap()
    assert np.mean(np.abs(found - 2) < 2**-10) < 0.05
    other, _ = keys_for(ParameterSet.with_data_primes(4096, 2))
    with pytest.raises(Mismatch, match="other parameters"):
        scheme.decryptor(other).decrypt_sum(plan, total)


def test_a_plan_without_room_is_refused():
    with pytest.raises(ParameterError, match="do not fit a digit"):
        plan_sum(
            scheme="ckks",
            values=4,
            summands=2,
            value_bound=1e6,
            precision=1e-9,
            parameters=PARAMETERS,
        )
    with pytest.raises(ParameterError):
        SumPlan(
            scheme="ckks",
            values=4,
            summands=2,
            weight_bound=1,
            value_bound=1.0,
            fraction_bits=10,
            parameters=PARAMETERS,
            level=3,
        )


@settings(max_examples=60, deadline=None)
@given(
    values=st.integers(1, 10**6),
    summands=st.integers(1, 64),
    bits=st.integers(1, 24),
    bound=st.floats(1e-3, 60.0),
)
def test_plans_leave_no_room_for_a_carry(values, summands, bits, bound):
    plan = plan_sum(
        scheme="ckks", values=values, summands=summands, value_bound=bound, precision=2.0**-bits
    )
    assert plan.noise_bound < 2 ** (plan.noise_bits - 1)
    assert plan.sum_bound < 2 ** (plan.digit_bits - 1)
    top = sum(plan.sum_bound << (plan.noise_bits + j * plan.digit_bits) for j in range(plan.digits))
    assert top + plan.noise_bound < plan.modulus // 2
    assert plan.polynomials * plan.digits * plan.parameters.ring_degree >= values
    assert math.isclose(plan.error_bound, summands * 0.5**plan.fraction_bits / 2)
