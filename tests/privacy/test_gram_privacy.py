"""Sensitivities are reached and never exceeded (C22), and released blocks carry the noise (C12)."""

from __future__ import annotations

import math
import secrets
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from encryption import gram_plan

from hecf.errors import InvalidInput, ReleaseRefused
from hecf.he.keys import Decrypted
from hecf.he.product.plan import ProductPlan
from hecf.he.product.planner import plan_gram
from hecf.models.denoising import consistent_blocks, shrunk_block
from hecf.privacy.policy import GramPrivacy, ReleasePolicy
from hecf.privacy.release import ReleaseGate
from hecf.privacy.sensitivity import (
    block_sensitivity,
    blocks_sensitivity,
    clipped_rows,
    joint_bound,
    moment_sensitivity,
)

BOUND, FACTORS, PAIRS = 0.7, 3, 100_000


def shopper(seed: int, retailers: int) -> np.ndarray:
    """Rows of many shoppers, (shoppers, retailers, factors), clipped; some short, some long."""
    random = np.random.default_rng(seed)
    rows = random.standard_normal((PAIRS * retailers, FACTORS))
    rows *= random.lognormal(sigma=2, size=(len(rows), 1))
    return clipped_rows(rows, BOUND).reshape(PAIRS, retailers, FACTORS)


def change_of_blocks(rows: np.ndarray) -> np.ndarray:
    """Frobenius norm of what each shopper adds to all blocks together, by their definition."""
    pairs = combinations(range(rows.shape[1]), 2)
    return np.sqrt(
        sum(
            (np.einsum("ni,nj->nij", rows[:, r], rows[:, s]) ** 2).sum(axis=(1, 2))
            for r, s in pairs
        )
    )


@pytest.mark.parametrize("retailers", [2, 3, 5])
def test_blocks_move_by_their_sensitivity_at_most(retailers: int) -> None:
    sensitivity = blocks_sensitivity(BOUND, retailers)
    moved = change_of_blocks(shopper(retailers, retailers))
    assert moved.max() <= sensitivity * (1 + 1e-12)
    # The adversarial pair: rows of the largest norm everywhere reach it.
    extreme = np.zeros((1, retailers, FACTORS))
    extreme[..., 0] = BOUND
    assert change_of_blocks(extreme)[0] >= 0.99 * sensitivity
    # The control: a bound for one block alone would be exceeded by three retailers.
    if retailers > 2:
        assert change_of_blocks(extreme)[0] > 1.5 * block_sensitivity(BOUND)
    # Jointly clipped, all retailers together move less than one block of the whole bound.
    joint = joint_bound(BOUND, retailers)
    assert blocks_sensitivity(joint, retailers) < block_sensitivity(BOUND) / math.sqrt(2)


@pytest.mark.parametrize("retailers", [2, 3, 5])
def test_jointly_clipped_blocks_move_by_their_sensitivity_at_most(retailers: int) -> None:
    plan = PLANS["clear"]
    agreed, apart = private(retailers=retailers, joint=True), private(retailers=retailers)
    bound, sensitivity = agreed.row_bound(plan.left, plan.inner), agreed.sensitivity(plan)
    whole = apart.row_bound(plan.left, plan.inner)
    assert bound == pytest.approx(whole / math.sqrt(retailers))
    rows = shopper(retailers, retailers).reshape(-1, FACTORS)
    clipped = clipped_rows(rows, bound).reshape(PAIRS, retailers, FACTORS)
    # All rows of a shopper together stay in the whole bound.
    assert np.linalg.norm(clipped, axis=(1, 2)).max() <= whole * (1 + 1e-12)
    assert change_of_blocks(clipped).max() <= sensitivity * (1 + 1e-12)
    extreme = np.zeros((1, retailers, FACTORS))
    extreme[..., 0] = bound
    assert change_of_blocks(extreme)[0] >= 0.99 * sensitivity
    # The control: rows that are clipped apart exceed it.
    assert change_of_blocks(extreme * math.sqrt(retailers))[0] > 1.9 * sensitivity
    assert sensitivity == pytest.approx(apart.sensitivity(plan) / retailers)


def test_moments_move_by_theirs_when_a_row_is_added_or_replaced() -> None:
    first, second = shopper(1, 1)[:, 0], shopper(2, 1)[:, 0]

    def moments(rows: np.ndarray) -> np.ndarray:
        return np.einsum("ni,nj->nij", rows, rows)

    added = np.sqrt((moments(first) ** 2).sum(axis=(1, 2)))
    replaced = np.sqrt(((moments(first) - moments(second)) ** 2).sum(axis=(1, 2)))
    assert added.max() <= moment_sensitivity(BOUND) * (1 + 1e-12)
    assert replaced.max() <= moment_sensitivity(BOUND, replaced=True) * (1 + 1e-12)
    one, other = np.eye(3)[:1] * BOUND, np.eye(3)[1:2] * BOUND
    assert np.linalg.norm(moments(one)) >= 0.99 * moment_sensitivity(BOUND)
    difference = np.linalg.norm(moments(one) - moments(other))
    assert difference >= 0.99 * moment_sensitivity(BOUND, replaced=True)


def test_clipping_shortens_and_turns_nothing() -> None:
    rows = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    clipped = clipped_rows(rows, 1.0)
    np.testing.assert_allclose(clipped, [[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]])
    for bound in (0.0, math.nan, math.inf):
        with pytest.raises(InvalidInput, match="cannot be clipped"):
            clipped_rows(rows, bound)
    with pytest.raises(InvalidInput, match="cannot be clipped"):
        clipped_rows(np.array([[math.nan]]), 1.0)


def private(**changes: Any) -> GramPrivacy:
    content = {"epsilon": 2.0, "delta": 1e-6, "clip": 1.5, "noise_multiplier": 1.7, "retailers": 4}
    return GramPrivacy(**(content | changes))


PLANS: dict[str, ProductPlan] = {
    scheme: plan_gram(
        scheme=scheme,
        rows=20_000,
        left=64,
        right=64,
        precision=2.0**-18,
        statistical_bits=30,
        releases=64,
    )
    for scheme in ("clear", "ckks")
}


def released(plan: ProductPlan, exact: np.ndarray, agreed: GramPrivacy | None) -> np.ndarray:
    gate = ReleaseGate(ReleasePolicy(100, 5, gram_privacy=agreed), secrets.token_bytes)
    return np.stack([gate.gram(Decrypted(plan, exact)) for _ in range(6)])


@pytest.mark.parametrize("scheme", ["clear", "ckks"])
def test_released_blocks_carry_the_configured_noise(scheme: str) -> None:
    plan, agreed = PLANS[scheme], private()
    exact = np.random.default_rng(3).uniform(-0.1, 0.1, (64, 64))
    noise = released(plan, exact, agreed) - exact
    expected = math.hypot(agreed.deviation(plan), plan.flooding)
    assert abs(noise.std() / expected - 1) < 0.05
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.08
    # By hand: c = 1.5 sqrt(64 / 20000), six blocks, 1.7 times their joint sensitivity; up to a few
    # hundredths for rounding.
    by_hand = 1.7 * (1.5**2 * 64 / 20_000) * math.sqrt(6)
    assert by_hand < agreed.deviation(plan) < 1.05 * by_hand
    steps = released(plan, exact, agreed) * 2.0 ** agreed.grid_bits(plan)
    assert np.array_equal(steps, np.rint(steps))
    # The control: without agreed privacy there is far less.
    assert (released(plan, exact, None) - exact).std() < 0.01 * expected


def test_encrypted_and_clear_twin_have_the_same_noise() -> None:
    one, other = private().deviation(PLANS["clear"]), private().deviation(PLANS["ckks"])
    assert abs(one / other - 1) < 1e-3
    assert PLANS["ckks"].flooding < 0.01 * other


def test_weak_promises_are_refused() -> None:
    for change in (
        {"epsilon": 0.0},
        {"delta": 0.0},
        {"delta": 1.0},
        {"clip": -1.0},
        {"noise_multiplier": math.inf},
        {"retailers": 1},
        {"retailers": math.nan},
        {"epsilon": math.nan},
        {"clip": math.nan},
        {"noise_multiplier": math.nan},
    ):
        with pytest.raises(ReleaseRefused, match="differential privacy is out of range"):
            private(**change)
    agreed = private()
    wider = agreed.deviation(gram_plan(inner=70, left=4, right=4))
    assert wider > agreed.deviation(gram_plan(inner=700, left=4, right=4))


def low_rank(seed: int, factors: int = 16) -> np.ndarray:
    random = np.random.default_rng(seed)
    left, right = (np.linalg.qr(random.standard_normal((factors, factors)))[0] for _ in range(2))
    return (left[:, :3] * [0.9, 0.6, 0.4]) @ right[:3]


def test_shrinking_brings_a_noisy_block_nearer_and_leaves_nothing_of_noise() -> None:
    random, deviation = np.random.default_rng(4), 0.05
    errors = []
    for seed in range(20):
        exact = low_rank(seed)
        noisy = exact + deviation * random.standard_normal(exact.shape)
        errors.append(
            (
                np.linalg.norm(shrunk_block(noisy, deviation) - exact),
                np.linalg.norm(noisy - exact),
            )
        )
    shrunk, raw = np.mean(errors, axis=0)
    assert shrunk < 0.75 * raw
    nothing = deviation * random.standard_normal((16, 16))
    assert np.linalg.norm(shrunk_block(nothing, 1.2 * deviation)) < 1e-12
    assert np.array_equal(shrunk_block(noisy, 0.0), noisy)
    # Noise in which no singular value up to 1 could be seen leaves nothing, whatever was drawn.
    assert not shrunk_block(100 * noisy, 0.3).any()
    assert np.linalg.svd(shrunk_block(100 * noisy, 0.2))[1].max() <= 1 + 1e-12
    with pytest.raises(InvalidInput):
        shrunk_block(noisy, -1.0)


def joint(blocks: dict[tuple[str, str], np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    size = next(iter(blocks.values())).shape[0]
    return np.block(
        [
            [
                blocks[r, s] if (r, s) in blocks else blocks[s, r].T if r != s else np.eye(size)
                for s in names
            ]
            for r in names
        ]
    )


def test_blocks_that_contradict_each_other_become_a_gram_matrix() -> None:
    names = ("alder", "birch", "cedar")
    random = np.random.default_rng(5)
    noisy = {pair: 0.4 * random.standard_normal((8, 8)) for pair in combinations(names, 2)}
    assert np.linalg.eigvalsh(joint(noisy, names))[0] < -0.1
    repaired = consistent_blocks(noisy, names)
    assert repaired.keys() == noisy.keys()
    assert np.linalg.eigvalsh(joint(repaired, names))[0] > -1e-12
    # Blocks that are one already stay as they are.
    parts = [np.linalg.qr(random.standard_normal((60, 8)))[0] for _ in names]
    sound = {
        (r, s): parts[names.index(r)].T @ parts[names.index(s)] for r, s in combinations(names, 2)
    }
    for pair, block in consistent_blocks(sound, names).items():
        assert np.array_equal(block, sound[pair])
