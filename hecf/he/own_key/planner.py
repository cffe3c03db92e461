"""Choose parameters and scales for scores under one's own key, by worst-case bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from hecf.errors import ParameterError
from hecf.he.own_key.plan import BATCH, MOST_SCALE_BITS, QUERY, OwnKeyPlan
from hecf.he.parameters import DATA_PRIME_BITS, MODULUS_BITS_128, ParameterSet, largest_primes

BATCH_DEGREE = 2048
BATCH_SMALL_PRIME = 12289
"""Prime of 13.6 bits that is rounded away from the answers of a batch."""
BATCH_LARGE_BITS = 23

QUERY_DEGREES = (2048, 4096)
LEAST_ITEM_BITS, MOST_ITEM_BITS = 8, 30


def plan_batch(
    *, factors: int, shoppers: int, items: int, operand_bound: float = 1.0
) -> OwnKeyPlan:
    """Plan the scores of many shoppers, in groups of 2,048, on any number of items.

    Raises
    ------
    ParameterError
        If an argument is out of range.
    """
    large = largest_primes(BATCH_DEGREE, BATCH_LARGE_BITS, 1)[0]
    plan = OwnKeyPlan(
        layout=BATCH,
        factors=factors,
        shoppers=shoppers,
        items=items,
        operand_bound=operand_bound,
        parameters=ParameterSet(BATCH_DEGREE, (large, BATCH_SMALL_PRIME), None),
        inner=1,
        shopper_scale_bits=1,
        item_scale_bits=LEAST_ITEM_BITS,
        answer_level=1,
    )
    return min(_scaled(plan), key=lambda candidate: candidate.error_bound)


def plan_query(
    *,
    factors: int,
    items: int,
    shoppers: int = 1,
    operand_bound: float = 1.0,
    precision: float = 2.0**-10,
    compact: bool = True,
) -> OwnKeyPlan:
    """Plan the scores of a few shoppers, one after the other.

    Parameters
    ----------
    factors, items, shoppers : int
    operand_bound : float
        Largest absolute entry of an embedding.
    precision : float
        Largest error of a score, in the worst case, for item columns of 1-norm 1.
    compact : bool
        Whether to pay the node's time for fewer bytes: several factors in one polynomial, and an
        answer that drops a prime.

    Raises
    ------
    ParameterError
        If an argument is out of range or no parameters reach the precision.
    """
    best: OwnKeyPlan | None = None
    finest = math.inf
    for candidate in _query_plans(factors, items, shoppers, operand_bound, compact):
        finest = min(finest, candidate.error_bound)
        if candidate.error_bound <= precision and (best is None or _cost(candidate) < _cost(best)):
            best = candidate
    if best is None:
        raise ParameterError(
            f"no parameters of 128-bit security score {items} items with that precision",
            got=f"at best {finest:.1e}",
            expected=f"at most {precision:.1e}",
        )
    return best


def _cost(plan: OwnKeyPlan) -> tuple[int, float]:
    return plan.query_bytes + plan.answer_bytes, plan.error_bound


def _query_plans(
    factors: int, items: int, shoppers: int, operand_bound: float, compact: bool
) -> Iterator[OwnKeyPlan]:
    most_inner = 1 << (factors - 1).bit_length() if compact else 1
    for degree in QUERY_DEGREES:
        for level in range(1, MODULUS_BITS_128[degree] // DATA_PRIME_BITS + 1):
            parameters = ParameterSet.with_data_primes(degree, level, special=False)
            for inner in (1 << bit for bit in range(most_inner.bit_length())):
                for answer_level in {level, max(1, level - 1)} if compact else {level}:
                    yield from _scaled_query(
                        factors, items, shoppers, operand_bound, parameters, inner, answer_level
                    )


def _scaled_query(
    factors: int,
    items: int,
    shoppers: int,
    operand_bound: float,
    parameters: ParameterSet,
    inner: int,
    answer_level: int,
) -> Iterator[OwnKeyPlan]:
    try:
        plan = OwnKeyPlan(
            layout=QUERY,
            factors=factors,
            shoppers=shoppers,
            items=items,
            operand_bound=operand_bound,
            parameters=parameters,
            inner=inner,
            shopper_scale_bits=1,
            item_scale_bits=1,
            answer_level=answer_level,
        )
    except ParameterError:
        return
    yield from _scaled(plan)


def _scaled(plan: OwnKeyPlan) -> Iterator[OwnKeyPlan]:
    """Yield the plan with every item scale and the largest shopper scale that fits it."""
    for item_bits in range(LEAST_ITEM_BITS, MOST_ITEM_BITS + 1):
        room = math.log2(plan.modulus / plan.operand_bound) - 1 - item_bits
        for shopper_bits in (math.floor(room), math.floor(room) - 1):
            try:
                yield replace(
                    plan,
                    shopper_scale_bits=min(shopper_bits, MOST_SCALE_BITS),
                    item_scale_bits=item_bits,
                )
            except ParameterError:
                continue
            break
