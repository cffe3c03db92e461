"""The release gate: every decrypted value passes here before it leaves a key holder.

An exact CKKS decryption given to somebody who saw the ciphertext reveals the secret key (Li and
Micciancio, EUROCRYPT 2021). The gate adds Gaussian noise of the plan's flooding deviation, rounds
to the plan's grid, and lets only the agreed positions through.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecf.errors import InvalidInput, LimitExceeded, ReleaseRefused
from hecf.he.blinding import BlindedDecryption, BlindedResult, flooded
from hecf.he.keys import Decrypted
from hecf.he.modular import Float
from hecf.he.plan import GRAM, SCORE
from hecf.he.sampling import RandomBytes, gaussian


@dataclass(frozen=True)
class ReleasePolicy:
    """What a coalition agreed to release.

    Parameters
    ----------
    minimum_shoppers : int
        Least number of rows under a Gram block.
    top_k : int
        Items of a shopper that are released from a score.
    """

    minimum_shoppers: int
    top_k: int

    def __post_init__(self) -> None:
        if self.minimum_shoppers < 2 or self.top_k < 1:
            raise ReleaseRefused(
                "a release policy is too weak",
                got=(self.minimum_shoppers, self.top_k),
                expected="at least 2 shoppers and 1 item",
            )


@dataclass(frozen=True)
class TopScores:
    """The best items of every shopper, best first.

    Parameters
    ----------
    items : int32 array, shape (shoppers, k)
        Positions in the target's catalogue.
    scores : float64 array, shape (shoppers, k)
    """

    items: NDArray[np.int32]
    scores: Float


class ReleaseGate:
    """Turns exact decryptions into values that may travel.

    Parameters
    ----------
    policy : ReleasePolicy
    random : callable
        Source of cryptographically secure bytes for the flooding noise.
    """

    def __init__(self, policy: ReleasePolicy, random: RandomBytes) -> None:
        if not isinstance(policy, ReleasePolicy):
            raise ReleaseRefused("a release needs a policy", got=type(policy).__name__)
        self._policy = policy
        self._random = random

    def gram(self, decrypted: Decrypted) -> Float:
        """Release a Gram block, (left, right) float64.

        Raises
        ------
        ReleaseRefused
            If the result is of another operation or covers too few shoppers.
        """
        plan = decrypted.plan
        self._check(plan.operation, GRAM)
        if plan.inner < self._policy.minimum_shoppers:
            raise ReleaseRefused(
                "a Gram block covers too few shoppers",
                got=plan.inner,
                expected=f"at least {self._policy.minimum_shoppers}",
            )
        return self._flooded(decrypted)

    def top_scores(self, decrypted: Decrypted) -> TopScores:
        """Release the best items of every shopper.

        Raises
        ------
        ReleaseRefused
            If the result is of another operation.
        """
        self._check(decrypted.plan.operation, SCORE)
        scores = self._flooded(decrypted)
        k = min(self._policy.top_k, scores.shape[1])
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return TopScores(order.astype(np.int32), np.take_along_axis(scores, order, axis=1))

    def blinded(self, decrypted: BlindedDecryption) -> BlindedResult:
        """Release masked scores, which only the holder of the mask can read.

        They are flooded as integers and neither rounded nor ranked: the gate cannot read them
        either, so the best items are chosen by the recipient, who sees every score.

        Raises
        ------
        ReleaseRefused
            If the result is of another operation.
        """
        self._check(decrypted.plan.operation, SCORE)
        return flooded(decrypted, self._random)

    def _flooded(self, decrypted: Decrypted) -> Float:
        plan = decrypted.plan
        noisy = decrypted.values
        if plan.flooding > 0:
            noisy = noisy + plan.flooding * gaussian(noisy.shape, self._random)
        grid = 2.0**plan.grid_bits
        return np.rint(noisy * grid) / grid

    def _check(self, operation: str, expected: str) -> None:
        if operation != expected:
            raise ReleaseRefused(
                "a result is of another operation", got=operation, expected=expected
            )


@dataclass(frozen=True)
class ReleaseBudget:
    """How many ciphertexts may still be released under one key (tau of the flooding noise).

    Raises
    ------
    InvalidInput
        If more is spent than the limit, or less than nothing.
    """

    limit: int
    spent: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.spent <= self.limit:
            raise InvalidInput(
                "a release budget is out of range",
                got=f"{self.spent} spent of {self.limit}",
                expected="0 to the limit",
            )

    def spend(self, count: int) -> ReleaseBudget:
        """Return the budget after `count` more releases.

        Raises
        ------
        LimitExceeded
            If they do not fit; a new key starts a new budget.
        """
        if count < 1 or self.spent + count > self.limit:
            raise LimitExceeded(
                "the releases under this key are used up",
                got=f"{self.spent} spent and {count} more",
                expected=f"at most {self.limit}",
            )
        return ReleaseBudget(self.limit, self.spent + count)
