"""The most similar rows of another retailer: look-alike shoppers, matching items."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

from hecf.errors import InvalidInput
from hecf.he.modular import Float
from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.paillier.planner import unsupported
from hecf.he.plan import LEFT, RIGHT, WORD_BYTES
from hecf.he.product.plan import ProductPlan
from hecf.he.similar_rows import plan_similar_rows
from hecf.he.similarity.matrices import TilePlace, tile_places
from hecf.he.similarity.plan import SimilarityPlan
from hecf.protocol.tasks.identity import Part, check_label, check_retailer, digest
from hecf.protocol.tasks.parameters import key_parameters
from hecf.protocol.terms import Terms

SIMILARITY_PRECISION = 2.0**-10
"""Largest standard deviation of a released similarity of rows of norm 1."""

TILE_BYTES = 8 << 20
"""Most bytes of words of one tile; a tile is a result of its own, and has one row at least."""

PRODUCT = "product"
"""Name of the one result of packed rows."""

MOST_ROWS = 1 << 20
MOST_COLUMNS = 4096
MOST_RESULT_BYTES = 1 << 36


@dataclass(frozen=True)
class SimilarityTask:
    """The most similar rows of another retailer for every row of one's own.

    Few rows are packed, and have one result; many have a result for every tile of a panel.

    Parameters
    ----------
    terms : Terms
    declarer : str
        The retailer that asks, contributes the left rows, and alone receives the result.
    label : str
        What is compared: lower-case letters, digits and hyphens. A declarer uses a label once.
    source : str
        The other retailer, among whose rows the most similar are found.
    left, right : int
        Rows of the declarer and of the source.
    inner : int
        Columns of both.
    count : int
        Rows of the source that are released for each row of the declarer.

    Raises
    ------
    InvalidInput
        If the two are not different retailers of the coalition, a number is out of its range, or
        the terms agree on privacy, which nothing gives to similarities.
    ReleaseRefused
        If more rows are asked for than the terms release, or than half of the source's rows.
    ParameterError
        If the scheme cannot multiply two encrypted matrices, or the precision does not fit the
        parameters of the coalition's key.

    Security
    --------
    The key holder reads the similarities by position, in every topology. A declarer with rows of
    its own choice learns where the source's rows lie; with d independent ones, everything about
    those that are released. Two tasks on rows that changed in between tell what changed
    (:mod:`hecf.privacy.attacks.temporal`). The source agrees to every task separately, by
    contributing.
    """

    terms: Terms
    declarer: str
    label: str
    source: str
    left: int
    right: int
    inner: int
    count: int

    def __post_init__(self) -> None:
        check_retailer(self.terms, self.declarer)
        check_retailer(self.terms, self.source)
        if self.source == self.declarer:
            raise InvalidInput("similar rows are those of another retailer", got=self.source)
        check_label(self.label, "a similarity")
        if self.terms.private:
            raise InvalidInput("the terms agree on privacy and on no similarities", got=self.label)
        for number, most, what in (
            (self.left, MOST_ROWS, "number of rows"),
            (self.right, MOST_ROWS, "number of rows"),
            (self.inner, MOST_COLUMNS, "number of columns"),
            (self.count, self.right, "number of similar rows"),
        ):
            if not 1 <= number <= most:
                raise InvalidInput(
                    f"a similarity has an unsuitable {what}", got=number, expected=f"1 to {most}"
                )
        self.terms.release_policy.check_similar(self.count, self.right)
        if self.plan.result_bytes > MOST_RESULT_BYTES:
            raise InvalidInput(
                "a similarity is too large",
                got=f"{self.plan.result_bytes} bytes of encrypted result",
                expected=f"at most {MOST_RESULT_BYTES}",
            )

    @cached_property
    def identifier(self) -> str:
        """SHA-256 over terms, plan and every field in hexadecimal."""
        fields = (self.declarer, self.label, self.source, self.count, TILE_BYTES)
        return digest("similarity", self.terms, self.plan, json.dumps(fields).encode())

    @property
    def name(self) -> str:
        """Name of the task within its coalition."""
        return self.name_of(self.declarer, self.label)

    @staticmethod
    def name_of(declarer: str, label: str) -> str:
        """Return the name of the similarity that a retailer declares under a label."""
        return f"similarity/{declarer}/{label}"

    @property
    def plan(self) -> ProductPlan | SimilarityPlan:
        """The plan of the similarities, under the coalition's key."""
        return _plan(self.terms, self.inner, self.left, self.right)

    def operand(self, rows: Float) -> Float:
        """Lay the rows of a retailer out as the operand that the plan asks for."""
        return rows.T if isinstance(self.plan, ProductPlan) else rows

    @property
    def parts(self) -> list[Part]:
        """What is contributed."""
        return [(self.declarer, LEFT), (self.source, RIGHT)]

    @property
    def ciphertexts(self) -> int:
        """Ciphertexts of the result, each of which is a release of the budget."""
        plan = self.plan
        if isinstance(plan, SimilarityPlan):
            return plan.blocks(LEFT) * plan.blocks(RIGHT)
        return math.prod(plan.constant_shape[:2])

    @property
    def results(self) -> list[str]:
        """Names of the results, in the order in which they are decrypted."""
        return list(self._results)

    @cached_property
    def _results(self) -> tuple[str, ...]:
        plan = self.plan
        if isinstance(plan, ProductPlan):
            return (PRODUCT,)
        blocks = (range(plan.blocks(LEFT)), range(plan.blocks(RIGHT)))
        # In clear a tile is a whole panel.
        whole = 2 * plan.parameters.ring_degree
        rows = whole if plan.scheme == "clear" else tile_rows(plan)
        return tuple(result_name(place) for place in tile_places(plan, rows, *blocks))

    @property
    def recipients(self) -> tuple[str, ...]:
        """The declarer, and nobody else."""
        return (self.declarer,)


@lru_cache(maxsize=16)
def _plan(terms: Terms, inner: int, left: int, right: int) -> ProductPlan | SimilarityPlan:
    parameters = key_parameters(terms)
    if isinstance(parameters, PaillierParameters):
        raise unsupported("similarity of two encrypted matrices")
    return plan_similar_rows(
        scheme=terms.scheme,
        inner=inner,
        left=left,
        right=right,
        precision=SIMILARITY_PRECISION,
        statistical_bits=terms.statistical_bits,
        releases=terms.releases,
        parameters=parameters,
    )


def tile_rows(plan: SimilarityPlan) -> int:
    """Return the most stacked rows of a tile."""
    level, _, width = plan.panel_shape(0, 0)
    rows = TILE_BYTES // (WORD_BYTES * level * width)
    return min(max(1, rows), plan.parameters.ring_degree)


def result_name(place: TilePlace) -> str:
    """Return the name of a tile among the results of its task."""
    return f"{place.row_block}/{place.column_block}/{place.first}"
