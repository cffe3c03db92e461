"""A logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class LogAxis:
    """An axis between two powers of ten.

    Parameters
    ----------
    low, high : float
        Exponents of its ends.
    """

    low: float
    high: float

    @classmethod
    def around(cls, values: Iterable[float]) -> LogAxis:
        """Enclose values above zero by whole powers of ten; raises ValueError for others."""
        exponents = [math.log10(value) for value in values]
        low, high = math.floor(min(exponents)), math.ceil(max(exponents))
        return cls(low, max(high, low + 1))

    @classmethod
    def between(cls, first: float, last: float) -> LogAxis:
        """Begin and end at two values above zero; raises ValueError for others."""
        return cls(math.log10(first), math.log10(last))

    def place(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high one."""
        return (math.log10(value) - self.low) / ((self.high - self.low) or 1.0)

    def across(self, value: float) -> str:
        """Where a value lies, in percent for a drawing."""
        return f"{100 * self.place(value):.2f}%"

    def ticks(self, most: int) -> list[float]:
        """Powers of ten from the low end on, about as many as asked at most."""
        low, high = math.ceil(self.low), math.floor(self.high)
        step = -(-(high - low) // most) or 1
        return [10.0**exponent for exponent in range(low, high + 1, step)]
