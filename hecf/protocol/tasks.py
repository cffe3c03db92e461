"""The two tasks of a coalition: the joint Gram blocks, and the scores of one target.

::

    retailer r                 compute node                key holder            retailer t
    ----------                 ------------                ----------            ----------
    left_r, right_r  ------->  P_r' P_s for all r < s
                               concealed block   ------->  decrypt, gate ----->  every block
    W from the blocks
    e_r W_rt         ------->  sum over r                                        items, bias
                               score on the items <----------------------------- of target t
                               concealed scores  ------->  decrypt, gate ----->  top k
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations

from hecf.errors import Conflict, InvalidInput
from hecf.he.plan import LEFT, RIGHT, ProductPlan
from hecf.he.planner import plan_gram, plan_score
from hecf.protocol.terms import Terms

GRAM_PRECISION = 2.0**-18
"""Largest standard deviation of a released Gram entry; columns have norm 1."""

SCORE_PRECISION = 2.0**-20
"""Largest standard deviation of a released score, where item columns have 1-norm 1."""

EMBEDDING_BOUND = 1.0
"""Largest entry of a contribution to a score: rows of an orthonormal matrix, shrunk."""

MODEL = "model"
SCORES = "scores"
MOST_ITEMS = 1 << 22

Part = tuple[str, str]
"""A retailer and what it contributes: left, right or model."""


@dataclass(frozen=True)
class GramTask:
    """All cross-Gram blocks of a coalition, which its terms define completely."""

    terms: Terms

    @cached_property
    def identifier(self) -> str:
        """SHA-256 over terms and plan in hexadecimal."""
        return _digest("gram", self.terms, self.plan)

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
        If the target is no retailer of the coalition or the rows are not in the directory.

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
        if self.target not in self.terms.retailers:
            raise InvalidInput(
                "unknown retailer", got=self.target, expected=" or ".join(self.terms.retailers)
            )
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
        return _digest("score", self.terms, self.plan, self.target.encode(), rows)

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


Task = GramTask | ScoreTask


@lru_cache(maxsize=16)
def gram_plan(terms: Terms) -> ProductPlan:
    """Plan the Gram blocks of a coalition; its parameters are those of the coalition's key.

    Raises
    ------
    ParameterError
        If no secure parameters give the precision.
    """
    return plan_gram(
        scheme=terms.scheme,
        rows=terms.shoppers,
        left=terms.factors,
        right=terms.factors,
        precision=GRAM_PRECISION,
        statistical_bits=terms.statistical_bits,
        releases=terms.releases,
    )


def _digest(kind: str, terms: Terms, plan: ProductPlan, *more: bytes) -> str:
    state = hashlib.sha256(f"hecf task 1 {kind}".encode())
    for part in (bytes.fromhex(terms.fingerprint), plan.fingerprint, *more):
        state.update(struct.pack("<Q", len(part)) + part)
    return state.hexdigest()


class TaskState:
    """Who has contributed what to a task.

    Contributions are idempotent: the same bytes again change nothing, other bytes are refused.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._digests: dict[Part, str] = {}

    def accept(self, part: Part, digest: str) -> bool:
        """Record a contribution; returns False if it was there already.

        Raises
        ------
        InvalidInput
            If the task has no such part.
        Conflict
            If other bytes were contributed before.
        """
        self.check(part)
        known = self._digests.get(part)
        if known is not None and known != digest:
            raise Conflict(
                f"{part[0]} has already contributed to this task; "
                "a new round needs a newly provisioned or restarted coalition"
            )
        self._digests[part] = digest
        return known is None

    def check(self, part: Part) -> None:
        """Refuse a part that the task does not have.

        Raises
        ------
        InvalidInput
        """
        if part not in self.task.parts:
            raise InvalidInput(f"{part[0]} contributes no such part to this task", got=part[1])

    def digest(self, part: Part) -> str:
        """SHA-256 of a contribution that was accepted."""
        return self._digests[part]

    @property
    def missing(self) -> tuple[str, ...]:
        """Retailers that still have to contribute."""
        names = dict.fromkeys(
            name for name, what in self.task.parts if (name, what) not in self._digests
        )
        return tuple(names)

    def __iter__(self) -> Iterator[Part]:
        return iter(self._digests)
