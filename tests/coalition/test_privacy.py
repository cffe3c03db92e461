"""``hecf.Coalition`` with a budget of differential privacy: the same gate, the same ledger."""

from __future__ import annotations

import numpy as np
import pytest
from retail_logs import FRANCHISES as DATA

import hecf
from hecf.errors import ConfigurationError, InvalidInput, LimitExceeded
from hecf.privacy.accounting import spent_epsilon

MODEL = hecf.EASE(penalty=20.0)


def budget(**changes: float) -> hecf.Privacy:
    return hecf.Privacy(**({"epsilon": 4.0, "delta": 1e-6, "sums": 2, "sum_clip": 3.0} | changes))


@pytest.mark.parametrize("scheme", ["ckks", "clear"])
def test_a_fit_is_noisy_and_the_ledger_says_what_it_spent(scheme: str) -> None:
    coalition = hecf.Coalition(DATA, scheme=scheme, privacy=budget())
    exact = hecf.Coalition(DATA, scheme=scheme).fit(MODEL)["north"]
    fitted = coalition.fit(MODEL)
    np.testing.assert_array_equal(fitted["north"].weights, fitted["west"].weights)
    assert np.abs(fitted["north"].weights - exact.weights).max() > 1e-3
    debits = coalition.ledger.entries
    assert {entry.noise_multiplier for entry in debits} == {coalition.terms.noise_multiplier}
    expected = spent_epsilon([coalition.terms.noise_multiplier] * len(debits), 1e-6)
    assert coalition.ledger.spent_epsilon == pytest.approx(expected, rel=1e-6)
    assert 0 < coalition.ledger.spent_epsilon <= 4.0 * (1 + 1e-6)


def test_fits_share_the_budget_and_the_one_too_many_is_refused() -> None:
    coalition = hecf.Coalition(DATA, scheme="clear", privacy=budget(sums=2))
    coalition.fit(hecf.MostPopular())
    half = coalition.ledger.spent_epsilon
    coalition.fit(hecf.MostPopular())
    assert half < coalition.ledger.spent_epsilon <= 4.0 * (1 + 1e-6)
    before = coalition.ledger
    with pytest.raises(LimitExceeded, match="privacy budget is used up"):
        coalition.fit(hecf.MostPopular())
    assert coalition.ledger == before
    # Without privacy nothing is spent however often one fits.
    free = hecf.Coalition(DATA, scheme="clear")
    for _ in range(3):
        free.fit(hecf.MostPopular())
    assert free.ledger.spent_epsilon == 0.0
    assert len(free.ledger.entries) == 3


def test_more_epsilon_is_less_noise() -> None:
    def error(epsilon: float) -> float:
        private = hecf.Coalition(DATA, scheme="clear", privacy=budget(epsilon=epsilon, sums=1))
        counts = private.fit(hecf.MostPopular())["west"].buyers
        exact = hecf.Coalition(DATA, scheme="clear").fit(hecf.MostPopular())["west"].buyers
        return float(np.abs(counts - exact).mean())

    assert error(0.2) > 5 * error(20.0)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"epsilon": 0.0}, InvalidInput),
        ({"epsilon": -1.0}, InvalidInput),
        ({"epsilon": float("nan")}, InvalidInput),
        ({"delta": 0.0}, InvalidInput),
        ({"delta": 1.0}, InvalidInput),
        ({"epsilon": 1e4}, ConfigurationError),
        ({"sums": 0}, ConfigurationError),
        ({"sum_clip": 0.0}, ConfigurationError),
        ({"sum_clip": float("nan")}, ConfigurationError),
        ({"clip": 1.5}, ConfigurationError),
        ({"joint_clip": True}, ConfigurationError),
        ({"colluders": 3}, ConfigurationError),
    ],
)
def test_budgets_that_promise_nothing_are_refused(
    settings: dict[str, float], error: type[Exception]
) -> None:
    with pytest.raises(error):
        hecf.Coalition(DATA, scheme="clear", privacy=budget(**settings))


def test_under_paillier_the_topology_says_whether_the_key_holder_reads_sums() -> None:
    assert hecf.Coalition(DATA, scheme="paillier").terms.topology == "coalition-key-blinded"
    readable = hecf.Coalition(DATA, scheme="paillier", topology="coalition-key")
    assert readable.terms.topology == "coalition-key"
    with pytest.raises(ConfigurationError, match="topology"):
        hecf.Coalition(DATA, topology="nobody")


def test_look_alikes_are_refused_under_agreed_privacy() -> None:
    coalition = hecf.Coalition(DATA, scheme="clear", privacy=budget(sums=1))
    models = hecf.Coalition(DATA, scheme="clear").fit(hecf.PureSVD(factors=4))
    with pytest.raises(InvalidInput, match="privacy and on no similarities"):
        coalition.similar_users(models, "north", [0, 1], "south", 3)
