"""What a node computes with Paillier ciphertexts: sums, and products with an operand in clear.

Everything that comes in passes the gate, everything that goes out is re-randomised: the sum and
the product themselves are deterministic, so whoever knows the inputs could otherwise confirm a
guess of the clear operand or of the weights by computing it again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import sparray

from hecf.errors import InvalidInput, Mismatch
from hecf.he.blinding import MaskSeed
from hecf.he.modular import Float
from hecf.he.paillier.arithmetic import gmpy2, inverse, mpz, to_octets
from hecf.he.paillier.blinding import PaillierBlinded
from hecf.he.paillier.encryptor import check_plan
from hecf.he.paillier.gate import admit_octets
from hecf.he.paillier.keys import PublicKey
from hecf.he.paillier.masks import masked
from hecf.he.paillier.matrices import (
    CiphertextBatch,
    PaillierMatrix,
    PaillierProduct,
    check_key,
)
from hecf.he.paillier.multiexponent import ColumnProducts
from hecf.he.paillier.plan import SLACK, PaillierSumPlan
from hecf.he.paillier.planner import unsupported
from hecf.he.paillier.product_plan import (
    GRAM,
    SCORE,
    SIMILARITY,
    PaillierPlan,
    PaillierProductPlan,
)
from hecf.he.paillier.randomness import Blinder
from hecf.he.paillier.slots import pack
from hecf.he.sampling import RandomBytes


class PaillierEvaluator:
    """Computes under a public key.

    Parameters
    ----------
    public_key : PublicKey
    blinder : Blinder
        Random factors of the results.
    random : callable
        Source of cryptographically secure bytes for the masks of unused slots.

    Security
    --------
    Products need B in clear, so they belong on the site of whom B belongs to, never on a common
    node. Whoever encrypted A decrypts ``A' B``: as many linear functions of each column of B as A
    has columns, which he chooses. What the plaintexts could carry beyond those slots is hidden by a
    uniform mask, but a plan with many left columns hands out B itself: agree on few. The seconds
    that a product takes depend on the values of B.
    """

    def __init__(self, public_key: PublicKey, blinder: Blinder, random: RandomBytes) -> None:
        self._public_key = public_key
        self._blinder = blinder
        self._random = random

    def sum(
        self, operands: Sequence[PaillierMatrix], weights: Sequence[int] | None = None
    ) -> PaillierMatrix:
        """Add vectors exactly, with small integer weights.

        Raises
        ------
        Mismatch
            If an operand belongs to another plan or key, their number is another, or the weights
            exceed the plan's bound.
        MalformedMessage
            If a ciphertext does not pass the gate.
        """
        plan = self._common_plan(operands)
        if not isinstance(plan, PaillierSumPlan):
            raise Mismatch("a sum has no operand of a sum plan")
        factors = _weights(plan, [operand.plan for operand in operands], weights)
        return self._added(plan, operands, factors)

    def add(self, operands: Sequence[PaillierMatrix]) -> PaillierMatrix:
        """Add as many left operands of one product plan as it has summands; errors as for sums."""
        plan = self._common_plan(operands)
        if not isinstance(plan, PaillierProductPlan):
            raise Mismatch("a sum of operands has no product plan")
        if len(operands) != plan.summands:
            raise Mismatch(
                "a sum has another number of contributions",
                got=len(operands),
                expected=plan.summands,
            )
        return self._added(plan, operands, [1] * len(operands))

    def gram(self, left: PaillierMatrix, right: Float | sparray) -> PaillierProduct:
        """Compute ``A' B`` of an encrypted A and a clear B, dense or sparse.

        Raises
        ------
        ParameterError
            If B is encrypted too; CKKS multiplies two encrypted operands.
        InvalidInput
            If B's shape, a value or a column's 1-norm is not as planned.
        Mismatch, MalformedMessage
            If A belongs to another plan or key, or does not pass the gate.
        """
        return self._product(GRAM, left, right, None)

    def similarity(self, left: PaillierMatrix, right: Float | sparray) -> PaillierProduct:
        """Compute ``A' B`` of rows, handed over as columns; errors as for :meth:`gram`."""
        return self._product(SIMILARITY, left, right, None)

    def score(
        self, shoppers: PaillierMatrix, items: Float | sparray, bias: Float
    ) -> PaillierProduct:
        """Score shoppers on plaintext items and add a bias; errors as for :meth:`gram`."""
        return self._product(SCORE, shoppers, items, bias)

    def blind(self, result: PaillierMatrix | PaillierProduct, seed: MaskSeed) -> PaillierBlinded:
        """Hide a sum or a product under a mask, so that the key holder decrypts uniform integers.

        Parameters
        ----------
        result : PaillierMatrix of a sum, or PaillierProduct
        seed : MaskSeed
            Drawn for this result alone, and handed to its recipients alone.

        Raises
        ------
        Mismatch
            If it belongs to another key, or is an operand of a product.
        MalformedMessage
            If a ciphertext does not pass the gate.
        """
        plan = result.plan
        if isinstance(plan, PaillierSumPlan) != isinstance(result, PaillierMatrix):
            raise Mismatch("only results are blinded", got="an operand", expected="a result")
        hidden = masked(self._public_key, plan, self._admitted(result), seed)
        return PaillierBlinded(plan, self._public_key.fingerprint, self._outgoing(hidden))

    def _product(
        self, operation: str, left: PaillierMatrix, right: Float | sparray, bias: Float | None
    ) -> PaillierProduct:
        if isinstance(right, CiphertextBatch):
            raise unsupported(f"{operation} of two encrypted operands")
        plan = left.plan
        if not isinstance(plan, PaillierProductPlan) or plan.operation != operation:
            raise Mismatch(
                "the plan is for another operation", got=plan.operation, expected=operation
            )
        columns = plan.rounded_columns(right)
        shifts = _bias(plan, bias)
        ciphertexts = self._admitted(left)
        modulus = self._public_key.n_squared
        results = []
        for group in range(plan.groups):
            rows = ciphertexts[group * plan.inner : (group + 1) * plan.inner]
            width = min(plan.packing.slots, plan.left - group * plan.packing.slots)
            products = ColumnProducts(rows, modulus).all(columns)
            for start in range(0, plan.right, plan.columns):
                chunk = products[start : start + plan.columns]
                total = self._beside_each_other(chunk, plan.packing.slot_bits * width)
                used = width * len(chunk)
                constants = shifts[start : start + len(chunk)]
                plaintext = pack(plan.packing, [c for c in constants for _ in range(width)])
                plaintext += self._mask(plan.packing.slot_bits * used)
                results.append(total * (1 + plaintext % self._public_key.n * self._public_key.n))
        return PaillierProduct(plan, self._public_key.fingerprint, self._outgoing(results))

    def _beside_each_other(self, products: list[mpz], bits: int) -> mpz:
        """Shift results of `bits` bits each into one ciphertext, the first one lowest."""
        modulus = self._public_key.n_squared
        total = mpz(1)
        shift = mpz(1) << bits
        for index, product in enumerate(reversed(products)):
            shifted = gmpy2.powmod(total, shift, modulus) if index else total
            total = shifted * product % modulus
        return total

    def _mask(self, bits: int) -> mpz:
        """Draw a uniform multiple of ``2^bits`` that fills the plaintext above the agreed slots."""
        room = (self._public_key.n >> bits) - 2
        if room < 1:
            return mpz(0)
        octets = self._random(self._public_key.parameters.modulus_bytes + 16)
        return (mpz.from_bytes(octets, "little") % room) << bits

    def _added(
        self,
        plan: PaillierPlan,
        operands: Sequence[PaillierMatrix],
        weights: Sequence[int],
    ) -> PaillierMatrix:
        modulus = self._public_key.n_squared
        totals: list[mpz] = []
        for operand, weight in zip(operands, weights, strict=True):
            ciphertexts = self._admitted(operand)
            if weight == 0:
                continue
            if abs(weight) != 1:
                exponent = mpz(abs(weight))
                ciphertexts = [gmpy2.powmod(c, exponent, modulus) for c in ciphertexts]
            if weight < 0:
                ciphertexts = [inverse(c, modulus) for c in ciphertexts]
            totals = (
                [a * b % modulus for a, b in zip(totals, ciphertexts, strict=True)]
                if totals
                else ciphertexts
            )
        width = self._public_key.parameters.ciphertext_bytes
        count = len(operands[0].octets) // width
        return PaillierMatrix(
            plan, self._public_key.fingerprint, self._outgoing(totals or [mpz(1)] * count)
        )

    def _admitted(self, batch: CiphertextBatch) -> list[mpz]:
        check_key(batch, self._public_key.fingerprint)
        check_plan(batch.plan, self._public_key.parameters)
        return admit_octets(self._public_key, batch.octets)

    def _outgoing(self, ciphertexts: Sequence[mpz]) -> bytes:
        """Multiply every ciphertext by a fresh encryption of zero."""
        modulus = self._public_key.n_squared
        factors = self._blinder.take(len(ciphertexts))
        fresh = [c * factor % modulus for c, factor in zip(ciphertexts, factors, strict=True)]
        return to_octets(fresh, self._public_key.parameters.ciphertext_bytes)

    def _common_plan(self, operands: Sequence[PaillierMatrix]) -> PaillierPlan:
        if not operands:
            raise Mismatch("a sum has no contributions")
        plan = operands[0].plan
        if any(operand.plan.fingerprint != plan.fingerprint for operand in operands):
            raise Mismatch("an operand belongs to another plan")
        return plan


def _bias(plan: PaillierProductPlan, bias: Float | None) -> list[int]:
    """Check a bias and return it as integers at the result's exponent; zeros without one."""
    if bias is None:
        return [0] * plan.right
    if bias.shape != (plan.right,):
        raise InvalidInput("the bias has another shape", got=bias.shape, expected=(plan.right,))
    if not np.isfinite(bias).all():
        raise InvalidInput("the bias is not finite")
    largest = float(np.abs(bias).max())
    if largest > plan.bias_bound * (1 + SLACK):
        raise InvalidInput(
            "a bias is too large", got=f"{largest:.6g}", expected=f"at most {plan.bias_bound:g}"
        )
    # Exact also beyond 64 bits: a float64 times a power of two is a float64.
    return [int(value) for value in np.rint(np.ldexp(bias, plan.fraction_bits))]


def _weights(
    plan: PaillierSumPlan,
    plans: Sequence[PaillierPlan],
    weights: Sequence[int] | None,
) -> list[int]:
    """Check the operands' plans and the weights of a sum, and return the weights.

    Raises
    ------
    Mismatch
        If an operand belongs to another plan, their number is another, or the weights exceed the
        plan's bound.
    """
    factors = [1] * len(plans) if weights is None else list(weights)
    if len(plans) != plan.summands or len(factors) != plan.summands:
        raise Mismatch(
            "a sum has another number of summands",
            got=(len(plans), len(factors)),
            expected=plan.summands,
        )
    if sum(abs(factor) for factor in factors) > plan.weight_bound:
        raise Mismatch(
            "the weights exceed the plan's bound",
            got=sum(abs(factor) for factor in factors),
            expected=plan.weight_bound,
        )
    if any(other.fingerprint != plan.fingerprint for other in plans):
        raise Mismatch("an operand belongs to another plan")
    return factors
