"""Plans and planner of a similarity, and operands that do not fit one."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from encryption import OWN, keys_for, similarity_plan
from hypothesis import given, settings
from hypothesis import strategies as st
from similarity_samples import (
    encrypted,
    evaluator,
    raw_words,
    toy_plan,
)

from hecf.errors import (
    InvalidInput,
    Mismatch,
    ParameterError,
)
from hecf.he.parameters import MODULUS_BITS_128, ParameterSet
from hecf.he.plan import LEFT, RIGHT
from hecf.he.similarity.encryptor import SecretRowEncryptor
from hecf.he.similarity.plan import PUBLIC_KEY, SECRET_KEY
from hecf.he.similarity.planner import plan_similarity

# Plans


def test_plans_say_no_to_what_they_cannot_hold() -> None:
    plan = similarity_plan()
    wrong: list[dict[str, Any]] = [
        {"left_scale_bits": 24},
        {"left_scale_bits": 0},
        {"level": 0},
        {"level": 3},
        {"inner": 0},
        {"scheme": "none"},
        {"encryption": "none"},
        {"encryption": PUBLIC_KEY},
        {"releases": -1},
        {"statistical_bits": 0},
        {"releases": 1},
    ]
    for changes in wrong:
        with pytest.raises(ParameterError):
            replace(plan, **changes)


def test_every_field_is_in_the_fingerprint() -> None:
    plan = similarity_plan(releases=1, concealed=True, left_scale_bits=20, right_scale_bits=20)
    changes: list[dict[str, Any]] = [
        {"scheme": "clear"},
        {"inner": 7},
        {"left": 41},
        {"right": 31},
        {"parameters": ParameterSet.with_data_primes(2048, 2, special=False)},
        {"left_scale_bits": 19},
        {"right_scale_bits": 19},
        {"releases": 2},
        {"statistical_bits": 31},
        {"releases": 0},
        {"releases": 0, "concealed": False},
    ]
    prints = {replace(plan, **change).fingerprint for change in changes} | {plan.fingerprint}
    assert len(prints) == len(changes) + 1
    wide = ParameterSet.with_data_primes(4096, 3)
    chosen = replace(plan, parameters=wide)
    others = [replace(chosen, level=3), replace(chosen, encryption=PUBLIC_KEY)]
    assert len({chosen.fingerprint, *(other.fingerprint for other in others)}) == 3


@settings(max_examples=30, deadline=None)
@given(
    inner=st.integers(1, 5000),
    left=st.integers(1, 10**6),
    precision=st.sampled_from([0.5, 1e-2, 1e-4]),
    encryption=st.sampled_from([SECRET_KEY, PUBLIC_KEY]),
    releases=st.sampled_from([0, 1, 1024]),
)
def test_a_plan_reaches_its_precision_within_the_security_table(
    inner: int, left: int, precision: float, encryption: str, releases: int
) -> None:
    plan = plan_similarity(
        scheme="ckks",
        inner=inner,
        left=left,
        right=50,
        precision=precision,
        encryption=encryption,
        releases=releases,
    )
    assert plan.error_bound <= precision
    assert plan.flooding <= precision
    assert (plan.flooding > 0) == plan.concealed == (releases > 0)
    assert plan.parameters.modulus_bits <= MODULUS_BITS_128[plan.parameters.ring_degree]
    assert 2 * plan.result_bound < plan.modulus
    assert (plan.parameters.special_prime is not None) == (encryption == PUBLIC_KEY)


def test_the_planner_refuses_the_impossible_and_keeps_to_a_key() -> None:
    with pytest.raises(ParameterError, match="128-bit"):
        plan_similarity(scheme="ckks", inner=4, left=5, right=6, precision=1e-90)
    plan = plan_similarity(scheme="ckks", inner=4, left=5, right=6, precision=1e-3, parameters=OWN)
    assert plan.parameters is OWN
    with pytest.raises(ParameterError):
        plan_similarity(scheme="ckks", inner=4, left=5, right=6, precision=1e-9, parameters=OWN)


def test_bytes_are_what_the_plan_says() -> None:
    plan = toy_plan(3, 1030, 4)
    left, right = raw_words(plan, 3)
    assert len(left.to_bytes()) == 40 + plan.operand_bytes(LEFT)
    assert len(right.to_bytes()) == 40 + plan.operand_bytes(RIGHT)
    tiles = list(evaluator(plan).evaluate(left, right))
    assert sum(len(tile.to_bytes()) - 56 for tile in tiles) == plan.result_bytes


@pytest.mark.parametrize(
    "matrix",
    [np.zeros((40, 5)), np.full((40, 6), np.nan), np.full((40, 6), 0.41), np.full((40, 6), 1e200)],
)
def test_rows_that_a_plan_does_not_cover_are_refused(matrix: np.ndarray) -> None:
    with pytest.raises(InvalidInput):
        encrypted(similarity_plan(), matrix, np.zeros((30, 6)))


def test_encryptors_refuse_plans_of_others() -> None:
    plan = similarity_plan()
    secret, _ = keys_for(OWN)
    encryptor = SecretRowEncryptor(secret, secrets.token_bytes)
    wide = ParameterSet.with_data_primes(4096, 3)
    for other in (
        replace(plan, scheme="clear"),
        toy_plan(6, 40, 30),
        replace(plan, parameters=wide, encryption=PUBLIC_KEY),
    ):
        with pytest.raises(Mismatch):
            encryptor.encrypt(other, LEFT, np.zeros((40, 6)))
