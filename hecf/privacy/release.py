"""The release gate: every decrypted value passes here before it leaves a key holder.

An exact CKKS decryption given to somebody who saw the ciphertext reveals the secret key (Li and
Micciancio, EUROCRYPT 2021). The gate adds Gaussian noise of the plan's flooding deviation, rounds
to the plan's grid, and lets only the agreed positions through. A sum is exact and free of noise by
its plan, so it needs no flooding, only enough contributors.

This is the one module that may unwrap a :class:`hecf.he.keys.Decrypted`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from hecf.errors import ReleaseRefused
from hecf.he.blinding import BlindedDecryption, BlindedResult, flooded
from hecf.he.keys import Decrypted
from hecf.he.modular import Float
from hecf.he.paillier.blinding import BlindedIntegers, MaskedIntegers
from hecf.he.paillier.plan import PaillierSumPlan
from hecf.he.paillier.product_plan import PaillierProductPlan
from hecf.he.product.plan import GRAM, SCORE, SIMILARITY, ProductPlan
from hecf.he.sampling import RandomBytes, gaussian
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.similarity.scores import Panel, TopSimilar, top_similar
from hecf.he.summation.plan import SumPlan
from hecf.privacy.noise import discrete_gaussian
from hecf.privacy.policy import ReleasePolicy


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

    def gram(self, decrypted: Decrypted[ProductPlan] | Decrypted[PaillierProductPlan]) -> Float:
        """Release a Gram block, (left, right) float64, with the agreed noise.

        Raises
        ------
        ReleaseRefused
            If the result is of another operation, covers too few shoppers, has an entry beyond the
            largest agreed, or its plan floods less than agreed.
        """
        plan = decrypted.plan
        self._check(plan, GRAM)
        if plan.inner < self._policy.minimum_shoppers:
            raise ReleaseRefused(
                "a Gram block covers too few shoppers",
                got=plan.inner,
                expected=f"at least {self._policy.minimum_shoppers}",
            )
        block = decrypted.unwrap()
        self._policy.check_block(block, plan.error_bound)
        private = self._policy.gram_privacy
        if private is None:
            return self._flooded(plan, block)
        grid = 2.0 ** private.grid_bits(plan)
        exact = np.rint(self._flooded(plan, block) * grid)
        noise = discrete_gaussian(exact.shape, private.deviation(plan) * grid, self._random)
        return np.asarray((exact + noise) / grid, dtype=np.float64)

    def top_scores(
        self,
        decrypted: Decrypted[ProductPlan] | Decrypted[PaillierProductPlan],
        n: int | None = None,
    ) -> TopScores:
        """Release the best items of every shopper, or the most similar of packed rows.

        Parameters
        ----------
        decrypted : Decrypted
        n : int, optional
            How many, if they are fewer than agreed.

        Raises
        ------
        ReleaseRefused
            If the result is of another operation, its plan floods less than agreed, more is asked
            for than agreed, scores are agreed to leave under a mask, or similar rows are chosen
            from too few.
        """
        self._check(decrypted.plan, SCORE, SIMILARITY)
        if self._policy.blinded and decrypted.plan.operation == SCORE:
            raise ReleaseRefused("scores are agreed to leave under a mask")
        k = min(self._policy.top_k if n is None else n, decrypted.plan.right)
        if decrypted.plan.operation == SIMILARITY:
            self._policy.check_similar(k, decrypted.plan.right)
        elif k > self._policy.top_k:
            raise ReleaseRefused(
                "more items are asked for than agreed", got=k, expected=self._policy.top_k
            )
        scores = self._flooded(decrypted.plan, decrypted.unwrap())
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return TopScores(order.astype(np.int32), np.take_along_axis(scores, order, axis=1))

    @overload
    def blinded(self, decrypted: BlindedDecryption) -> BlindedResult: ...

    @overload
    def blinded(self, decrypted: MaskedIntegers) -> BlindedIntegers: ...

    def blinded(
        self, decrypted: BlindedDecryption | MaskedIntegers
    ) -> BlindedResult | BlindedIntegers:
        """Release masked scores, which only the holder of the mask can read.

        They are flooded as integers, unless they are exact as under Paillier, and neither rounded
        nor ranked: the gate cannot read them either, so the best items are chosen by the recipient,
        who sees every score.

        Raises
        ------
        ReleaseRefused
            If the result is of another operation, its plan floods less than agreed, or only the
            best items are agreed to leave.
        """
        if isinstance(decrypted.plan, PaillierSumPlan):
            raise ReleaseRefused("a masked sum is released with the number of its contributors")
        self._check(decrypted.plan, SCORE)
        if not self._policy.blinded:
            raise ReleaseRefused("only the best items of a shopper are agreed to leave")
        if isinstance(decrypted, MaskedIntegers):
            return BlindedIntegers.of(decrypted)
        return flooded(decrypted, self._random)

    def blinded_total(self, masked: MaskedIntegers, contributors: int) -> BlindedIntegers:
        """Release a masked sum, which only the holders of the mask can read.

        Parameters
        ----------
        masked : MaskedIntegers
        contributors : int
            Parties whose vectors are in it, as the commitments say: the gate cannot see that.

        Raises
        ------
        ReleaseRefused
            If it is no sum, too few parties contributed, or sums are agreed to leave readable.
        """
        if not isinstance(masked.plan, PaillierSumPlan):
            raise ReleaseRefused("a result is of another operation", got=masked.plan.operation)
        if not self._policy.blinded:
            raise ReleaseRefused("no blinded results are agreed to leave")
        self._check_contributors(contributors)
        return BlindedIntegers.of(masked)

    def total(
        self,
        decrypted: Decrypted[SumPlan] | Decrypted[PaillierSumPlan],
        contributors: int | None = None,
    ) -> Float:
        """Release an exact sum, float64 of shape (values,).

        Parameters
        ----------
        decrypted : Decrypted
        contributors : int, optional
            Parties that contributed, if some of those that the plan has room for dropped out.

        Raises
        ------
        ReleaseRefused
            If too few parties contributed.

        Security
        --------
        With n contributors, n - 1 of them together subtract their own and read the last one's.
        Nothing hides a contribution but the others', unless each contributor adds noise of its
        own before it encrypts.
        """
        self._check_contributors(decrypted.plan.summands if contributors is None else contributors)
        return decrypted.unwrap()

    def most_similar(self, plan: SimilarityPlan, panels: Iterable[Panel], n: int) -> TopSimilar:
        """Release the `n` most similar rows of every row, while panels stream by.

        Raises
        ------
        ReleaseRefused
            If more is asked for than the policy allows or than half of the rows, there are fewer
            rows than the policy asks for, the plan is of an own key, or it floods less than agreed.
        InvalidInput, Mismatch
            As :func:`hecf.he.similarity.scores.top_similar`.
        """
        self._policy.check_similar(n, plan.right)
        if plan.releases == 0:
            raise ReleaseRefused("an own-key similarity is released to nobody")
        self._check_flooding(plan)
        return top_similar(plan, self._flooded_panels(panels), n)

    def _flooded_panels(self, panels: Iterable[Panel]) -> Iterator[Panel]:
        for panel in panels:
            yield replace(panel, values=self._flooded(panel.plan, panel.values), flooded=True)

    def _flooded(
        self, plan: ProductPlan | SimilarityPlan | PaillierProductPlan, exact: Float
    ) -> Float:
        noisy = exact
        if plan.flooding > 0:
            noisy = noisy + plan.flooding * gaussian(noisy.shape, self._random)
        grid = 2.0**plan.grid_bits
        return np.rint(noisy * grid) / grid

    def _check(self, plan: ProductPlan | PaillierProductPlan, *expected: str) -> None:
        if plan.operation not in expected:
            raise ReleaseRefused(
                "a result is of another operation",
                got=plan.operation,
                expected=" or ".join(expected),
            )
        # A Paillier decryption is an integer function of the inputs: it has no noise that could
        # tell of the key, so there is nothing to flood.
        if not isinstance(plan, PaillierProductPlan):
            self._check_flooding(plan)

    def _check_contributors(self, contributors: int) -> None:
        if contributors < self._policy.minimum_contributors:
            raise ReleaseRefused(
                "a sum has too few contributors",
                got=contributors,
                expected=f"at least {self._policy.minimum_contributors}",
            )

    def _check_flooding(self, plan: ProductPlan | SimilarityPlan) -> None:
        agreed = (self._policy.statistical_bits, self._policy.releases)
        planned = (plan.statistical_bits, plan.releases)
        if planned[0] < agreed[0] or planned[1] < agreed[1]:
            raise ReleaseRefused(
                "a result is flooded for less than agreed",
                got=f"{planned[0]} bits and {planned[1]} releases",
                expected=f"{agreed[0]} and {agreed[1]}",
            )
