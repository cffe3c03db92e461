"""Scores of some members on the catalogue of one retailer."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

from hecf.errors import InvalidInput
from hecf.he.plan import LEFT
from hecf.he.product.plan import ProductPlan
from hecf.he.product.planner import plan_score
from hecf.protocol.tasks.gram import gram_plan
from hecf.protocol.tasks.identity import Part, check_retailer, digest
from hecf.protocol.terms import BLINDED, OWN_KEY, Terms

SCORE_PRECISION = 2.0**-20
"""Largest standard deviation of a released score, where item columns have 1-norm 1."""

EMBEDDING_BOUND = 1.0
"""Largest entry of a contribution to a score: rows of an orthonormal matrix, shrunk."""

MODEL = "model"
SCORES = "scores"
MOST_ITEMS = 1 << 22


@dataclass(frozen=True)
class ScoreTask:
    """Scores of some directory rows on the catalogue of one target.

    Parameters
    ----------
    terms : Terms
    target : str
        The retailer whose items are scored.
    rows : tuple of int
        Ascending positions in the member directory.
    items : int
        Size of the target's catalogue.

    Raises
    ------
    InvalidInput
        If the terms agree on queries, the target is no retailer of the coalition or the rows are
        not in the directory.

    Security
    --------
    The other retailers and the compute node learn the rows. Retailers can tell which members they
    are; the node cannot.
    """

    terms: Terms
    target: str
    rows: tuple[int, ...]
    items: int

    def __post_init__(self) -> None:
        check_retailer(self.terms, self.target)
        if self.terms.topology == OWN_KEY:
            raise InvalidInput("the terms agree on queries instead of scores", got=OWN_KEY)
        if not self.terms.top_k <= self.items <= MOST_ITEMS:
            raise InvalidInput(
                "the catalogue has an unsuitable size",
                got=self.items,
                expected=f"{self.terms.top_k} (the items released a shopper) to {MOST_ITEMS}",
            )
        if not self.rows:
            raise InvalidInput("a score task names no shopper", got=0, expected="at least 1")
        ascending = all(a < b for a, b in zip(self.rows, self.rows[1:], strict=False))
        if not ascending or self.rows[0] < 0 or self.rows[-1] >= self.terms.shoppers:
            raise InvalidInput(
                "a score task's rows do not fit the directory",
                got=f"{len(self.rows)} rows up to {max(self.rows)}",
                expected=f"ascending positions below {self.terms.shoppers}",
            )

    @cached_property
    def identifier(self) -> str:
        """SHA-256 over terms, plan, target and rows in hexadecimal."""
        rows = struct.pack(f"<{len(self.rows)}I", *self.rows)
        return digest("score", self.terms, self.plan, self.target.encode(), rows)

    @property
    def name(self) -> str:
        """Name of the task within its coalition: a target has one."""
        return self.name_of(self.target)

    @staticmethod
    def name_of(target: str) -> str:
        """Return the name of the score task of a target."""
        return f"score/{target}"

    @property
    def declarer(self) -> str:
        """The retailer that declares the task."""
        return self.target

    @cached_property
    def plan(self) -> ProductPlan:
        """The plan of the scores, under the key of the Gram task."""
        terms = self.terms
        return plan_score(
            scheme=terms.scheme,
            factors=terms.factors,
            shoppers=len(self.rows),
            items=self.items,
            retailers=len(terms.retailers) - 1,
            operand_bound=EMBEDDING_BOUND,
            precision=SCORE_PRECISION,
            statistical_bits=terms.statistical_bits,
            releases=terms.releases,
            parameters=gram_plan(terms).parameters,
        )

    @property
    def blinded(self) -> bool:
        """Whether the scores are decrypted under a mask that only the target can take off."""
        return self.terms.topology == BLINDED

    @property
    def sources(self) -> tuple[str, ...]:
        """Retailers that contribute embeddings."""
        return tuple(name for name in self.terms.retailers if name != self.target)

    @property
    def parts(self) -> list[Part]:
        """What is contributed."""
        return [*((name, LEFT) for name in self.sources), (self.target, MODEL)]

    @property
    def results(self) -> list[str]:
        """Names of the results."""
        return [SCORES]

    @property
    def recipients(self) -> tuple[str, ...]:
        """The target, and nobody else."""
        return (self.target,)
