"""What a node does for a sum: add words, with small integer weights."""

from __future__ import annotations

import numpy as np

from hecf.he.accumulators import SumAccumulator
from hecf.he.kernels import SUMMANDS
from hecf.he.matrices import EncryptedMatrix
from hecf.he.modular import Words
from hecf.he.plan import LEFT
from hecf.he.product.plan import ProductPlan
from hecf.he.summation.plan import SumPlan


class CkksSumAccumulator(SumAccumulator[EncryptedMatrix]):
    """Adds ciphertext words modulo each prime; see :class:`SumAccumulator`."""

    def __init__(
        self, plan: SumPlan | ProductPlan, first: int = 0, count: int | None = None
    ) -> None:
        super().__init__(plan, first, count)
        self._total = np.zeros(plan.block_shape(LEFT, self.count), dtype=np.uint32)
        # Stripe after stripe, whatever axis of the words they lie along.
        self._stripes = np.moveaxis(self._total, plan.stripes(LEFT).word_axis, 0)
        self._unreduced = 0

    def accumulate(self, block: EncryptedMatrix, weight: int, start: int) -> None:
        """Add words; they are reduced before 32 bits could overflow."""
        if self._unreduced == SUMMANDS:
            self._reduce()
        words = block.words if weight == 1 else self._scaled(block.words, weight)
        part = self._stripes[start : start + block.count]
        part += np.moveaxis(words, self.plan.stripes(LEFT).word_axis, 0)
        self._unreduced += 1

    def result(self) -> EncryptedMatrix:
        """Return the sum."""
        self._reduce()
        return EncryptedMatrix(self.plan, LEFT, self._total, self.first)

    def _scaled(self, words: Words, weight: int) -> Words:
        out = np.empty(words.shape, dtype=np.uint32)
        for index, prime in enumerate(self.plan.primes):
            # Below 2^24 times 2^24.
            product = words[..., index, :] * np.uint64(weight % prime)
            out[..., index, :] = product % np.uint64(prime)
        return out

    def _reduce(self) -> None:
        for index, prime in enumerate(self.plan.primes):
            self._total[..., index, :] %= prime
        self._unreduced = 0
