"""What a coalition agreed to release, as values that its terms fix."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hecf.errors import ReleaseRefused
from hecf.he.modular import Float
from hecf.he.paillier.product_plan import PaillierProductPlan
from hecf.he.product.plan import ProductPlan
from hecf.privacy.distributed import DistributedNoise
from hecf.privacy.sensitivity import blocks_sensitivity, joint_bound

_ROUNDING = 100.0
"""Rounding all numbers of a release to the grid of its noise moves them by a hundredth of the
sensitivity at most, which the noise covers as well."""


@dataclass(frozen=True)
class GramPrivacy:
    """Differential privacy of the Gram blocks, at the level of a shopper with all her rows.

    The release of all R (R - 1) / 2 blocks together is (epsilon, delta)-differentially private for
    fixed local embeddings. Retailers clip their rows; the release gate adds the noise.

    Parameters
    ----------
    epsilon, delta : float
        What the release spends.
    clip : float
        Largest norm of a shopper's row at a retailer, in units of ``sqrt(d / n)``, which is the
        root mean square norm of the rows of n shoppers in d orthonormal columns.
    noise_multiplier : float
        Standard deviation of the noise over the sensitivity.
    retailers : int
        Retailers at which a shopper may have a row.
    joint : bool
        Whether `clip` is of all rows of a shopper together. Each is then clipped to
        ``clip / sqrt(retailers)``: less noise, and less of a shopper who is at few retailers.

    Raises
    ------
    ReleaseRefused
        If a field is out of its range.

    Security
    --------
    The singular value decomposition behind a retailer's embedding depends on the shopper, too, and
    the item model that a target gives to the node follows from it. Neither is covered: the promise
    is about the released blocks, against somebody to whom the embeddings' axes say nothing.
    Recommendations to a shopper depend on her own purchases and cannot be private to her.
    """

    epsilon: float
    delta: float
    clip: float
    noise_multiplier: float
    retailers: int
    joint: bool = False

    def __post_init__(self) -> None:
        numbers = (self.epsilon, self.clip, self.noise_multiplier)
        sound = all(0 < number < math.inf for number in numbers) and 0 < self.delta < 1
        if not sound or type(self.retailers) is not int or self.retailers < 2:
            raise ReleaseRefused(
                "differential privacy is out of range",
                got=(self.epsilon, self.delta, self.clip, self.noise_multiplier, self.retailers),
                expected="positive numbers, delta below 1, 2 retailers",
            )

    def row_bound(self, factors: int, shoppers: int) -> float:
        """Largest norm of a row at one retailer."""
        bound = self.clip * math.sqrt(factors / shoppers)
        return joint_bound(bound, self.retailers) if self.joint else bound

    def sensitivity(self, plan: ProductPlan | PaillierProductPlan) -> float:
        """Norm by which a shopper moves all blocks together."""
        return blocks_sensitivity(self.row_bound(plan.left, plan.inner), self.retailers)

    def grid_bits(self, plan: ProductPlan | PaillierProductPlan) -> int:
        """Released entries and their noise are multiples of ``2 ** -grid_bits``."""
        steps = _ROUNDING * math.sqrt(self._numbers(plan)) / self.sensitivity(plan)
        return max(1, math.ceil(math.log2(steps)))

    def deviation(self, plan: ProductPlan | PaillierProductPlan) -> float:
        """Return the standard deviation of the noise of an entry, without that of flooding."""
        # What an encryption adds depends on the data, too, within the plan's worst case.
        inexact = 0.5 ** self.grid_bits(plan) + 2 * plan.error_bound
        moved = self.sensitivity(plan) + math.sqrt(self._numbers(plan)) * inexact
        return self.noise_multiplier * moved

    def _numbers(self, plan: ProductPlan | PaillierProductPlan) -> int:
        return plan.left * plan.right * self.retailers * (self.retailers - 1) // 2


@dataclass(frozen=True)
class SumPrivacy:
    """Differential privacy of sums, at the level of a shopper with all that she adds to them.

    Retailers bound what a shopper adds, and add their noise themselves before they encrypt, so that
    not even the key holder sees a sum without it.

    Parameters
    ----------
    clip : float
        Largest Euclidean norm of what a shopper adds to the vector of one retailer.
    noise_multiplier : float
        Standard deviation of the noise of a sum over its sensitivity.
    contributors : int
        Fewest retailers whose vectors are in a released sum; their shares of noise suffice.
    colluders : int
        Retailers among them who may subtract their own shares. A recipient that contributes is one.
    appearances : int
        Retailers at which a shopper may be: 1 where their shoppers are different.

    Raises
    ------
    ReleaseRefused
        If a field is out of its range.

    Security
    --------
    The clipping and the noise are a retailer's own: nobody can check either under encryption. One
    that adds less than its share weakens the promise to everybody's shoppers by that share.
    """

    clip: float
    noise_multiplier: float
    contributors: int
    colluders: int
    appearances: int

    def __post_init__(self) -> None:
        positive = all(0 < number < math.inf for number in (self.clip, self.noise_multiplier))
        if not (positive and 0 <= self.colluders < self.contributors and self.appearances >= 1):
            raise ReleaseRefused(
                "the privacy of sums is out of range",
                got=(self.clip, self.noise_multiplier, self.contributors, self.colluders),
                expected="positive numbers, and fewer colluders than contributors",
            )

    def sensitivity(self, values: int, fraction_bits: int) -> float:
        """Norm by which a shopper moves a sum of vectors that are rounded to a grid."""
        # Rounding moves every number of a vector by half a step at most, with her and without her.
        rounding = math.sqrt(values) * 0.5**fraction_bits
        return self.appearances * (self.clip + rounding)

    def noise(self, values: int, fraction_bits: int) -> DistributedNoise:
        """Return the noise of a sum: its deviation, and every contributor's share of it."""
        return DistributedNoise(
            self.noise_multiplier * self.sensitivity(values, fraction_bits),
            self.contributors,
            colluders=self.colluders,
        )


@dataclass(frozen=True)
class ReleasePolicy:
    """The conditions under which a decrypted value may leave a key holder.

    The terms of a coalition determine every field, so their fingerprint binds the policy into each
    task. Agreed positions and the grid come with a result's plan, recipients with its task; both
    are bound in the same way.

    Parameters
    ----------
    minimum_shoppers : int
        Least number of rows under a Gram block.
    top_k : int
        Items of a shopper that are released from a score, and rows from a similarity.
    minimum_contributors : int
        Least number of parties in a sum.
    blinded : bool
        Whether scores leave under a mask, unread, or as the best items of every shopper.
    statistical_bits, releases : int
        Least strength s and number of releases tau of a plan's flooding noise.
    gram_privacy : GramPrivacy or None
        Differential privacy of Gram blocks; None adds no noise but flooding.
    minimum_rows : int
        Least number of rows of another party from which the most similar are chosen.
    largest_product : float
        Largest entry of a Gram block; 1 where columns are orthonormal. Uploads are encrypted, so
        only a block tells that one of them was larger than agreed, and singled shoppers out.

    Raises
    ------
    ReleaseRefused
        If the policy would protect nobody.
    """

    minimum_shoppers: int
    top_k: int
    minimum_contributors: int = 2
    statistical_bits: int = 30
    releases: int = 1
    blinded: bool = False
    gram_privacy: GramPrivacy | None = None
    minimum_rows: int = 2
    largest_product: float = math.inf

    def __post_init__(self) -> None:
        least = (self.minimum_shoppers, self.minimum_contributors, self.minimum_rows)
        counts = (*least, self.top_k, self.statistical_bits, self.releases)
        # A comparison with NaN is false, so a minimum of NaN would let everything through.
        if not all(type(count) is int for count in counts):
            raise ReleaseRefused(
                "a release policy counts in whole numbers", got=counts, expected="integers"
            )
        if min(least) < 2 or self.top_k < 1:
            raise ReleaseRefused(
                "a release policy is too weak",
                got=(*least, self.top_k),
                expected="at least 2 shoppers, 2 contributors, 2 rows and 1 item",
            )
        if not self.largest_product > 0:
            raise ReleaseRefused(
                "a release policy takes no Gram block",
                got=self.largest_product,
                expected="a largest product above 0",
            )
        if self.statistical_bits < 1 or self.releases < 1:
            raise ReleaseRefused(
                "a release policy asks for no flooding",
                got=(self.statistical_bits, self.releases),
                expected="at least 1 bit and 1 release",
            )

    def check_block(self, block: Float, error: float) -> None:
        """Refuse a Gram block that agreed operands cannot have.

        Parameters
        ----------
        block : float64 array
            As decrypted.
        error : float
            How far an entry may be off.

        Raises
        ------
        ReleaseRefused
            If an entry exceeds `largest_product`. How far is not said: it tells of the data.
        """
        if not bool(np.all(np.abs(block) <= self.largest_product + error)):
            raise ReleaseRefused(
                "a Gram block is not one of orthonormal columns",
                expected=f"no entry beyond {self.largest_product:g}",
            )

    def check_similar(self, count: int, rows: int) -> None:
        """Refuse to release the `count` most similar of some rows.

        Raises
        ------
        ReleaseRefused
            If more is asked for than `top_k` or than half of the rows, or there are fewer rows
            than agreed.
        """
        if count > self.top_k:
            raise ReleaseRefused(
                "more similar rows are asked for than agreed", got=count, expected=self.top_k
            )
        # The best of nearly all rows would be the whole matrix.
        least = max(2 * count, self.minimum_rows)
        if rows < least:
            raise ReleaseRefused(
                "the best are chosen from too few rows", got=rows, expected=f"at least {least}"
            )
