"""Noise that retailers add to their own vectors before a sum, so that nobody sees a sum without it.

Every contributor adds a share. Those who drop out take theirs away, and colluders know theirs and
subtract it, so the shares are calibrated to the contributors that remain. Discrete Gaussian shares
add up to a discrete Gaussian but for a distance that is far below 2^-100 when each has a deviation
of four steps of the grid (Kairouz, Liu and Steinke, ICML 2021, theorem 5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hecf.errors import InvalidInput
from hecf.he.modular import Float
from hecf.he.paillier.plan import PaillierSumPlan
from hecf.he.sampling import RandomBytes
from hecf.he.summation.plan import SumPlan
from hecf.privacy.noise import discrete_gaussian

LEAST_STEPS = 4.0
TAIL = 9.0
"""Deviations for which a vector's bound must leave room; a share exceeds it once in 10^18."""
_AT_ONCE = 1 << 20
"""Numbers that are drawn at a time; the sampler takes two hundred bytes for each."""


@dataclass(frozen=True)
class DistributedNoise:
    """How much noise each contributor to a sum adds.

    Parameters
    ----------
    deviation : float
        Standard deviation that the sum must have at least, in units of its values.
    contributors : int
        Parties that add a share.
    dropouts : int
        How many of them may be missing from the sum.
    colluders : int
        How many may pool what they know of their own shares with the recipient.

    Raises
    ------
    InvalidInput
        If no contributor would remain, or a number is out of range.
    """

    deviation: float
    contributors: int
    dropouts: int = 0
    colluders: int = 0

    def __post_init__(self) -> None:
        counts = (self.contributors, self.dropouts, self.colluders)
        whole = all(type(count) is int for count in counts)
        if not (whole and 0 < self.deviation < math.inf and min(counts) >= 0):
            raise InvalidInput(
                "distributed noise is out of range",
                got=(self.deviation, *counts),
                expected="a positive deviation, and whole numbers from 0",
            )
        if self.remaining < 1:
            raise InvalidInput(
                "nobody's noise would remain in a sum",
                got=f"{self.contributors} contributors, {self.dropouts} dropouts, "
                f"{self.colluders} colluders",
                expected="at least 1 contributor more",
            )

    @property
    def remaining(self) -> int:
        """Contributors whose noise nobody can take away."""
        return self.contributors - self.dropouts - self.colluders

    @property
    def share(self) -> float:
        """Standard deviation of one contributor's noise."""
        return self.deviation / math.sqrt(self.remaining)

    def bound(self, value_bound: float) -> float:
        """Bound with which a sum must be planned so that noisy values fit it."""
        return value_bound + TAIL * self.share

    def noisy(self, plan: SumPlan | PaillierSumPlan, vector: Float, random: RandomBytes) -> Float:
        """Round a vector to the plan's grid and add this contributor's share.

        Raises
        ------
        InvalidInput
            If the vector does not fit the plan, leaves no room for noise, or the grid is too coarse
            for the share.
        """
        steps = math.ldexp(self.share, plan.fraction_bits)
        if steps < LEAST_STEPS:
            raise InvalidInput(
                "a sum's grid is too coarse for its noise",
                got=f"a deviation of {steps:.3g} steps",
                expected=f"at least {LEAST_STEPS:g}: a finer precision",
            )
        largest = float(np.abs(vector).max(initial=0.0))
        if self.bound(largest) > plan.value_bound * (1 + 1e-9):
            raise InvalidInput(
                "a vector leaves no room for noise in the plan of its sum",
                got=f"{self.bound(largest):.6g}",
                expected=f"at most {plan.value_bound:.6g}",
            )
        limit = math.floor(math.ldexp(plan.value_bound, plan.fraction_bits))
        integers = plan.rounded(vector)
        for start in range(0, len(integers), _AT_ONCE):
            piece = integers[start : start + _AT_ONCE]
            piece += discrete_gaussian(piece.shape, steps, random)
        np.clip(integers, -limit, limit, out=integers)
        return np.asarray(integers * 0.5**plan.fraction_bits, dtype=np.float64)
