"""Outcomes of attacks and the figure that most of them report."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hecf.errors import InvalidInput
from hecf.privacy.attacks import Outcome, area_under_curve


def outcome(unprotected: float, protected: float) -> Outcome:
    return Outcome("name", "somebody", "share", 0.5, unprotected, protected, "noise")


def test_an_attack_is_alive_or_stopped_by_its_own_figures() -> None:
    assert outcome(0.9, 0.1).alive
    assert not outcome(0.9, 0.1).succeeded
    assert outcome(0.9, 0.5).succeeded
    assert not outcome(0.4, 0.1).alive


def test_a_figure_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not finite"):
        outcome(float("nan"), 0.0)


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_the_area_is_that_of_scikit_learn(decimals: int) -> None:
    random = np.random.default_rng(8)
    members = np.round(random.standard_normal(70) + 0.5, decimals)
    others = np.round(random.standard_normal(50), decimals)
    labels = np.r_[np.ones(70), np.zeros(50)]
    expected = roc_auc_score(labels, np.r_[members, others])
    assert area_under_curve(members, others) == pytest.approx(expected, abs=1e-12)
    assert area_under_curve(others, others) == pytest.approx(0.5)


def test_an_area_of_one_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match="both kinds"):
        area_under_curve(np.array([1.0]), np.array([]))
