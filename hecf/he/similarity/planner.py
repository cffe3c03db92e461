"""Choose ring, primes and scales for an encrypted similarity from what is asked of it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from hecf.errors import ParameterError
from hecf.he.modular import exact_terms
from hecf.he.parameters import MODULUS_BITS_128, SPECIAL_PRIME_BITS, ParameterSet
from hecf.he.plan import LARGEST_SCALE_BITS, LEFT, RIGHT
from hecf.he.similarity.plan import (
    PUBLIC_KEY,
    SECRET_KEY,
    SimilarityPlan,
    check_similarity_request,
)

RING_DEGREES = (1024, 2048, 4096, 8192, 16384)
PRIME_BITS = (23, 24)
MOST_PRIMES = 12

WORD_OPERATIONS = 256
"""Cost of a word of the result beside its multiply-adds: it is written, sent and decrypted."""

REDUCTION_OPERATIONS = 16
"""Cost of one reduction of a word, in multiply-adds."""


def plan_similarity(
    *,
    scheme: str,
    inner: int,
    left: int,
    right: int,
    precision: float,
    encryption: str = SECRET_KEY,
    concealed: bool | None = None,
    statistical_bits: int = 30,
    releases: int = 0,
    parameters: ParameterSet | None = None,
) -> SimilarityPlan:
    """Plan ``A B'`` for two encrypted matrices whose rows have norm at most 1.

    Among the parameters whose worst-case error and flooding noise are within the precision, the
    plan with the least expected work wins: the multiply-adds of the node, and a constant for every
    word of the result and every reduction.

    Parameters
    ----------
    scheme : {"ckks", "clear"}
    inner : int
        d, columns of A and of B.
    left, right : int
        Rows of A and of B.
    precision : float
        Largest standard deviation of a released entry, or largest error without releases.
    encryption : {"secret-key", "public-key"}
    concealed : bool, optional
        Whether the node re-randomises the result; without it, exactly if there are releases.
    statistical_bits, releases : int
        Strength of the flooding noise; no releases means own key.
    parameters : ParameterSet, optional
        Parameters of an existing key. The plan may drop primes from their end.

    Raises
    ------
    ParameterError
        If an argument is out of range, or no parameters in the security table, or none under
        the key, reach the precision.
    """
    conceal = releases > 0 if concealed is None else concealed
    check_similarity_request(
        scheme, (inner, left, right), encryption, conceal, statistical_bits, releases
    )
    best: SimilarityPlan | None = None
    finest = math.inf
    for chosen, level in _candidates(encryption, parameters):
        plan = _largest_scales(
            scheme=scheme,
            sizes=(inner, left, right),
            parameters=chosen,
            level=level,
            encryption=encryption,
            concealed=conceal,
            statistical_bits=statistical_bits,
            releases=releases,
        )
        if plan is None:
            continue
        reached = max(plan.flooding, plan.error_bound)
        finest = min(finest, reached)
        if reached <= precision and (best is None or work(plan) < work(best)):
            best = plan
    if best is None:
        raise ParameterError(
            f"no parameters of 128-bit security give a similarity of {left} x {inner} "
            f"by {right} that precision",
            got=f"at best {finest:.1e}",
            expected=f"at most {precision:.1e}",
        )
    return best


def work(plan: SimilarityPlan) -> int:
    """Estimate the work of a plan in multiply-adds, for comparison with that of another."""
    level, left, _ = plan.operand_shape(LEFT)
    _, right, _ = plan.operand_shape(RIGHT)
    return multiply_adds(plan) + WORD_OPERATIONS * level * left * right


def multiply_adds(plan: SimilarityPlan) -> int:
    """Count the multiply-adds of the node, reductions included."""
    level, left, inner = plan.operand_shape(LEFT)
    _, right, _ = plan.operand_shape(RIGHT)
    reductions = -(-inner // min(exact_terms(prime) for prime in plan.primes))
    return level * left * right * (inner + REDUCTION_OPERATIONS * reductions)


def _candidates(
    encryption: str, parameters: ParameterSet | None
) -> Iterator[tuple[ParameterSet, int]]:
    if parameters is not None:
        yield from ((parameters, level) for level in range(1, len(parameters.primes) + 1))
        return
    special = encryption == PUBLIC_KEY
    for degree in RING_DEGREES:
        room = MODULUS_BITS_128[degree] - (SPECIAL_PRIME_BITS if special else 0)
        for bits in PRIME_BITS:
            for count in range(1, min(MOST_PRIMES, room // bits) + 1):
                yield (
                    ParameterSet.with_data_primes(degree, count, special=special, bits=bits),
                    count,
                )


def _largest_scales(
    *,
    scheme: str,
    sizes: tuple[int, int, int],
    parameters: ParameterSet,
    level: int,
    encryption: str,
    concealed: bool,
    statistical_bits: int,
    releases: int,
) -> SimilarityPlan | None:
    """Return the plan with the largest scales that cannot overflow, or None."""
    inner, left, right = sizes
    most = math.prod(parameters.primes[:level]).bit_length() - 2
    for bits in range(min(most, 2 * LARGEST_SCALE_BITS), 1, -1):
        try:
            return SimilarityPlan(
                scheme=scheme,
                inner=inner,
                left=left,
                right=right,
                parameters=parameters,
                level=level,
                left_scale_bits=(bits + 1) // 2,
                right_scale_bits=bits // 2,
                encryption=encryption,
                concealed=concealed,
                statistical_bits=statistical_bits,
                releases=releases,
            )
        except ParameterError:
            continue
    return None
