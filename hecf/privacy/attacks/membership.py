"""Whether a known shopper is in a released Gram block: the audit of differential privacy.

The strongest attacker knows every row but the shopper's, and her row as well. All that is left to
find out is whether she is in it, and noise of multiplier z hides that from T releases up to an area
under the curve of ``Phi(sqrt(T) / (z sqrt 2))``, reached by the likelihood ratio of two normal
distributions (Dong, Roth and Su, Gaussian differential privacy, JRSS B 2022, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import ndtr

from hecf.he.modular import Float
from hecf.he.sampling import RandomBytes, gaussian
from hecf.privacy.attacks.outcome import Outcome, area_under_curve

SUCCESS = 0.6
TRIALS = 250
MOST_ROWS = 4096


def bound(multiplier: float, releases: int = 1) -> float:
    """Largest area under the curve that noise of a multiplier allows; 1 without noise.

    Parameters
    ----------
    multiplier : float
        z, the noise's deviation in units of the sensitivity.
    releases : int
        T, independent releases on the same rows.
    """
    if multiplier == 0:
        return 1.0
    return float(ndtr(math.sqrt(releases / 2) / multiplier))


def standard_error(area: float, members: int, others: int) -> float:
    """Return the standard error of an area under the curve (Hanley and McNeil, Radiology 1982)."""
    first, second = area / (2 - area), 2 * area * area / (1 + area)
    variance = area * (1 - area)
    variance += (members - 1) * (first - area * area) + (others - 1) * (second - area * area)
    return math.sqrt(max(variance, 0.25 / (members + others)) / (members * others))


def canary_area(
    shoppers: int,
    factors: int,
    norm: float,
    release: Callable[[Float], Float],
    random: RandomBytes,
    *,
    releases: int = 1,
    trials: int = TRIALS,
) -> float:
    """Area under the curve of telling blocks with a canary from blocks without.

    Parameters
    ----------
    shoppers, factors : int
        Rows of the others, and columns.
    norm : float
        Norm of the canary's row at each of the two retailers.
    release : callable
        What happens to a block before it leaves the key holder.
    random : callable
        Source of cryptographically secure bytes.
    releases : int
        Releases of each block, which the attacker averages.
    trials : int
        Blocks of each kind.
    """
    # The attacker subtracts the others, whose number therefore does not matter.
    others_rows = min(shoppers, MOST_ROWS)
    left, right = (gaussian((others_rows, factors), random) / shoppers**0.5 for _ in range(2))
    rows = gaussian((2, factors), random)
    rows *= norm / np.linalg.norm(rows, axis=1, keepdims=True)
    others, canary = left.T @ right, np.outer(rows[0], rows[1])

    def figure(block: Float) -> float:
        seen = sum(release(block) for _ in range(releases)) / releases
        return float(((seen - others) * canary).sum())

    members = np.array([figure(others + canary) for _ in range(trials)])
    return area_under_curve(members, np.array([figure(others) for _ in range(trials)]))


def experiment(
    shoppers: int,
    factors: int,
    release: Callable[[Float], Float],
    random: RandomBytes,
    *,
    norm: float,
    releases: int,
    protection: str,
) -> Outcome:
    """Look for a canary in exact and in released blocks; parameters as :func:`canary_area`."""
    exact = canary_area(shoppers, factors, norm, lambda block: block, random, trials=20)
    released = canary_area(shoppers, factors, norm, release, random, releases=releases)
    return Outcome(
        attack="membership",
        attacker="a retailer that knows every other row, and looks for one shopper",
        measure="area under the curve of in or not in",
        threshold=SUCCESS,
        unprotected=exact,
        protected=released,
        protection=protection,
    )
