"""How much work a plan is, and how long a machine takes for it, once that was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from hecf.errors import ParameterError
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.plan import SCORE, ProductPlan
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.similarity.planner import multiply_adds
from hecf.he.summation.plan import SumPlan

Plan = ProductPlan | SumPlan | SimilarityPlan


@dataclass(frozen=True)
class Work:
    """Units of each kind of work, or the seconds that a million of each take.

    Parameters
    ----------
    encrypt : float
        Words of fresh ciphertext.
    prepare : float
        Words of items in clear that a score multiplies with.
    multiply : float
        Products of residues, or residues that are read and added up for a sum.
    conceal : float
        Words of encryptions of zero, or of what else conceals a similarity.
    decrypt : float
        Words that are transformed to decrypt, and words of values that come out.

    Raises
    ------
    ParameterError
        If one is negative or not finite.
    """

    encrypt: float
    prepare: float
    multiply: float
    conceal: float
    decrypt: float

    def __post_init__(self) -> None:
        values = [getattr(self, each.name) for each in fields(self)]
        if not all(0 <= value < math.inf for value in values):
            raise ParameterError("work is out of range", got=values, expected="numbers from 0 on")


@dataclass(frozen=True)
class Calibration:
    """Seconds that one machine takes for a million units of work, by kind of plan.

    Parameters
    ----------
    product : Work
        Of Gram blocks and scores.
    similarity : Work
    summation : Work
    """

    product: Work
    similarity: Work
    summation: Work

    def seconds(self, plan: Plan) -> dict[str, float]:
        """Return the seconds to expect of a plan: ``encrypt``, ``node`` and ``key_holder``."""
        units, rates = work(plan), self._rates(plan)
        node = (
            units.prepare * rates.prepare
            + units.multiply * rates.multiply
            + units.conceal * rates.conceal
        )
        return {
            "encrypt": units.encrypt * rates.encrypt / 1e6,
            "node": node / 1e6,
            "key_holder": units.decrypt * rates.decrypt / 1e6,
        }

    def _rates(self, plan: Plan) -> Work:
        if isinstance(plan, SumPlan):
            return self.summation
        return self.similarity if isinstance(plan, SimilarityPlan) else self.product


def work(plan: Plan) -> Work:
    """Count the units of work of a plan; for all parties that encrypt together."""
    if isinstance(plan, SumPlan):
        return _sum_work(plan)
    return _similarity_work(plan) if isinstance(plan, SimilarityPlan) else _product_work(plan)


def _sum_work(plan: SumPlan) -> Work:
    words = math.prod(plan.operand_shape(LEFT))
    uploads = plan.summands * words
    return Work(encrypt=uploads, prepare=0, multiply=uploads, conceal=0, decrypt=words)


def _product_work(plan: ProductPlan) -> Work:
    degree, level = plan.parameters.ring_degree, plan.level
    groups, others = plan.constant_shape[:2]
    results = groups * others * degree * level
    columns = len(plan.encrypted_sides) * others
    rows = plan.packing.blocks(plan.inner)
    products = 2 * groups * columns * rows * degree * level
    encrypted = sum(math.prod(plan.operand_shape(side)) for side in plan.encrypted_sides)
    return Work(
        encrypt=plan.summands * encrypted,
        prepare=rows * others * degree * level if plan.operation == SCORE else 0,
        multiply=products,
        # An encryption of zero has two components, whatever the result has.
        conceal=2 * results,
        # One transform there and one back: SEAL's part, by components, is small beside them.
        decrypt=2 * results + math.prod(plan.constant_shape),
    )


def _similarity_work(plan: SimilarityPlan) -> Work:
    degree, level = plan.parameters.ring_degree, plan.level
    row_blocks, column_blocks = plan.blocks(LEFT), plan.blocks(RIGHT)
    # Rows of A are masked in every column of panels, and rows of B in every row of them; the key
    # holder transforms all stacked rows of a panel, and then its used columns.
    masked = plan.left * column_blocks + plan.right * row_blocks
    transformed = plan.operand_shape(LEFT)[1] * column_blocks + plan.right * row_blocks
    return Work(
        encrypt=2 * level * degree * (row_blocks + column_blocks) * plan.inner,
        prepare=0,
        multiply=multiply_adds(plan),
        conceal=level * degree * masked if plan.concealed else 0,
        decrypt=level * degree * transformed,
    )
