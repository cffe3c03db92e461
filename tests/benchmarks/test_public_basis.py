"""Axes that depend on nobody's data: what they find without noise, and that noise covers it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import public_basis
from benchmarks.privacy_utility import synthetic_coalition


def test_public_axes_find_something_and_noise_hides_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_basis, "REPETITIONS", 1)
    monkeypatch.setattr(public_basis, "NOISY_FACTORS", 1)
    retailers = synthetic_coalition(2000)
    found = public_basis.measure(retailers, factors=(32,), epsilons=(1e-3,))
    gain = found["by_factors"][32] - found["popularity"]
    assert gain > 0.005
    assert found["by_epsilon"][1e-3] < found["popularity"] + 0.3 * gain


def test_a_shopper_s_row_depends_on_her_own_purchases_only() -> None:
    retailers = synthetic_coalition(300)
    visible = next(iter(retailers.values())).visible
    rows = public_basis.projected_rows(visible, 8, np.random.default_rng(1))
    fewer = public_basis.projected_rows(visible[50:], 8, np.random.default_rng(1))
    np.testing.assert_allclose(fewer, rows[50:], atol=1e-12)
    assert np.linalg.norm(rows, axis=1).max() <= 1 + 1e-12
