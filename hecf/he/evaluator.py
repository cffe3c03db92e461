"""What a compute node can do with CKKS ciphertexts: it holds a public key and no secret.

Security
--------
A result leaves the evaluator only through :meth:`CkksEvaluator._conceal`, which adds a fresh
encryption of zero and keeps nothing of c_0 but the agreed coefficients. Both are needed. Without
the first, the components after c_0 have a rank structure from which a key holder that also has
one retailer's upload (because it is that retailer, or colludes with it) computes the whole matrix
of the other (docs/decisions/0001-conceal-every-component.md); without the second, every unused
coefficient is a function of the inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hecf.errors import Mismatch
from hecf.he import kernels, ntt
from hecf.he.accumulators import GramAccumulator
from hecf.he.blinding import BlindedProduct, MaskSeed, check_room, flooding_added, masked
from hecf.he.matrices import EncryptedMatrix, EncryptedProduct, PublicKey
from hecf.he.modular import Float, Words, centre, to_words
from hecf.he.plan import LEFT, OperandPlan, check_parameters
from hecf.he.product.plan import (
    GRAM,
    SCORE,
    SIMILARITY,
    ProductPlan,
    check_item_model,
    product_plan,
)
from hecf.he.product.tiles import ProductTile, assembled, bias_words, encoded_items, tile_groups
from hecf.he.sampling import RandomBytes
from hecf.he.similarity.evaluator import MEMORY as SIMILARITY_MEMORY
from hecf.he.similarity.evaluator import SimilarityEvaluator
from hecf.he.similarity.matrices import EncryptedRows, EncryptedTile
from hecf.he.streams import MEMORY
from hecf.he.summation.addition import CkksSumAccumulator
from hecf.he.summation.plan import SumPlan
from hecf.he.zeros import PublicZeros

CONCEAL_BATCH = 16
"""Results that are concealed at once: bounds memory."""


class CkksEvaluator:
    """Products and sums of CKKS ciphertexts under one public key.

    Parameters
    ----------
    public_key : PublicKey
    random : callable
        Source of cryptographically secure bytes.
    """

    def __init__(self, public_key: PublicKey, random: RandomBytes) -> None:
        self._public_key = public_key
        self._random = random
        self._zeros = PublicZeros(public_key, random)

    def gram(self, left: EncryptedMatrix, right: EncryptedMatrix) -> EncryptedProduct:
        """Compute ``A' B`` of two whole encrypted matrices.

        Raises
        ------
        Mismatch
            If the operands belong to other plans, sides or parameters.
        """
        accumulator = self.gram_accumulator(self._plan(GRAM, left, LEFT))
        accumulator.add(left, right)
        return accumulator.finish()

    def gram_accumulator(
        self, plan: OperandPlan
    ) -> GramAccumulator[EncryptedMatrix, Words, EncryptedProduct]:
        """Start ``A' B`` of matrices whose rows arrive in blocks: a Gram block or a similarity.

        Memory is that of two results and of the blocks that are added.

        Raises
        ------
        Mismatch
            If the plan is for another operation, scheme or parameters.
        """
        planned = self._check(plan, GRAM, SIMILARITY)
        return GramAccumulator(
            planned,
            multiply=lambda left, right: kernels.multiply(left.words, right.words, planned.primes),
            add=lambda total, more: kernels.add([total, more], planned.primes),
            finish=lambda total: EncryptedProduct(planned, *self._conceal(planned, total)),
        )

    def add(self, operands: list[EncryptedMatrix]) -> EncryptedMatrix:
        """Add as many encrypted left operands as the plan of a score has summands.

        Raises
        ------
        Mismatch
            If an operand belongs to another plan or their number is another.
        """
        if not operands:
            raise Mismatch("a sum has no contributions")
        plan = self._plan(SCORE, operands[0], LEFT)
        return self.sum_accumulator(plan).add_all(operands)

    def sum(
        self, operands: list[EncryptedMatrix], weights: list[int] | None = None
    ) -> EncryptedMatrix:
        """Add encrypted vectors exactly, with small integer weights.

        Raises
        ------
        Mismatch
            If the operands are not of one sum plan, or number or weights are not as planned.
        """
        if not operands or not isinstance(operands[0].plan, SumPlan):
            raise Mismatch("a sum has no operand of a sum plan")
        return self.sum_accumulator(operands[0].plan).add_all(operands, weights)

    def sum_accumulator(
        self, plan: OperandPlan, first: int = 0, count: int | None = None
    ) -> CkksSumAccumulator:
        """Start the sum of contributions whose stripes arrive in blocks.

        Parameters
        ----------
        plan : SumPlan or ProductPlan
            Of a sum, or of a score, whose contributions are added first.
        first, count : int
            Stripes to add up, all by default; memory is proportional to their number.

        Raises
        ------
        Mismatch
            If the plan is for another operation, scheme or parameters, or has no such stripes.
        """
        if isinstance(plan, SumPlan):
            self._check_key(plan)
            return CkksSumAccumulator(plan, first, count)
        return CkksSumAccumulator(self._check(plan, SCORE), first, count)

    def score(self, shoppers: EncryptedMatrix, items: Float, bias: Float) -> EncryptedProduct:
        """Score summed encrypted shoppers on plaintext items.

        Parameters
        ----------
        shoppers : EncryptedMatrix
            Sum of the contributions, (factors, shoppers).
        items : float64 array, shape (factors, items)
            Columns of 1-norm at most 1.
        bias : float64 array, shape (items,)
            Added to every shopper's scores, absolute values at most 1.

        Raises
        ------
        InvalidInput
            If items or bias have another shape or exceed their bounds.
        Mismatch
            If the operand belongs to another operation, side or parameters.
        """
        plan = self._plan(SCORE, shoppers, LEFT)
        return assembled(plan, self.score_tiles(shoppers, items, bias))

    def score_tiles(
        self, shoppers: EncryptedMatrix, items: Float, bias: Float, *, memory: int = MEMORY
    ) -> Iterator[ProductTile]:
        """Score a block of summed encrypted shoppers, tile by tile.

        Parameters
        ----------
        shoppers : EncryptedMatrix
            Some stripes of the sum of the contributions.
        items, bias : float64 array
            As for :meth:`score`.
        memory : int
            Bytes to use beside shoppers and items.

        Yields
        ------
        ProductTile
            Groups of shoppers first to last, and for each the groups of items.

        Raises
        ------
        InvalidInput, Mismatch
            As for :meth:`score`.
        LimitExceeded
            If the memory is too small for one group of shoppers and of items.
        """
        plan = self._plan(SCORE, shoppers, LEFT)
        check_item_model(plan, items, bias)
        return self._score_tiles(plan, shoppers, items, bias, tile_groups(plan, memory))

    def similarity(
        self,
        left: EncryptedRows,
        right: EncryptedRows,
        *,
        memory: int = SIMILARITY_MEMORY,
        rows: int | None = None,
    ) -> Iterator[EncryptedTile]:
        """Compute ``A B'`` tile by tile; see :class:`SimilarityEvaluator`."""
        evaluator = SimilarityEvaluator(self._public_key, self._random, memory=memory)
        return evaluator.evaluate(left, right, rows=rows)

    def _score_tiles(
        self,
        plan: ProductPlan,
        shoppers: EncryptedMatrix,
        items: Float,
        bias: Float,
        groups: tuple[int, int],
    ) -> Iterator[ProductTile]:
        width = plan.packing.right
        for row in range(0, shoppers.count, groups[0]):
            words = shoppers.words[row : row + groups[0]]
            for column in range(0, plan.constant_shape[1], groups[1]):
                part = slice(column * width, (column + groups[1]) * width)
                encoded = encoded_items(plan, items[:, part])
                product = kernels.multiply(words, encoded, plan.primes)
                constant, tail = self._conceal(plan, product)
                shifted = bias_words(plan, bias[part], len(words))
                yield ProductTile(
                    plan,
                    shoppers.first + row,
                    column,
                    kernels.add([constant, shifted], plan.primes),
                    tail,
                )

    def blind(self, product: EncryptedProduct, seed: MaskSeed) -> BlindedProduct:
        """Hide a result under a mask, so that the key holder decrypts uniform noise.

        Parameters
        ----------
        product : EncryptedProduct
        seed : MaskSeed
            Drawn for this result alone, and handed to its recipient alone.

        Raises
        ------
        ParameterError
            If the flooded result could wrap around the plan's modulus.
        """
        return BlindedProduct(
            product.plan, masked(product.plan, product.constant, seed), product.tail
        )

    def drown(self, product: EncryptedProduct) -> EncryptedProduct:
        """Add the plan's flooding noise to a result that its asker decrypts by itself.

        What a key holder does before a release, who answers does here: the noise of the result
        depends on the items, and nobody else stands between them and the asker.

        Raises
        ------
        ParameterError
            If the flooded result could wrap around the plan's modulus.
        """
        plan = product.plan
        check_room(plan)
        return replace(product, constant=flooding_added(plan, product.constant, self._random))

    def _conceal(self, plan: ProductPlan, product: Words) -> tuple[Words, Words]:
        """Re-randomise products (G, H, x, L, N) and keep only the agreed part of c_0.

        Returns
        -------
        constant : uint32 array, shape (G, H, L, m n)
        tail : uint32 array, shape (G, H, x - 1, L, N)
        """
        primes = plan.primes
        flat = product.reshape(-1, *product.shape[2:])
        constant = np.empty((len(flat), *plan.constant_shape[2:]), dtype=np.uint32)
        tail = flat[:, 1:].copy()
        for start in range(0, len(flat), CONCEAL_BATCH):
            batch = slice(start, start + CONCEAL_BATCH)
            zero = self._zeros.draw_undivided(len(flat[batch]), len(primes))
            pair = kernels.add([flat[batch, :2], zero], primes)
            coefficients = ntt.inverse(primes, _centre(pair[:, 0], primes))
            constant[batch] = _words(coefficients[..., plan.packing.positions], primes)
            tail[batch, 0] = pair[:, 1]
        groups = product.shape[:2]
        return constant.reshape(*groups, *constant.shape[1:]), tail.reshape(
            *groups, *tail.shape[1:]
        )

    def _plan(self, operation: str, operand: EncryptedMatrix, side: str) -> ProductPlan:
        """Check an operand and return its plan."""
        plan = self._check(operand.plan, operation)
        if operand.side != side:
            raise Mismatch("an operand belongs to another side", got=operand.side, expected=side)
        return plan

    def _check(self, plan: OperandPlan, *operations: str) -> ProductPlan:
        checked = product_plan(plan, *operations)
        self._check_key(checked)
        return checked

    def _check_key(self, plan: OperandPlan) -> None:
        check_parameters(plan, self._public_key.parameters)


def _centre(words: Words, primes: tuple[int, ...]) -> Float:
    """Centred residues of words of shape (count, L, N)."""
    return np.stack([centre(words[:, i], prime) for i, prime in enumerate(primes)], axis=1)


def _words(centred: NDArray[np.float64], primes: tuple[int, ...]) -> Words:
    """Words of centred residues of shape (..., L, anything)."""
    out = np.empty(centred.shape, dtype=np.uint32)
    for index, prime in enumerate(primes):
        out[..., index, :] = to_words(centred[..., index, :], prime)
    return out
