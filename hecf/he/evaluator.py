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

import numpy as np
from numpy.typing import NDArray

from hecf.errors import Mismatch
from hecf.he import kernels, ntt, sampling
from hecf.he.blinding import BlindedProduct, MaskSeed, masked
from hecf.he.matrices import EncryptedMatrix, EncryptedProduct, PublicKey
from hecf.he.modular import Float, Words, centre, reduce_centred, residues, to_words
from hecf.he.plan import LEFT, MANTISSA_BITS, RIGHT, OperandPlan, check_scheme
from hecf.he.product.plan import GRAM, SCORE, ProductPlan, check_item_model
from hecf.he.sampling import RandomBytes
from hecf.he.summation.addition import weighted_sum
from hecf.he.summation.plan import SumPlan

CONCEAL_BATCH = 16
"""Results that are concealed at once: bounds memory."""

ITEM_GROUPS = 4
"""Groups of item polynomials that are encoded and multiplied at once: bounds memory."""


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

    def gram(self, left: EncryptedMatrix, right: EncryptedMatrix) -> EncryptedProduct:
        """Compute ``A' B`` of two encrypted matrices.

        Raises
        ------
        Mismatch
            If the operands belong to other plans, sides or parameters.
        """
        plan = self._plan(GRAM, left, LEFT)
        self._plan(GRAM, right, RIGHT, plan)
        product = kernels.multiply(left.words, right.words, plan.primes)
        return EncryptedProduct(plan, *self._conceal(plan, product))

    def add(self, operands: list[EncryptedMatrix]) -> EncryptedMatrix:
        """Add as many encrypted left operands as the plan has summands.

        Raises
        ------
        Mismatch
            If an operand belongs to another plan or their number is another.
        """
        if not operands:
            raise Mismatch("a sum has no contributions")
        plan = self._plan(SCORE, operands[0], LEFT)
        for operand in operands:
            self._plan(SCORE, operand, LEFT, plan)
        if len(operands) != plan.summands:
            raise Mismatch(
                "a sum has another number of contributions",
                got=len(operands),
                expected=plan.summands,
            )
        words = kernels.add([operand.words for operand in operands], plan.primes)
        return EncryptedMatrix(plan, LEFT, words)

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
        plan = operands[0].plan
        self._check_key(plan)
        return weighted_sum(plan, operands, weights)

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
        check_item_model(plan, items, bias)
        integers = np.rint(np.ldexp(items, plan.right_scale_bits)).astype(np.int64)
        packed = plan.packing.pack_right(integers)
        constant = np.empty(plan.constant_shape, dtype=np.uint32)
        tail = np.empty(plan.tail_shape, dtype=np.uint32)
        for start in range(0, len(packed), ITEM_GROUPS):
            part = slice(start, start + ITEM_GROUPS)
            values = ntt.forward(plan.primes, residues(packed[part], plan.primes))
            words = _words(values[:, :, np.newaxis], plan.primes)
            product = kernels.multiply(shoppers.words, words, plan.primes)
            constant[:, part], tail[:, part] = self._conceal(plan, product)
        return EncryptedProduct(
            plan, kernels.add([constant, _bias_words(plan, bias)], plan.primes), tail
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
            zero = self._encryption_of_zero(primes, len(flat[batch]))
            pair = [_reduce(_centre(flat[batch, i], primes) + zero[i], primes) for i in (0, 1)]
            coefficients = ntt.inverse(primes, pair[0])[..., plan.packing.positions]
            constant[batch] = _words(coefficients, primes)
            tail[batch, 0] = _words(pair[1], primes)
        groups = product.shape[:2]
        return constant.reshape(*groups, *constant.shape[1:]), tail.reshape(
            *groups, *tail.shape[1:]
        )

    def _encryption_of_zero(self, primes: tuple[int, ...], count: int) -> tuple[Float, Float]:
        """Fresh ``(b u + e_1, a u + e_2)`` as centred NTT values, each (count, L, N)."""
        degree = self._public_key.parameters.ring_degree
        key = _centre(self._public_key.words[:, : len(primes)].astype(np.uint32), primes)
        small = [
            sampling.ternary((count, 1, degree), self._random),
            sampling.centred_binomial((count, 1, degree), self._random),
            sampling.centred_binomial((count, 1, degree), self._random),
        ]
        every = (count, len(primes), degree)
        ephemeral, *errors = (ntt.forward(primes, np.broadcast_to(s, every)) for s in small)
        first, second = (
            _reduce(_reduce(ephemeral * half, primes) + error, primes)
            for half, error in zip(key, errors, strict=True)
        )
        return first, second

    def _plan(
        self,
        operation: str,
        operand: EncryptedMatrix,
        side: str,
        expected: ProductPlan | None = None,
    ) -> ProductPlan:
        """Check an operand and return its plan."""
        plan = operand.plan
        if not isinstance(plan, ProductPlan) or plan.operation != operation:
            raise Mismatch(
                "the plan is for another operation",
                got=getattr(plan, "operation", "sum"),
                expected=operation,
            )
        if expected is not None and plan.fingerprint != expected.fingerprint:
            raise Mismatch("an operand belongs to another plan")
        if operand.side != side:
            raise Mismatch("an operand belongs to another side", got=operand.side, expected=side)
        self._check_key(plan)
        return plan

    def _check_key(self, plan: OperandPlan) -> None:
        check_scheme(plan, "ckks")
        parameters = self._public_key.parameters
        if plan.parameters != parameters:
            raise Mismatch(
                "the plan has other parameters than the public key",
                got=plan.parameters.fingerprint.hex()[:16],
                expected=parameters.fingerprint.hex()[:16],
            )


def _bias_words(plan: ProductPlan, bias: Float) -> Words:
    """Residues of the scaled bias of every item, laid out as a result for every shopper.

    The scaled bias can exceed 64 bits, so it is rounded in int64 and the remaining power of two
    is multiplied in modulo each prime.
    """
    bits = min(plan.left_scale_bits, MANTISSA_BITS)
    rest = plan.left_scale_bits + plan.right_scale_bits - bits
    rounded = np.rint(np.ldexp(bias, bits)).astype(np.int64)
    tiles = plan.packing.pack_result(np.broadcast_to(rounded, (plan.left, plan.right)))
    out = np.empty(plan.constant_shape, dtype=np.uint32)
    for index, prime in enumerate(plan.primes):
        out[:, :, index] = tiles % prime * pow(2, rest, prime) % prime
    return out


def _centre(words: Words, primes: tuple[int, ...]) -> Float:
    """Centred residues of words of shape (count, L, N)."""
    return np.stack([centre(words[:, i], prime) for i, prime in enumerate(primes)], axis=1)


def _words(centred: NDArray[np.float64], primes: tuple[int, ...]) -> Words:
    """Words of centred residues of shape (..., L, anything)."""
    out = np.empty(centred.shape, dtype=np.uint32)
    for index, prime in enumerate(primes):
        out[..., index, :] = to_words(centred[..., index, :], prime)
    return out


def _reduce(values: Float, primes: tuple[int, ...]) -> Float:
    """Centred residues of exact float64 integers of shape (count, L, N)."""
    for index, prime in enumerate(primes):
        values[:, index] = reduce_centred(values[:, index].copy(), prime)
    return values
