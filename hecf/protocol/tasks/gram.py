"""The task of every coalition: all cross-Gram blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations

from hecf.errors import InvalidInput
from hecf.he.paillier.plan import SCHEME as PAILLIER
from hecf.he.paillier.planner import unsupported
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.plan import ProductPlan
from hecf.he.product.planner import plan_gram
from hecf.protocol.tasks.identity import Part, digest
from hecf.protocol.terms import Terms

GRAM_PRECISION = 2.0**-18
"""Largest standard deviation of a released Gram entry; columns have norm 1."""


@dataclass(frozen=True)
class GramTask:
    """All cross-Gram blocks of a coalition, which its terms define completely.

    Raises
    ------
    InvalidInput
        If the terms have no member directory, or agree on privacy for sums alone.
    """

    terms: Terms

    def __post_init__(self) -> None:
        if not self.terms.blocks_agreed:
            raise InvalidInput("the terms agree on no Gram blocks")

    @cached_property
    def identifier(self) -> str:
        """SHA-256 over terms and plan in hexadecimal."""
        return digest("gram", self.terms, self.plan)

    @property
    def name(self) -> str:
        """Name of the task within its coalition."""
        return "gram"

    @cached_property
    def plan(self) -> ProductPlan:
        """The plan of every block."""
        return gram_plan(self.terms)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Retailers of each block, in the agreed order."""
        return list(combinations(self.terms.retailers, 2))

    @property
    def parts(self) -> list[Part]:
        """What is contributed: the first retailer is never right, the last never left."""
        retailers = self.terms.retailers
        return [(name, LEFT) for name in retailers[:-1]] + [(name, RIGHT) for name in retailers[1:]]

    @property
    def results(self) -> list[str]:
        """Names of the results."""
        return [f"{first}/{second}" for first, second in self.pairs]

    @property
    def recipients(self) -> tuple[str, ...]:
        """Retailers to whom the released blocks go."""
        return self.terms.retailers


@lru_cache(maxsize=16)
def gram_plan(terms: Terms) -> ProductPlan:
    """Plan the Gram blocks of a coalition; its parameters are those of the coalition's key.

    Raises
    ------
    ParameterError
        If no secure parameters give the precision, or the scheme cannot multiply two ciphertexts.
    """
    if terms.scheme == PAILLIER:
        raise unsupported("product of two encrypted matrices")
    return plan_gram(
        scheme=terms.scheme,
        rows=terms.shoppers,
        left=terms.factors,
        right=terms.factors,
        precision=GRAM_PRECISION,
        statistical_bits=terms.statistical_bits,
        releases=terms.releases,
    )
