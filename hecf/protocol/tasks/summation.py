"""A weighted sum of vectors, exact in fixed point."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

from hecf.errors import InvalidInput
from hecf.he.paillier.plan import SCHEME, PaillierSumPlan
from hecf.he.plan import LEFT
from hecf.he.scheme import scheme_by_name
from hecf.he.summation.plan import SumPlan
from hecf.privacy.distributed import DistributedNoise
from hecf.protocol.tasks.identity import (
    Part,
    check_label,
    check_retailer,
    check_retailers,
    digest,
)
from hecf.protocol.tasks.parameters import key_parameters
from hecf.protocol.terms import BLINDED, Terms

TOTAL = "total"
MOST_VALUES = 1 << 28
LARGEST_WEIGHT = 1 << 20


@dataclass(frozen=True)
class SumTask:
    """The sum of one vector of every contributor, each times its integer weight.

    Parameters
    ----------
    terms : Terms
    declarer : str
        The retailer that declares the task; it need not contribute or receive.
    label : str
        What is summed: lower-case letters, digits and hyphens. A declarer uses a label once.
    values : int
        Length of every vector.
    value_bound : float
        Largest absolute value of a vector.
    fraction_bits : int
        Values are rounded to multiples of ``2 ** -fraction_bits``; their sum is exact.
    contributors, recipients : tuple of str
        Retailers in the order of the terms; none stands for all.
    weights : tuple of int
        A weight other than zero for every contributor; none stands for ones.

    Raises
    ------
    InvalidInput
        If a name is no retailer, there are fewer contributors than the terms ask for, or a number
        is out of its range, or the terms agree on privacy and not on such a sum.
    ParameterError
        If sums of that bound and precision do not fit the parameters of the coalition's key.

    Security
    --------
    A recipient that contributes can subtract its own vector. Two sums that differ by one
    contributor differ by its vector: a retailer agrees to every task separately, by contributing.
    """

    terms: Terms
    declarer: str
    label: str
    values: int
    value_bound: float
    fraction_bits: int = 0
    contributors: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    weights: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "contributors", self.contributors or self.terms.retailers)
        object.__setattr__(self, "recipients", self.recipients or self.terms.retailers)
        object.__setattr__(self, "weights", self.weights or (1,) * len(self.contributors))
        object.__setattr__(self, "value_bound", float(self.value_bound))
        check_retailer(self.terms, self.declarer)
        check_retailers(self.terms, self.contributors, "the contributors of a sum")
        check_retailers(self.terms, self.recipients, "the recipients of a sum")
        if len(self.contributors) < self.terms.minimum_contributors:
            raise InvalidInput(
                "a sum has too few contributors",
                got=len(self.contributors),
                expected=f"at least minimum_contributors = {self.terms.minimum_contributors}",
            )
        check_label(self.label, "a sum")
        if not 1 <= self.values <= MOST_VALUES:
            raise InvalidInput(
                "a sum has an unsuitable length", got=self.values, expected=f"1 to {MOST_VALUES}"
            )
        suitable = all(0 < abs(weight) <= LARGEST_WEIGHT for weight in self.weights)
        if len(self.weights) != len(self.contributors) or not suitable:
            raise InvalidInput(
                "a sum has unsuitable weights",
                got=self.weights,
                expected=f"one for each of {len(self.contributors)} contributors, not 0",
            )
        if self.terms.private:
            self._check_privacy()
        # Refuses bounds that do not fit before anybody agrees to the task.
        _ = self.plan

    @cached_property
    def identifier(self) -> str:
        """SHA-256 over terms, plan and every field in hexadecimal."""
        fields = (self.declarer, self.label, self.contributors, self.recipients, self.weights)
        return digest("sum", self.terms, self.plan, json.dumps(fields).encode())

    @property
    def name(self) -> str:
        """Name of the task within its coalition."""
        return self.name_of(self.declarer, self.label)

    @staticmethod
    def name_of(declarer: str, label: str) -> str:
        """Return the name of the sum that a retailer declares under a label."""
        return f"sum/{declarer}/{label}"

    @cached_property
    def plan(self) -> SumPlan | PaillierSumPlan:
        """The plan of the sum, under the coalition's key."""
        plan: SumPlan | PaillierSumPlan = scheme_by_name(self.terms.scheme).plan_sum(
            values=self.values,
            summands=len(self.contributors),
            value_bound=self.value_bound,
            precision=0.5 ** (self.fraction_bits + 1),
            weight_bound=sum(abs(weight) for weight in self.weights),
            parameters=key_parameters(self.terms),
        )
        return plan

    @property
    def blinded(self) -> bool:
        """Whether the sum is decrypted under a mask that only its recipients can take off.

        Paillier decrypts exactly, so a masked sum needs no noise. A CKKS sum is exact only after
        its noise was rounded away, which whoever decrypts it does.
        """
        return self.terms.topology == BLINDED and self.terms.scheme == SCHEME

    @property
    def noise(self) -> DistributedNoise | None:
        """What every contributor adds to its vector before it encrypts, if privacy was agreed on.

        The value bound leaves room for it.
        """
        private = self.terms.sum_privacy
        return None if private is None else private.noise(self.values, self.fraction_bits)

    @property
    def parts(self) -> list[Part]:
        """What is contributed: a vector of every contributor."""
        return [(name, LEFT) for name in self.contributors]

    @property
    def results(self) -> list[str]:
        """Names of the results."""
        return [TOTAL]

    def _check_privacy(self) -> None:
        if self.terms.sum_privacy is None:
            raise InvalidInput("the terms agree on privacy and on no sums", got=self.label)
        # A weight would multiply what a shopper adds, but only its retailer's share of the noise.
        if any(abs(weight) != 1 for weight in self.weights):
            raise InvalidInput(
                "a private sum weighs its contributors", got=self.weights, expected="1 or -1 each"
            )
