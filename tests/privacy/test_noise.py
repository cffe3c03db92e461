"""The discrete Gaussian against its own probabilities, and noise that retailers add to sums."""

from __future__ import annotations

import math
import secrets

import numpy as np
import pytest
from scipy import stats

from hecf.errors import InvalidInput
from hecf.he.keys import Decrypted
from hecf.he.scheme import scheme_by_name
from hecf.he.summation.plan import SumPlan
from hecf.he.summation.planner import plan_sum
from hecf.privacy.distributed import DistributedNoise
from hecf.privacy.noise import discrete_gaussian, discrete_laplace
from hecf.privacy.policy import ReleasePolicy
from hecf.privacy.release import ReleaseGate


def probabilities(values: np.ndarray, deviation: float) -> np.ndarray:
    """Of the discrete Gaussian, summed exactly over its whole range."""
    everything = np.arange(-40 * math.ceil(deviation), 40 * math.ceil(deviation) + 1)
    total = math.fsum(np.exp(-(everything**2) / (2 * deviation**2)))
    return np.exp(-(values.astype(np.float64) ** 2) / (2 * deviation**2)) / total


@pytest.mark.parametrize("deviation", [0.3, 0.7, 1.0, 2.5, 6.0])
def test_small_deviations_have_the_exact_probabilities(deviation: float) -> None:
    drawn = discrete_gaussian((60_000,), deviation, secrets.token_bytes)
    values = np.arange(-4 * math.ceil(deviation), 4 * math.ceil(deviation) + 1)
    expected = drawn.size * probabilities(values, deviation)
    often = expected > 8
    observed = np.array([(drawn == value).sum() for value in values[often]])
    rest = max(drawn.size - observed.sum(), 0), max(drawn.size - expected[often].sum(), 1e-9)
    statistic = (((observed - expected[often]) ** 2) / expected[often]).sum()
    if rest[1] > 8:
        statistic += (rest[0] - rest[1]) ** 2 / rest[1]
    assert stats.chi2.sf(statistic, often.sum()) > 1e-6
    # The control: the probabilities of a deviation that is 5 % larger are another distribution.
    other = drawn.size * probabilities(values[often], 1.05 * deviation)
    assert stats.chi2.sf((((observed - other) ** 2) / other).sum(), often.sum()) < 1e-4


@pytest.mark.parametrize("deviation", [1e3, 1e9, 2.0**44])
def test_large_deviations_are_normal(deviation: float) -> None:
    drawn = discrete_gaussian((200, 300), deviation, secrets.token_bytes)
    assert drawn.shape == (200, 300)
    assert drawn.dtype == np.int64
    standard = drawn.ravel() / deviation
    assert stats.kstest(standard, "norm").pvalue > 1e-6
    assert stats.kstest(1.05 * standard, "norm").pvalue < 1e-6
    assert abs(np.corrcoef(standard[1:], standard[:-1])[0, 1]) < 0.03
    # Low bits are not always zero, as they would be for rounded floating-point numbers.
    assert abs(np.mean(drawn % 2) - 0.5) < 0.02


def test_the_laplace_proposals_have_their_probabilities() -> None:
    drawn = discrete_laplace(60_000, 3, secrets.token_bytes)
    values = np.arange(-12, 13)
    ratio = math.exp(-1 / 3)
    expected = drawn.size * (1 - ratio) / (1 + ratio) * ratio ** np.abs(values)
    observed = np.array([(drawn == value).sum() for value in values])
    assert stats.chi2.sf((((observed - expected) ** 2) / expected).sum(), values.size) > 1e-6


@pytest.mark.parametrize("deviation", [0.0, -1.0, math.nan, math.inf, 2.0**45])
def test_deviations_out_of_range_are_refused(deviation: float) -> None:
    with pytest.raises(InvalidInput, match="deviation is out of range"):
        discrete_gaussian((3,), deviation, secrets.token_bytes)


NOISE = DistributedNoise(deviation=2.0, contributors=6, dropouts=1, colluders=1)


def sum_plan(noise: DistributedNoise, values: int, scheme: str = "clear") -> SumPlan:
    return plan_sum(
        scheme=scheme,
        values=values,
        summands=noise.contributors,
        value_bound=noise.bound(1.0),
        precision=1e-4,
    )


def test_what_remains_after_dropouts_and_colluders_is_the_noise_agreed_on() -> None:
    plan = sum_plan(NOISE, 40_000)
    shares = [NOISE.noisy(plan, np.zeros(40_000), secrets.token_bytes) for _ in range(6)]
    # One contributor is missing, another subtracts its own.
    assert abs(np.std(np.sum(shares[:4], axis=0)) / NOISE.deviation - 1) < 0.05
    # The control: one dropout more than was provided for would leave too little.
    assert np.std(np.sum(shares[:3], axis=0)) / NOISE.deviation < 0.9
    assert np.allclose(np.ldexp(shares[0], plan.fraction_bits) % 1, 0)


@pytest.mark.parametrize("scheme", ["clear", "ckks"])
def test_a_noisy_sum_goes_through_encryption_and_gate(scheme: str) -> None:
    noise = DistributedNoise(deviation=0.5, contributors=3)
    plan = sum_plan(noise, 3000, scheme)
    family = scheme_by_name(scheme)
    secret, public = family.generate_keys(plan.parameters)
    encryptor = family.encryptor(plan.parameters, public)
    vectors = [np.random.default_rng(seed).uniform(-1, 1, 3000) for seed in range(3)]
    noisy = [noise.noisy(plan, vector, secrets.token_bytes) for vector in vectors]
    operands = [encryptor.encrypt(encryptor.encode(plan, "left", vector)) for vector in noisy]
    total = family.evaluator(plan.parameters, public, secrets.token_bytes).sum(operands)
    decrypted: Decrypted[SumPlan] = family.decryptor(secret).decrypt_sum(plan, total)
    released = ReleaseGate(ReleasePolicy(2, 1), secrets.token_bytes).total(decrypted)
    np.testing.assert_allclose(released, np.sum(noisy, axis=0), atol=1e-12)
    assert abs(np.std(released - np.sum(vectors, axis=0)) / noise.deviation - 1) < 0.1


def test_noise_that_would_protect_nobody_is_refused() -> None:
    for change in ({"dropouts": 5}, {"colluders": 6}, {"dropouts": 3, "colluders": 3}):
        with pytest.raises(InvalidInput, match="nobody's noise would remain"):
            DistributedNoise(2.0, 5, **change)
    for deviation in (0.0, math.nan):
        with pytest.raises(InvalidInput, match="out of range"):
            DistributedNoise(deviation, 5)
    for counts in ({"contributors": math.nan}, {"dropouts": math.nan}, {"colluders": 0.5}):
        with pytest.raises(InvalidInput, match="out of range"):
            DistributedNoise(**({"deviation": 2.0, "contributors": 5} | counts))
    plan = sum_plan(NOISE, 3)
    with pytest.raises(InvalidInput, match="no room for noise"):
        NOISE.noisy(plan, np.array([0.0, 2.0, 0.0]), secrets.token_bytes)
    coarse = plan_sum(scheme="clear", values=3, summands=6, value_bound=20.0, precision=1.0)
    with pytest.raises(InvalidInput, match="too coarse for its noise"):
        NOISE.noisy(coarse, np.zeros(3), secrets.token_bytes)
