"""What a coalition agrees to spend of differential privacy, before the noise for it is known."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hecf.privacy.accounting import noise_multiplier


@dataclass(frozen=True)
class Privacy:
    """Differential privacy of what a coalition releases about shoppers, at the level of a shopper.

    The ranges are those of the terms, which refuse what does not fit.

    Parameters
    ----------
    epsilon, delta : float
        Of the Gram blocks and all sums together.
    clip : float
        Largest norm of a shopper's row under the Gram blocks, in units of
        :class:`hecf.privacy.policy.GramPrivacy`; 0 where there are none.
    joint_clip : bool
        Whether `clip` bounds a shopper's rows at all retailers together: each is clipped by the
        root of their number more.
    sums : int
        How many sums share the budget.
    sum_clip : float
        Largest norm of what a shopper adds to one sum.
    colluders : int
        Contributors to a sum who may take their own noise away; a recipient is one.
    """

    epsilon: float
    delta: float
    clip: float = 0.0
    joint_clip: bool = False
    sums: int = 0
    sum_clip: float = 0.0
    colluders: int = 1

    def agreed(self) -> dict[str, Any]:
        """Return the fields of the terms, with the noise that the budget asks for.

        Raises
        ------
        InvalidInput
            If epsilon or delta is out of range.
        ConfigurationError
            If dp-accounting is not installed.
        """
        # All blocks are released together, once: they are one mechanism, and each sum is one.
        mechanisms = max(1, self.sums + (self.clip > 0))
        return {
            **asdict(self),
            "noise_multiplier": noise_multiplier(self.epsilon, self.delta, mechanisms),
        }
