from __future__ import annotations

import math
import secrets
from typing import Any

import numpy as np
import pytest
from encryption import gram_plan, score_plan
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hecf.errors import ReleaseRefused
from hecf.he import sampling
from hecf.he.keys import Decrypted
from hecf.he.product.plan import ProductPlan
from hecf.he.product.planner import plan_packed_similarity
from hecf.he.similarity.planner import plan_similarity
from hecf.he.similarity.scores import Panel
from hecf.he.summation.planner import plan_sum
from hecf.privacy.policy import ReleasePolicy
from hecf.privacy.release import ReleaseGate

POLICY = ReleasePolicy(minimum_shoppers=50, top_k=7)
SHAPE = (200, 300)


def wide_gram() -> ProductPlan:
    return gram_plan(left=SHAPE[0], right=SHAPE[1])


def wide_score(**changes: object) -> ProductPlan:
    return score_plan(left=SHAPE[0], right=SHAPE[1], **changes)


def gate(policy: ReleasePolicy = POLICY) -> ReleaseGate:
    return ReleaseGate(policy, secrets.token_bytes)


def everything() -> ReleasePolicy:
    return ReleasePolicy(minimum_shoppers=2, top_k=SHAPE[1])


def released_scores(plan: ProductPlan, values: np.ndarray) -> np.ndarray:
    """All scores of a release, in the order of the catalogue."""
    top = gate(everything()).top_scores(Decrypted(plan, values))
    out = np.empty(values.shape)
    np.put_along_axis(out, top.items.astype(np.int64), top.scores, axis=1)
    return out


@pytest.mark.parametrize("operation", ["gram", "score"])
def test_the_noise_has_the_planned_deviation(operation: str) -> None:
    plan = wide_gram() if operation == "gram" else wide_score()
    exact = np.random.default_rng(1).uniform(-1, 1, SHAPE)
    if operation == "gram":
        noise = gate().gram(Decrypted(plan, exact)) - exact
    else:
        noise = released_scores(plan, exact) - exact
    # 60,000 samples: one standard error of the deviation is 0.3 %.
    assert abs(noise.std() / plan.flooding - 1) < 0.05
    assert abs(noise.mean()) < 5 * plan.flooding / math.sqrt(noise.size)
    # Normal, and not for example uniform, up to the grid, which is half a deviation at most.
    standard = noise.ravel() / plan.flooding
    assert abs(stats.kurtosis(standard)) < 0.15
    assert 3.5 < np.abs(standard).max() < 8.5


def test_a_gate_with_half_the_noise_would_be_noticed() -> None:
    plan, weaker = wide_gram(), gram_plan(left=SHAPE[0], right=SHAPE[1], releases=1)
    exact = np.zeros(SHAPE)
    noise = gate().gram(Decrypted(weaker, exact))
    assert abs(noise.std() / plan.flooding - 1) > 0.4


def test_two_releases_and_two_entries_have_independent_noise() -> None:
    plan = wide_gram()
    first, second = (gate().gram(Decrypted(plan, np.zeros(SHAPE))) for _ in range(2))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(first[:, 1:].ravel(), first[:, :-1].ravel())[0, 1]) < 0.03


def test_released_values_lie_on_the_grid_and_hide_the_low_bits() -> None:
    for plan in (wide_gram(), gram_plan(scheme="clear", left=SHAPE[0], right=SHAPE[1])):
        exact = np.random.default_rng(2).uniform(-1, 1, SHAPE)
        released = gate().gram(Decrypted(plan, exact))
        steps = released * 2.0**plan.grid_bits
        assert np.array_equal(steps, np.rint(steps))
        # The decryption itself is not on the grid, so the test can fail.
        assert not np.array_equal(exact * 2.0**plan.grid_bits, np.rint(exact * 2.0**plan.grid_bits))
    assert 2.0 ** -wide_gram().grid_bits <= wide_gram().flooding


@pytest.mark.parametrize("wrong", [1.001, -64.0, math.inf, math.nan])
def test_a_block_that_no_orthonormal_columns_have_is_refused(wrong: float) -> None:
    plan = wide_gram()
    agreed = gate(ReleasePolicy(minimum_shoppers=50, top_k=7, largest_product=1.0))
    block = np.ones(SHAPE)
    agreed.gram(Decrypted(plan, block))
    block[3, 5] = wrong
    with pytest.raises(ReleaseRefused, match="orthonormal") as refused:
        agreed.gram(Decrypted(plan, block))
    # The size of the number is data.
    assert "64" not in str(refused.value)


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_the_best_items_are_numpys_on_a_noiseless_plan(seed: int, k: int) -> None:
    plan = score_plan(scheme="clear", left=5, right=30)
    # Multiples of the grid with many ties: the smaller position comes first.
    exact = np.random.default_rng(seed).integers(-8, 8, (5, 30)) / 8.0
    top = gate(ReleasePolicy(2, k)).top_scores(Decrypted(plan, exact))
    assert top.items.shape == top.scores.shape == (5, min(k, 30))
    assert top.items.dtype == np.int32
    for row, items, scores in zip(exact, top.items, top.scores, strict=True):
        order = sorted(range(30), key=lambda item: (-row[item], item))[:k]
        assert items.tolist() == order
        assert scores.tolist() == row[order].tolist()


def test_only_k_items_are_released_and_the_noise_comes_before_the_choice() -> None:
    plan = wide_score()
    # Scores far closer together than the noise: an exact choice would always be the first item.
    exact = np.linspace(0, -plan.flooding / 1000, SHAPE[1]) * np.ones(SHAPE)
    top = gate().top_scores(Decrypted(plan, exact))
    assert top.items.shape == (SHAPE[0], 7)
    assert np.mean(top.items[:, 0] == 0) < 0.1
    assert np.all(np.diff(top.scores, axis=1) <= 0)


def test_results_of_another_operation_are_refused() -> None:
    gram, score = Decrypted(wide_gram(), np.zeros(SHAPE)), Decrypted(wide_score(), np.zeros(SHAPE))
    with pytest.raises(ReleaseRefused, match="another operation: got score, expected gram"):
        gate().gram(score)
    with pytest.raises(ReleaseRefused, match="another operation: got gram, expected score"):
        gate().top_scores(gram)


@pytest.mark.parametrize(("shoppers", "allowed"), [(49, False), (50, True), (70, True)])
def test_blocks_over_too_few_shoppers_are_refused(shoppers: int, allowed: bool) -> None:
    decrypted = Decrypted(gram_plan(inner=shoppers), np.zeros((3, 5)))
    if allowed:
        assert gate().gram(decrypted).shape == (3, 5)
    else:
        with pytest.raises(ReleaseRefused, match="too few shoppers: got 49, expected at least 50"):
            gate().gram(decrypted)


@pytest.mark.parametrize("policy", [None, {"minimum_shoppers": 2, "top_k": 1}, (50, 7)])
def test_there_is_no_gate_without_a_policy(policy: object) -> None:
    with pytest.raises(ReleaseRefused, match="needs a policy"):
        ReleaseGate(policy, secrets.token_bytes)  # type: ignore[arg-type]


@pytest.mark.parametrize("numbers", [(1, 20), (0, 20), (-5, 20), (100, 0), (100, -1)])
def test_weak_policies_are_refused(numbers: tuple[int, int]) -> None:
    with pytest.raises(ReleaseRefused, match="too weak"):
        ReleasePolicy(*numbers)


@pytest.mark.parametrize(
    "field",
    [
        "minimum_shoppers",
        "top_k",
        "minimum_contributors",
        "statistical_bits",
        "releases",
        "minimum_rows",
    ],
)
@pytest.mark.parametrize("value", [math.nan, math.inf, 30.0, True, None, "30"])
def test_policies_that_do_not_count_in_whole_numbers_are_refused(field: str, value: object) -> None:
    # A comparison with NaN is false: such a minimum would let everything through.
    content: dict[str, Any] = {"minimum_shoppers": 50, "top_k": 7, field: value}
    with pytest.raises((ReleaseRefused, TypeError)):
        ReleasePolicy(**content)


def test_normal_samples_are_finite_for_every_byte_string() -> None:
    lowest = sampling.gaussian((4,), lambda count: b"\x00" * count)
    highest = sampling.gaussian((4,), lambda count: b"\xff" * count)
    assert np.isfinite(lowest).all()
    assert np.array_equal(lowest, -highest)
    assert 8.1 < highest[0] < 8.3


def test_samples_have_their_distributions() -> None:
    count = 60_000
    normal = sampling.gaussian((count,), secrets.token_bytes)
    assert stats.kstest(normal, "norm").pvalue > 1e-6
    assert stats.kstest(normal * 1.05, "norm").pvalue < 1e-6
    ternary = sampling.ternary((count,), secrets.token_bytes)
    values, counts = np.unique(ternary, return_counts=True)
    assert values.tolist() == [-1.0, 0.0, 1.0]
    assert stats.chisquare(counts).pvalue > 1e-6
    errors = sampling.centred_binomial((count,), secrets.token_bytes)
    values, counts = np.unique(errors, return_counts=True)
    assert np.abs(values).max() <= 21
    probabilities = stats.binom(42, 0.5).pmf(np.arange(43))
    often = np.abs(np.arange(-21, 22)) <= 12
    observed = np.array([(errors == value).sum() for value in np.arange(-21, 22)[often]])
    expected = probabilities[often] / probabilities[often].sum() * observed.sum()
    assert stats.chisquare(observed, expected).pvalue > 1e-6
    assert sampling.ternary((2, 3, 4), secrets.token_bytes).shape == (2, 3, 4)


def test_ternary_values_reject_the_byte_that_would_bias_them() -> None:
    supply = iter([b"\xff" * 100 + bytes(range(100)) * 3, bytes(1000)])
    values = sampling.ternary((90,), lambda count: next(supply)[:count])
    # 90 + 1 + 64 bytes were asked for; the 100 of value 255 are skipped.
    assert values[:55].tolist() == [float(byte % 3 - 1) for byte in range(55)]


def test_sums_need_contributors_and_are_exact() -> None:
    total = np.array([0.5, -1.25, 3.0])
    for summands, allowed in ((1, False), (2, False), (3, True)):
        plan = plan_sum(
            scheme="clear", values=3, summands=summands, value_bound=4.0, precision=1e-6
        )
        strict = gate(ReleasePolicy(2, 1, minimum_contributors=3))
        if allowed:
            assert strict.total(Decrypted(plan, total)).tolist() == total.tolist()
            with pytest.raises(ReleaseRefused, match="too few contributors: got 2"):
                strict.total(Decrypted(plan, total), contributors=2)
        else:
            with pytest.raises(ReleaseRefused, match=f"too few contributors: got {summands}"):
                strict.total(Decrypted(plan, total))


@pytest.mark.parametrize("weaker", [{"statistical_bits": 29}, {"releases": 3}])
def test_a_plan_that_floods_less_than_agreed_is_refused(weaker: dict[str, int]) -> None:
    agreed = ReleasePolicy(2, 7, statistical_bits=30, releases=4)
    assert gate(agreed).gram(Decrypted(gram_plan(), np.zeros((3, 5)))).shape == (3, 5)
    with pytest.raises(ReleaseRefused, match="flooded for less than agreed"):
        gate(agreed).gram(Decrypted(gram_plan(**weaker), np.zeros((3, 5))))
    with pytest.raises(ReleaseRefused, match="flooded for less than agreed"):
        gate(agreed).top_scores(Decrypted(score_plan(**weaker), np.zeros((40, 90))))


def test_more_similar_rows_than_agreed_are_refused() -> None:
    plan = plan_similarity(scheme="ckks", inner=4, left=30, right=20, precision=1e-3, releases=4)
    panel = Panel(plan, 0, 0, np.random.default_rng(3).uniform(-1, 1, (30, 20)))
    assert gate().most_similar(plan, [panel], 7).columns.shape == (30, 7)
    with pytest.raises(ReleaseRefused, match=r"more similar rows .* got 8, expected 7"):
        gate().most_similar(plan, [panel], 8)


def test_packed_similar_rows_are_released_under_the_same_rules() -> None:
    plan = plan_packed_similarity(
        scheme="ckks",
        inner=4,
        left=30,
        right=20,
        precision=1e-3,
        statistical_bits=30,
        releases=4,
    )
    exact = np.random.default_rng(3).uniform(-1, 1, (30, 20))
    decrypted = Decrypted(plan, exact)
    top = gate().top_scores(decrypted, 3)
    best = -np.sort(-exact, axis=1)[:, :3]
    np.testing.assert_allclose(top.scores, best, rtol=0, atol=8 * plan.flooding)
    assert not np.array_equal(top.scores, best)
    with pytest.raises(ReleaseRefused, match=r"more similar rows .* got 8, expected 7"):
        gate().top_scores(decrypted, 8)
    with pytest.raises(ReleaseRefused, match=r"from too few rows: got 20, expected at least 21"):
        gate(ReleasePolicy(2, 7, minimum_rows=21)).top_scores(decrypted, 3)
    with pytest.raises(ReleaseRefused, match=r"from too few rows: got 20, expected at least 22"):
        gate(ReleasePolicy(2, 11)).top_scores(decrypted, 11)
    with pytest.raises(ReleaseRefused, match="another operation: got similarity"):
        gate().gram(decrypted)
    with pytest.raises(ReleaseRefused, match="more items are asked for than agreed: got 8"):
        gate().top_scores(Decrypted(score_plan(), np.zeros((40, 90))), 8)


def test_similar_rows_of_too_few_are_refused() -> None:
    """The best few of a handful say where each of them lies."""
    plan = plan_similarity(scheme="ckks", inner=4, left=30, right=20, precision=1e-3, releases=4)
    panel = Panel(plan, 0, 0, np.random.default_rng(3).uniform(-1, 1, (30, 20)))
    released = gate(ReleasePolicy(2, 7, minimum_rows=20)).most_similar(plan, [panel], 3)
    assert released.columns.shape == (30, 3)
    with pytest.raises(ReleaseRefused, match=r"from too few rows: got 20, expected at least 21"):
        gate(ReleasePolicy(2, 7, minimum_rows=21)).most_similar(plan, [panel], 3)
    with pytest.raises(ReleaseRefused, match="policy is too weak"):
        ReleasePolicy(2, 7, minimum_rows=1)
