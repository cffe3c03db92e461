"""The clear twin of an encrypted similarity: the same calls in float64, for tests.

Security
--------
Nothing is encrypted. The scheme's name stands in the plan, and no default ever selects it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hecf.errors import Mismatch
from hecf.he.modular import Float
from hecf.he.plan import LEFT, RIGHT, check_scheme
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.similarity.scores import Panel


@dataclass(frozen=True)
class ClearRows:
    """An operand in clear: float64 of shape (left or right, d)."""

    plan: SimilarityPlan
    side: str
    values: Float


@dataclass(frozen=True)
class ClearTile:
    """One panel of a result in clear: float64 of shape (rows, columns)."""

    plan: SimilarityPlan
    row_block: int
    column_block: int
    values: Float


class ClearRowEncryptor:
    """Checks rows as the encryptors do and passes them on."""

    def encrypt(self, plan: SimilarityPlan, side: str, matrix: Float) -> ClearRows:
        """Check one operand against its plan; errors as for the encryptors."""
        check_scheme(plan, "clear")
        return ClearRows(plan, side, plan.checked(side, matrix))


class ClearSimilarityEvaluator:
    """The evaluator's operation in float64."""

    def evaluate(self, left: ClearRows, right: ClearRows) -> Iterator[ClearTile]:
        """Compute ``A B'``, one panel a tile."""
        plan = left.plan
        check_scheme(plan, "clear")
        for operand, side in ((left, LEFT), (right, RIGHT)):
            if operand.plan.fingerprint != plan.fingerprint or operand.side != side:
                raise Mismatch("an operand belongs to another plan")
        return _products(left, right)


class ClearSimilarityDecryptor:
    """Hands out what clear tiles hold."""

    def panels(self, plan: SimilarityPlan, tiles: Iterable[ClearTile]) -> Iterator[Panel]:
        """Yield tiles as panels."""
        check_scheme(plan, "clear")
        for tile in tiles:
            if tile.plan.fingerprint != plan.fingerprint:
                raise Mismatch("a tile belongs to another plan")
            yield Panel(plan, tile.row_block, tile.column_block, tile.values)


def _products(left: ClearRows, right: ClearRows) -> Iterator[ClearTile]:
    plan = left.plan
    degree = plan.parameters.ring_degree
    for x in range(plan.blocks(LEFT)):
        rows = left.values[x * degree : (x + 1) * degree]
        for y in range(plan.blocks(RIGHT)):
            columns = right.values[y * degree : (y + 1) * degree]
            yield ClearTile(plan, x, y, rows @ columns.T)
