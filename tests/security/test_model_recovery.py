"""An item model out of the coefficients of an answer that were not asked for."""

from __future__ import annotations

import secrets

import numpy as np
from encryption import score_plan

from hecf.he.product.packing import ProductPacking
from hecf.privacy.attacks.model_recovery import experiment, one_item_row, share_found


def test_the_whole_answer_reveals_the_model_and_the_concealed_one_does_not() -> None:
    outcome = experiment(score_plan(inner=6, right_scale_bits=24), secrets.token_bytes)
    assert outcome.alive
    assert outcome.unprotected > 0.99
    assert not outcome.succeeded
    assert outcome.protected < 0.01


def test_the_share_found_is_that_of_factors_nobody_asked_for() -> None:
    plan = one_item_row(score_plan(inner=3))
    assert plan.packing == ProductPacking(1, 4, plan.parameters.ring_degree // 4)
    random = np.random.default_rng(1)
    items = random.standard_normal((3, plan.right))
    polynomial = np.zeros((plan.right, 4))
    polynomial[:, [3, 2, 1]] = items.T
    assert share_found(plan, polynomial.ravel(), items) == 1.0
    half = polynomial.copy()
    half[:, 2] += 1
    assert share_found(plan, half.ravel(), items) == 0.5
    # The factor that was asked for is the retailer's own score and counts for nothing.
    asked = np.zeros_like(polynomial)
    asked[:, 3] = items[0]
    assert share_found(plan, asked.ravel(), items) < 0.05
