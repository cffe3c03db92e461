"""Choose ring and primes for an exact encrypted sum, by the fewest bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from hecf.errors import ParameterError
from hecf.he.parameters import (
    DATA_PRIME_BITS,
    MODULUS_BITS_128,
    SPECIAL_PRIME_BITS,
    ParameterSet,
)
from hecf.he.summation.plan import SumPlan

RING_DEGREES = (4096, 8192, 16384)


def plan_sum(
    *,
    scheme: str,
    values: int,
    summands: int,
    value_bound: float,
    precision: float,
    weight_bound: int | None = None,
    parameters: ParameterSet | None = None,
) -> SumPlan:
    """Plan the sum of vectors, by the fewest bytes.

    Parameters
    ----------
    scheme : {"ckks", "clear"}
    values, summands : int
    value_bound : float
        Largest absolute value of a vector.
    precision : float
        Largest error of a value's rounding; the sum of the rounded values is exact.
    weight_bound : int, optional
        Sum of the absolute integer weights; the number of summands by default.
    parameters : ParameterSet, optional
        Parameters of an existing key.

    Raises
    ------
    ParameterError
        If nothing in the security table has room.
    """
    if not 0 < precision < math.inf:
        raise ParameterError("a precision is out of range", got=precision, expected="positive")
    fraction_bits = max(0, math.ceil(-math.log2(2 * precision)))
    weights = summands if weight_bound is None else weight_bound
    best: SumPlan | None = None
    for chosen, level in _candidates(parameters):
        try:
            plan = SumPlan(
                scheme=scheme,
                values=values,
                summands=summands,
                weight_bound=weights,
                value_bound=value_bound,
                fraction_bits=fraction_bits,
                parameters=chosen,
                level=level,
            )
        except ParameterError as error:
            refusal = error
            continue
        if best is None or plan.result_bytes < best.result_bytes:
            best = plan
    if best is None:
        raise refusal
    return best


def _candidates(parameters: ParameterSet | None) -> Iterator[tuple[ParameterSet, int]]:
    if parameters is not None:
        yield from ((parameters, level) for level in range(1, len(parameters.primes) + 1))
        return
    for degree in RING_DEGREES:
        room = MODULUS_BITS_128[degree] - SPECIAL_PRIME_BITS
        for count in range(1, room // DATA_PRIME_BITS + 1):
            yield ParameterSet.with_data_primes(degree, count), count
