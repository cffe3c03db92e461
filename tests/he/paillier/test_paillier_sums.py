"""Sums of packed vectors are exact: Python's integers are the oracle."""

from __future__ import annotations

import secrets

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paillier_party import Party

from hecf.errors import InvalidInput, MalformedMessage, Mismatch, ParameterError
from hecf.he.paillier.packing import SlotPacking
from hecf.he.paillier.parameters import CLASSIC, SHORT, PaillierParameters
from hecf.he.paillier.plan import PaillierSumPlan, plan_paillier_sum
from hecf.he.paillier.slots import pack, unpack
from hecf.he.plan import LEFT, RIGHT
from hecf.he.scheme import scheme_by_name

SCHEME = scheme_by_name("paillier")


def planned(party: Party, values: int, summands: int, **changed: object) -> PaillierSumPlan:
    request: dict = {
        "values": values,
        "summands": summands,
        "value_bound": 1.0,
        "precision": 2.0**-12,
        "parameters": party.parameters,
    }
    return plan_paillier_sum(**{**request, **changed})


def run(party: Party, plan: PaillierSumPlan, vectors, weights=None):
    uploads = [party.encryptor.encrypt(party.encryptor.encode(plan, LEFT, v)) for v in vectors]
    operands = [SCHEME.operand(plan, LEFT, upload.to_bytes()) for upload in uploads]
    total = SCHEME.operand(plan, LEFT, party.evaluator.sum(operands, weights).to_bytes())
    return party.decryptor.decrypt_sum(plan, total).unwrap()


def rounded_sum(plan, vectors, weights):
    unit = 2**plan.fraction_bits
    return np.array(
        [
            sum(w * round(float(v[i]) * unit) for w, v in zip(weights, vectors, strict=True)) / unit
            for i in range(plan.values)
        ]
    )


@settings(max_examples=40, deadline=None)
@given(
    values=st.integers(1, 300),
    weights=st.lists(st.integers(-50, 50), min_size=1, max_size=5),
    bits=st.integers(1, 40),
    bound=st.floats(1e-3, 1e6),
    seed=st.integers(0, 2**32 - 1),
)
def test_sums_of_rounded_values_are_exact(small, values, weights, bits, bound, seed):
    total = max(len(weights), sum(map(abs, weights)))
    plan = planned(
        small,
        values,
        len(weights),
        weight_bound=total,
        precision=2.0**-bits,
        value_bound=bound,
    )
    vectors = np.random.default_rng(seed).uniform(-bound, bound, (len(weights), values))
    found = run(small, plan, vectors, weights)
    assert np.array_equal(found, rounded_sum(plan, vectors, weights))
    exact = np.array(weights) @ vectors
    # What float64 itself rounds away, in the sum or in its comparison, is no error of the plan.
    assert np.abs(found - exact).max() <= plan.error_bound + 2.0**-50 * total * bound


@settings(max_examples=60, deadline=None)
@given(
    bound=st.integers(1, 2**90),
    summands=st.integers(1, 1000),
    count=st.integers(1, 400),
    pattern=st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=40),
)
def test_the_bound_of_a_slot_cannot_be_broken(bound, summands, count, pattern):
    """The attack: every slot at plus or minus its largest sum, in any pattern of signs."""
    packing = SlotPacking(512, bound * summands)
    slots = min(count, packing.slots)
    numbers = [bound * summands * pattern[i % len(pattern)] for i in range(slots)]
    plaintext = sum(int(pack(packing, [v // summands for v in numbers])) for _ in range(summands))
    assert abs(plaintext) < 2**511 // 2
    assert unpack(packing, plaintext, slots) == numbers
    # What travels is the residue modulo n, and the sign comes back from it.
    n = 2**511 + 9
    residue = plaintext % n
    signed = residue - n if residue > n - 2 ** (slots * packing.slot_bits - 1) else residue
    assert signed == plaintext


def test_one_bit_less_would_break_it():
    packing = SlotPacking(512, 1000)
    over = [1 << (packing.slot_bits - 1), 0]
    assert unpack(packing, sum(v << (i * packing.slot_bits) for i, v in enumerate(over)), 2) != over
    assert packing.slots * packing.slot_bits <= 511 < (packing.slots + 1) * packing.slot_bits


@pytest.mark.parametrize("fill", [1.0, -1.0])
def test_extreme_values_do_not_cross_into_neighbours(small, fill):
    plan = planned(small, 500, 7)
    vectors = np.full((7, 500), fill)
    vectors[:, ::2] = -fill
    assert np.array_equal(run(small, plan, vectors), vectors.sum(axis=0))


def test_one_hot_contributions_show_who_was_counted(small):
    plan = planned(small, 10, 5)
    assert np.array_equal(run(small, plan, np.eye(10)[:5]), np.eye(10)[:5].sum(axis=0))
    doubled = run(small, planned(small, 10, 2), np.eye(10)[[0, 0]])
    assert not np.array_equal(doubled, np.eye(10)[:2].sum(axis=0))


def test_zero_weights_leave_a_fresh_zero(small):
    plan = planned(small, 30, 2)
    assert not run(small, plan, np.ones((2, 30)), [0, 0]).any()


def test_what_does_not_fit_is_refused_at_planning(small):
    with pytest.raises(ParameterError, match="not one number fits"):
        planned(small, 5, 1, weight_bound=2**520)
    with pytest.raises(ParameterError, match="64 bits"):
        planned(small, 5, 1, value_bound=2.0**60, precision=2.0**-10)
    for wrong in ({"value_bound": 0.0}, {"value_bound": np.inf}, {"precision": 0.0}):
        with pytest.raises(ParameterError):
            planned(small, 5, 1, **wrong)
    with pytest.raises(ParameterError):
        planned(small, 5, 3, weight_bound=2)
    with pytest.raises(ParameterError):
        planned(small, 0, 3)


def test_refusals(small):
    plan = planned(small, 10, 2)
    encryptor, evaluator = small.encryptor, small.evaluator
    good = encryptor.encrypt(encryptor.encode(plan, LEFT, np.zeros(10)))
    for bad in (np.full(10, 1.5), np.full(10, np.nan), np.zeros(11), np.zeros((10, 1))):
        with pytest.raises(InvalidInput):
            encryptor.encode(plan, LEFT, bad)
    with pytest.raises(Mismatch):
        encryptor.encode(plan, RIGHT, np.zeros(10))
    for operands, weights in (([good], None), ([], None), ([good, good], [2, 1])):
        with pytest.raises(Mismatch):
            evaluator.sum(operands, weights)
    other = planned(small, 10, 2, precision=2.0**-13)
    foreign = encryptor.encrypt(encryptor.encode(other, LEFT, np.zeros(10)))
    with pytest.raises(Mismatch):
        evaluator.sum([good, foreign])
    with pytest.raises(Mismatch):
        small.decryptor.decrypt_sum(plan, foreign)
    # Another exponent of the same values is another plan.
    with pytest.raises(Mismatch, match="fingerprint"):
        SCHEME.operand(other, LEFT, good.to_bytes())
    ckks = scheme_by_name("ckks").plan_sum(values=3, summands=2, value_bound=1.0, precision=0.1)
    with pytest.raises(Mismatch, match="another scheme"):
        encryptor.encode(ckks, LEFT, np.zeros(3))


def test_another_key_does_not_decrypt_or_add(small):
    plan = planned(small, 10, 1)
    other = Party.draw(small.parameters)
    batch = other.encryptor.encrypt(other.encryptor.encode(plan, LEFT, np.zeros(10)))
    with pytest.raises(Mismatch, match="another key"):
        small.evaluator.sum([batch])
    with pytest.raises(Mismatch, match="another key"):
        small.decryptor.decrypt_sum(plan, batch)


def test_a_decryption_beyond_its_slots_is_refused(small):
    """A sender that packs more than agreed is found out, not decoded."""
    plan = planned(small, 3, 1)
    n, square = small.public.n, small.public.n_squared
    wide = (1 + (1 << 400) * n) * small.randomiser.take(1)[0] % square
    batch = small.encryptor.encrypt(small.encryptor.encode(plan, LEFT, np.zeros(3)))
    forged = type(batch)(plan, small.public.fingerprint, wide.to_bytes(128, "little"))
    with pytest.raises(MalformedMessage, match="exceeds its slots"):
        small.decryptor.decrypt_sum(plan, forged)


@pytest.mark.parametrize("randomness", [CLASSIC, SHORT])
def test_other_randomness_decrypts_alike(randomness):
    party = Party.draw(PaillierParameters.insecure_for_tests(512, randomness))
    plan = planned(party, 40, 2)
    vectors = np.random.default_rng(4).uniform(-1, 1, (2, 40))
    assert np.array_equal(run(party, plan, vectors), rounded_sum(plan, vectors, [1, 1]))


def test_the_interface_of_schemes_sums_with_a_key_of_full_size(large):
    plan = SCHEME.plan_sum(values=300, summands=3, value_bound=50.0, precision=0.5)
    assert plan.parameters == large.parameters
    SCHEME.check_public_key(plan.parameters, large.public.to_bytes())
    counts = np.random.default_rng(5).integers(0, 51, (3, 300)).astype(float)
    assert np.array_equal(run(large, plan, counts), counts.sum(axis=0))
    evaluator = SCHEME.evaluator(plan.parameters, large.public.to_bytes(), secrets.token_bytes)
    assert isinstance(evaluator, type(large.evaluator))
