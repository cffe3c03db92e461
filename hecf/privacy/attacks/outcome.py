"""What an attack achieved, without and with the protection."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hecf.errors import InvalidInput
from hecf.he.modular import Float


@dataclass(frozen=True)
class Outcome:
    """Both figures of one attack.

    Parameters
    ----------
    attack : str
        Name of the attack.
    attacker : str
        Who mounts it, and what they hold.
    measure : str
        What the figures are.
    threshold : float
        From here on an attack has succeeded.
    unprotected : float
        Figure on the path without the protection.
    protected : float
        Figure on what the coalition really shows.
    protection : str
        What stands between the two.

    Raises
    ------
    InvalidInput
        If a figure is not finite.
    """

    attack: str
    attacker: str
    measure: str
    threshold: float
    unprotected: float
    protected: float
    protection: str

    def __post_init__(self) -> None:
        figures = (self.threshold, self.unprotected, self.protected)
        if not all(map(math.isfinite, figures)):
            raise InvalidInput("an attack's figure is not finite", got=figures)

    @property
    def alive(self) -> bool:
        """Whether the attack works where nothing stops it; otherwise the outcome says nothing."""
        return self.unprotected >= self.threshold

    @property
    def succeeded(self) -> bool:
        """Whether the attack works on what the coalition shows."""
        return self.protected >= self.threshold


def area_under_curve(members: Float, others: Float) -> float:
    """Area under the receiver operating characteristic: 1/2 is guessing, 1 is certainty.

    The probability that a member's figure exceeds another's, ties counting half (Hanley and
    McNeil, Radiology 1982).

    Raises
    ------
    InvalidInput
        If either side is empty.
    """
    if not members.size or not others.size:
        raise InvalidInput("an area under the curve needs both kinds", got=0, expected="1 up")
    ranks: NDArray[np.float64] = rankdata(np.concatenate([members.ravel(), others.ravel()]))
    total = ranks[: members.size].sum() - members.size * (members.size + 1) / 2
    return float(total / (members.size * others.size))
