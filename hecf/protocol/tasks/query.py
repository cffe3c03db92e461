"""Scores that one retailer asks for under its own key, on the catalogue of another."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

from hecf.errors import InvalidInput
from hecf.he.plan import LEFT
from hecf.he.product.plan import ProductPlan
from hecf.he.product.planner import plan_score
from hecf.protocol.tasks.identity import Part, check_retailer, digest
from hecf.protocol.tasks.score import EMBEDDING_BOUND, MODEL, MOST_ITEMS, SCORE_PRECISION, SCORES
from hecf.protocol.terms import OWN_KEY, Terms

KEY = "key"


@dataclass(frozen=True)
class QueryTask:
    """Scores of an asker's own shoppers on the catalogue of an owner.

    The owner declares it, because its item model is what an answer tells of, and gives the node
    that model. The asker gives its shoppers, encrypted under a key that it draws for this task,
    and decrypts the answer itself: no key holder takes part.

    Parameters
    ----------
    terms : Terms
    owner : str
        The retailer whose items are scored.
    asker : str
        The retailer whose shoppers are scored, and the only one to decrypt.
    shoppers : int
        Shoppers that the owner lets the asker ask about. A query has that many columns, zeros
        where fewer are asked about, so its size says nothing.
    items : int
        Size of the owner's catalogue.

    Raises
    ------
    InvalidInput
        If the terms have another topology, a name is no retailer of the coalition, both are the
        same, or a number is out of its range.

    Security
    --------
    The scores are linear in the item model: from as many shoppers as there are factors the asker
    solves for it (:mod:`hecf.privacy.attacks.model_recovery`). An answer tells it nothing more,
    because the node conceals and floods it.
    """

    terms: Terms
    owner: str
    asker: str
    shoppers: int
    items: int

    def __post_init__(self) -> None:
        if self.terms.topology != OWN_KEY:
            raise InvalidInput(
                "the terms do not agree on queries", got=self.terms.topology, expected=OWN_KEY
            )
        check_retailer(self.terms, self.owner)
        check_retailer(self.terms, self.asker)
        if self.owner == self.asker:
            raise InvalidInput("a retailer asks nobody about its own catalogue", got=self.asker)
        if not 1 <= self.shoppers <= self.terms.shoppers:
            raise InvalidInput(
                "a query has an unsuitable number of shoppers",
                got=self.shoppers,
                expected=f"1 to the {self.terms.shoppers} of the directory",
            )
        if not self.terms.top_k <= self.items <= MOST_ITEMS:
            raise InvalidInput(
                "the catalogue has an unsuitable size",
                got=self.items,
                expected=f"{self.terms.top_k} (the best items of a shopper) to {MOST_ITEMS}",
            )

    @cached_property
    def identifier(self) -> str:
        """SHA-256 over terms, plan, names and sizes in hexadecimal."""
        sizes = struct.pack("<II", self.shoppers, self.items)
        names = (self.owner.encode(), self.asker.encode())
        return digest("query", self.terms, self.plan, *names, sizes)

    @property
    def name(self) -> str:
        """Name of the task within its coalition: there is one for each ordered pair."""
        return self.name_of(self.owner, self.asker)

    @staticmethod
    def name_of(owner: str, asker: str) -> str:
        """Return the name of the queries of an asker to an owner."""
        return f"query/{owner}/{asker}"

    @property
    def declarer(self) -> str:
        """The retailer that declares the task."""
        return self.owner

    @cached_property
    def plan(self) -> ProductPlan:
        """The plan of the scores, with parameters of its own."""
        return plan_score(
            scheme=self.terms.scheme,
            factors=self.terms.factors,
            shoppers=self.shoppers,
            items=self.items,
            retailers=1,
            operand_bound=EMBEDDING_BOUND,
            precision=SCORE_PRECISION,
            statistical_bits=self.terms.statistical_bits,
            releases=self.terms.releases,
            special=False,
        )

    @property
    def parts(self) -> list[Part]:
        """What is contributed."""
        return [(self.owner, MODEL), (self.asker, KEY), (self.asker, LEFT)]

    @property
    def results(self) -> list[str]:
        """Names of the results."""
        return [SCORES]

    @property
    def recipients(self) -> tuple[str, ...]:
        """The asker, and nobody else."""
        return (self.asker,)
