"""How much privacy Gaussian mechanisms spend together, computed by dp-accounting.

Gaussian mechanisms with noise multipliers z_1, ..., z_n on one data set spend together exactly what
one with ``1 / z^2 = sum 1 / z_i^2`` spends (Dong, Roth and Su, JRSS B 2022, corollary 3.3), and its
epsilon at a delta has a closed form (Balle and Wang, ICML 2018, theorem 8).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from hecf.data._optional import optional_module
from hecf.errors import InvalidInput

EXTRA = "dp"


def composed_multiplier(multipliers: Iterable[float]) -> float:
    """Noise multiplier of one Gaussian mechanism that spends as much as several; inf for none.

    Raises
    ------
    InvalidInput
        If a multiplier is not positive.
    """
    total = 0.0
    for multiplier in multipliers:
        if not multiplier > 0:
            raise InvalidInput(
                "a noise multiplier is out of range", got=multiplier, expected="a positive number"
            )
        total += multiplier**-2
    return total**-0.5 if total > 0 else math.inf


def spent_epsilon(multipliers: Iterable[float], delta: float) -> float:
    """Epsilon that Gaussian mechanisms spend together, at a delta; 0 for none.

    Raises
    ------
    InvalidInput
        If a multiplier or delta is out of range.
    ConfigurationError
        If dp-accounting is not installed.
    """
    _check_delta(delta)
    multiplier = composed_multiplier(multipliers)
    if math.isinf(multiplier):
        return 0.0
    return float(_accounting().get_epsilon_gaussian(multiplier, delta))


def noise_multiplier(epsilon: float, delta: float, mechanisms: int = 1) -> float:
    """Smallest noise multiplier of each of several Gaussian mechanisms within (epsilon, delta).

    Raises
    ------
    InvalidInput
        If an argument is out of range.
    ConfigurationError
        If dp-accounting is not installed.
    """
    _check_delta(delta)
    if not 0 < epsilon < math.inf or mechanisms < 1:
        raise InvalidInput(
            "a privacy budget is out of range",
            got=f"epsilon {epsilon:g} for {mechanisms} mechanisms",
            expected="a positive epsilon and at least 1 mechanism",
        )
    one = float(_accounting().get_sigma_gaussian(epsilon, delta))
    return one * math.sqrt(mechanisms)


def _check_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise InvalidInput("delta is out of range", got=delta, expected="between 0 and 1")


def _accounting() -> Any:
    return optional_module("dp_accounting", EXTRA)
