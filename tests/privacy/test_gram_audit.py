"""Control C24 on the gate itself: a canary in released Gram blocks hides as well as promised."""

from __future__ import annotations

import secrets

import pytest
from encryption import gram_plan

from hecf.he.keys import Decrypted
from hecf.privacy.attacks.membership import bound, canary_area, standard_error
from hecf.privacy.policy import GramPrivacy, ReleasePolicy
from hecf.privacy.release import ReleaseGate

SHOPPERS, FACTORS, TRIALS = 200, 4, 250
PLAN = gram_plan(scheme="clear", inner=SHOPPERS, left=FACTORS, right=FACTORS)


def area(multiplier: float, releases: int = 1) -> float:
    """Of the strongest attacker on blocks that the gate released, with a row as long as allowed."""
    private = GramPrivacy(1.0, 1e-6, 1.5, multiplier, retailers=2)
    policy = ReleasePolicy(100, 5, gram_privacy=private)
    gate = ReleaseGate(policy, secrets.token_bytes)
    return canary_area(
        SHOPPERS,
        FACTORS,
        private.row_bound(FACTORS, SHOPPERS),
        lambda block: gate.gram(Decrypted(PLAN, block)),
        secrets.token_bytes,
        releases=releases,
        trials=TRIALS,
    )


@pytest.mark.parametrize(("multiplier", "releases"), [(0.5, 1), (1.0, 1), (1.0, 3), (4.0, 2)])
def test_the_canary_hides_as_well_as_the_noise_promises(multiplier: float, releases: int) -> None:
    allowed = bound(multiplier, releases)
    error = standard_error(allowed, TRIALS, TRIALS)
    found = area(multiplier, releases)
    assert found <= allowed + 3 * error
    # The attack reaches the bound, so it would notice half the noise.
    assert found >= allowed - 5 * error


def test_without_noise_worth_the_name_the_canary_is_found() -> None:
    assert area(1e-3) > 0.999
