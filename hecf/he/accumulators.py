"""Operations on operands that arrive block by block, under any scheme.

What is kept is the result and one block, whatever the size of the operands. An accumulator checks
that every stripe came exactly once; what it hands out is finished by the evaluator that made it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

from hecf.errors import Mismatch
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.plan import ProductPlan
from hecf.he.streams import Block, check_next
from hecf.he.summation.plan import SumPlan

B = TypeVar("B", bound=Block)
Array = TypeVar("Array")
Result = TypeVar("Result")


class GramAccumulator(Generic[B, Array, Result]):
    """Adds up ``A' B`` over blocks of rows.

    Parameters
    ----------
    plan : ProductPlan
    multiply, add : callable
        Product of two blocks, and the sum of two products.
    finish : callable
        Makes the result that may leave the node of the sum of all products.
    """

    def __init__(
        self,
        plan: ProductPlan,
        multiply: Callable[[B, B], Array],
        add: Callable[[Array, Array], Array],
        finish: Callable[[Array], Result],
    ) -> None:
        self.plan = plan
        self._multiply, self._add, self._finish = multiply, add, finish
        self._total: Array | None = None
        self._done = 0

    @property
    def done(self) -> int:
        """Stripes that were added."""
        return self._done

    def add(self, left: B, right: B) -> None:
        """Add the product of the same rows of A and of B.

        Raises
        ------
        Mismatch
            If a block belongs to another plan or side, is out of order, or the two are of
            different rows.
        """
        check_next(left, self.plan, LEFT, self._done)
        check_next(right, self.plan, RIGHT, self._done)
        if left.count != right.count:
            raise Mismatch(
                "two blocks hold different rows", got=right.count, expected=f"{left.count} stripes"
            )
        product = self._multiply(left, right)
        self._total = product if self._total is None else self._add(self._total, product)
        self._done += left.count

    def finish(self) -> Result:
        """Return the result.

        Raises
        ------
        Mismatch
            If rows are missing.
        """
        expected = self.plan.stripes(LEFT).count
        if self._total is None or self._done != expected:
            raise Mismatch("rows of a product are missing", got=self._done, expected=expected)
        return self._finish(self._total)


class SumAccumulator(ABC, Generic[B]):
    """Adds up contributions block by block, with small integer weights, in any order.

    Parameters
    ----------
    plan : SumPlan or ProductPlan
        A sum, or a score, whose encrypted left operands are added first.
    first, count : int
        Stripes that are added up; memory is proportional to `count`, which is all by default.

    Raises
    ------
    Mismatch
        If the operand has no such stripes.
    """

    def __init__(
        self, plan: SumPlan | ProductPlan, first: int = 0, count: int | None = None
    ) -> None:
        stripes = plan.stripes(LEFT)
        self.plan, self.first = plan, first
        self.count = stripes.count - first if count is None else count
        stripes.check_range(first, self.count)
        self._summands = np.zeros(self.count, dtype=np.int64)
        self._weights = [0] * self.count

    def add(self, block: B, weight: int = 1) -> None:
        """Add a block of a contribution, times a weight.

        Raises
        ------
        Mismatch
            If the block belongs to another plan or side or reaches beyond the stripes, or these
            stripes have all their summands.
        """
        check_next(block, self.plan, LEFT, block.first)
        start, stop = block.first - self.first, block.first + block.count - self.first
        if start < 0 or stop > self.count:
            raise Mismatch("a block is not of the stripes that are added up", got=block.first)
        for stripe in range(start, stop):
            self._check(int(self._summands[stripe]) + 1, self._weights[stripe] + abs(weight))
        self._summands[start:stop] += 1
        for stripe in range(start, stop):
            self._weights[stripe] += abs(weight)
        self.accumulate(block, weight, start)

    @abstractmethod
    def accumulate(self, block: B, weight: int, start: int) -> None:
        """Add a block that was checked to the stripes from number `start` of these on."""

    @abstractmethod
    def result(self) -> B:
        """Return the sum of which all summands are there."""

    def finish(self) -> B:
        """Return the sum, as a block of as many stripes.

        Raises
        ------
        Mismatch
            If a summand is missing.
        """
        if (self._summands != self.plan.summands).any():
            raise Mismatch(
                "a sum has another number of contributions",
                got=int(self._summands.min()),
                expected=self.plan.summands,
            )
        return self.result()

    def add_all(self, blocks: Sequence[B], weights: Sequence[int] | None = None) -> B:
        """Add one block of every contribution, and return the sum; errors as for the steps."""
        factors = [1] * len(blocks) if weights is None else weights
        if len(factors) != len(blocks):
            raise Mismatch(
                "a sum has another number of weights", got=len(factors), expected=len(blocks)
            )
        for block, factor in zip(blocks, factors, strict=True):
            self.add(block, factor)
        return self.finish()

    def _check(self, summands: int, weights: int) -> None:
        if summands > self.plan.summands:
            raise Mismatch(
                "a sum has another number of contributions",
                got=summands,
                expected=self.plan.summands,
            )
        if weights > self.plan.weight_bound:
            raise Mismatch(
                "the weights exceed the plan's bound", got=weights, expected=self.plan.weight_bound
            )
