"""What a node does for a sum: add words, with small integer weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hecf.errors import Mismatch
from hecf.he.matrices import EncryptedMatrix
from hecf.he.paillier.plan import PaillierSumPlan
from hecf.he.paillier.product_plan import PaillierPlan
from hecf.he.plan import LEFT, OperandPlan
from hecf.he.summation.plan import SumPlan


def weighted_sum(
    plan: SumPlan, operands: Sequence[EncryptedMatrix], weights: Sequence[int] | None = None
) -> EncryptedMatrix:
    """Add encrypted vectors with small integer weights, modulo each prime.

    Raises
    ------
    Mismatch
        If an operand belongs to another plan, their number is another, or the weights exceed the
        plan's bound.
    """
    factors = check_sum(plan, [operand.plan for operand in operands], weights)
    total = np.zeros(plan.operand_shape(LEFT), dtype=np.uint64)
    for operand, factor in zip(operands, factors, strict=True):
        for index, prime in enumerate(plan.primes):
            # Below 2^24 times 2^24; the running sum is reduced before it could reach 2^64.
            total[..., index, :] += operand.words[..., index, :] * np.uint64(factor % prime)
            if abs(factor) != 1 or factor < 0:
                total[..., index, :] %= prime
    for index, prime in enumerate(plan.primes):
        total[..., index, :] %= prime
    return EncryptedMatrix(plan, LEFT, total.astype(np.uint32))


def check_sum(
    plan: SumPlan | PaillierSumPlan,
    plans: Sequence[OperandPlan | PaillierPlan],
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
