"""Choose layout, ring, primes and scales for a product from what is asked of it.

Every admissible combination is tried; the one that moves the fewest bytes wins. Bounds are worst
cases, so a plan that is returned cannot overflow and cannot miss its precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from hecf.errors import ParameterError
from hecf.he.parameters import (
    DATA_PRIME_BITS,
    MODULUS_BITS_128,
    SPECIAL_PRIME_BITS,
    ParameterSet,
)
from hecf.he.plan import LARGEST_SCALE_BITS, LEFT, RIGHT
from hecf.he.product.packing import ProductPacking
from hecf.he.product.plan import GRAM, SCORE, SIMILARITY, ProductPlan, check_request

RING_DEGREES = (4096, 8192, 16384)
MOST_PRIMES = 8
ITEM_SCALE_BITS = 28


def plan_gram(
    *,
    scheme: str,
    rows: int,
    left: int,
    right: int,
    precision: float,
    statistical_bits: int,
    releases: int,
) -> ProductPlan:
    """Plan ``A' B`` for two encrypted matrices whose columns have norm at most 1.

    Parameters
    ----------
    scheme : {"ckks", "clear"}
    rows : int
        Shoppers, the inner dimension.
    left, right : int
        Columns of A and of B.
    precision : float
        Largest standard deviation of a released entry.
    statistical_bits, releases : int
        Strength of the flooding noise.

    Raises
    ------
    ParameterError
        If an argument is out of range, or no parameters in the security table reach the
        precision.
    """
    candidates = _encrypted_products(
        _choices(),
        scheme=scheme,
        operation=GRAM,
        inner=rows,
        left=left,
        right=right,
        statistical_bits=statistical_bits,
        releases=releases,
    )
    return _cheapest(candidates, precision, f"a Gram block of {rows} x {left} by {right}")


def plan_packed_similarity(
    *,
    scheme: str,
    inner: int,
    left: int,
    right: int,
    precision: float,
    statistical_bits: int,
    releases: int,
    parameters: ParameterSet | None = None,
) -> ProductPlan:
    """Plan ``A' B`` for the similarity of the columns of A and of B, of norm at most 1.

    Parameters
    ----------
    scheme : {"ckks", "clear"}
    inner : int
        d, rows of A and of B.
    left, right : int
        Columns of A and of B: the rows that are compared.
    precision : float
        Largest standard deviation of a released entry.
    statistical_bits, releases : int
        Strength of the flooding noise.
    parameters : ParameterSet, optional
        Parameters of an existing key. The plan may drop primes from their end.

    Raises
    ------
    ParameterError
        If an argument is out of range, or no parameters in the security table, or none under
        the key, reach the precision.
    """
    candidates = _encrypted_products(
        _choices(parameters),
        scheme=scheme,
        operation=SIMILARITY,
        inner=inner,
        left=left,
        right=right,
        statistical_bits=statistical_bits,
        releases=releases,
    )
    return _cheapest(candidates, precision, f"a similarity of {left} x {inner} by {right}")


def plan_score(
    *,
    scheme: str,
    factors: int,
    shoppers: int,
    items: int,
    retailers: int,
    operand_bound: float,
    precision: float,
    statistical_bits: int,
    releases: int,
    parameters: ParameterSet | None = None,
    special: bool = True,
) -> ProductPlan:
    """Plan scores of encrypted shoppers on plaintext items.

    Parameters
    ----------
    factors, shoppers, items : int
        A is (factors, shoppers) and encrypted, B is (factors, items) and clear.
    retailers : int
        Encrypted contributions that are summed.
    operand_bound : float
        Largest absolute entry of one contribution.
    precision : float
        Largest standard deviation of a released score, relative to item columns of 1-norm 1.
    parameters : ParameterSet, optional
        Parameters of an existing key. The plan may drop primes from their end.
    special : bool
        Whether a key that is still to be drawn has a special prime, which encryption by SEAL needs
        and encryption with the secret key does not.

    Raises
    ------
    ParameterError
        If an argument is out of range, or no parameters in the security table, or none under
        the key, reach the precision.
    """
    sizes = (factors, shoppers, items, retailers)
    check_request(scheme, sizes, operand_bound, statistical_bits, releases)

    def candidates() -> Iterator[ProductPlan]:
        for chosen, level in _choices(parameters, special=special):
            bits = _modulus_bits(chosen, level) - 3
            bits -= math.ceil(math.log2(retailers * operand_bound + 2))
            for packing in _packings(chosen.ring_degree, factors, shoppers, items):
                yield from _valid(
                    scheme=scheme,
                    operation=SCORE,
                    inner=factors,
                    left=shoppers,
                    right=items,
                    parameters=chosen,
                    level=level,
                    packing=packing,
                    left_scale_bits=min(bits - ITEM_SCALE_BITS, LARGEST_SCALE_BITS),
                    right_scale_bits=ITEM_SCALE_BITS,
                    summands=retailers,
                    operand_bound=operand_bound,
                    statistical_bits=statistical_bits,
                    releases=releases,
                )

    return _cheapest(candidates(), precision, f"scores of {shoppers} shoppers on {items} items")


def _encrypted_products(
    choices: Iterable[tuple[ParameterSet, int]],
    *,
    scheme: str,
    operation: str,
    inner: int,
    left: int,
    right: int,
    statistical_bits: int,
    releases: int,
) -> Iterator[ProductPlan]:
    """Yield the plans of products of two encrypted operands, with the largest scales each."""
    check_request(scheme, (inner, left, right), 1.0, statistical_bits, releases)
    for parameters, level in choices:
        bits = min((_modulus_bits(parameters, level) - 3) // 2, LARGEST_SCALE_BITS)
        for packing in _packings(parameters.ring_degree, inner, left, right):
            yield from _valid(
                scheme=scheme,
                operation=operation,
                inner=inner,
                left=left,
                right=right,
                parameters=parameters,
                level=level,
                packing=packing,
                left_scale_bits=bits,
                right_scale_bits=bits,
                summands=1,
                operand_bound=1.0,
                statistical_bits=statistical_bits,
                releases=releases,
            )


def _choices(
    parameters: ParameterSet | None = None, *, special: bool = True
) -> Iterator[tuple[ParameterSet, int]]:
    """Yield parameters and levels: of a key that exists every level, of a new one all primes."""
    if parameters is not None:
        yield from ((parameters, level) for level in range(1, len(parameters.primes) + 1))
        return
    for degree in RING_DEGREES:
        room = MODULUS_BITS_128[degree] - (SPECIAL_PRIME_BITS if special else 0)
        for count in range(1, min(MOST_PRIMES, room // DATA_PRIME_BITS) + 1):
            yield ParameterSet.with_data_primes(degree, count, special=special), count


def _modulus_bits(parameters: ParameterSet, level: int) -> int:
    return math.prod(parameters.primes[:level]).bit_length()


def _packings(degree: int, inner: int, left: int, right: int) -> Iterator[ProductPacking]:
    # A size beyond the next power of two of its dimension only adds padding, which the inner
    # dimension takes when all three together do not fill the ring.
    most_left, most_inner, most_right = (
        1 << (size - 1).bit_length() for size in (left, inner, right)
    )
    sizes = [1 << bit for bit in range(degree.bit_length())]
    for m in sizes:
        for n in sizes:
            u = degree // (m * n)
            full = m == most_left and n == most_right
            if u >= 1 and m <= most_left and n <= most_right and (u <= most_inner or full):
                yield ProductPacking(m, u, n)


def _valid(**fields: Any) -> Iterator[ProductPlan]:
    try:
        yield ProductPlan(**fields)
    except ParameterError:
        return


def _cheapest(candidates: Iterable[ProductPlan], precision: float, what: str) -> ProductPlan:
    best: ProductPlan | None = None
    finest = math.inf
    for plan in candidates:
        reached = max(plan.flooding, plan.error_bound)
        finest = min(finest, reached)
        if reached <= precision and (best is None or _bytes(plan) < _bytes(best)):
            best = plan
    if best is None:
        raise ParameterError(
            f"no parameters of 128-bit security give {what} that precision",
            got=f"at best {finest:.1e}",
            expected=f"at most {precision:.1e}",
        )
    return best


def _bytes(plan: ProductPlan) -> int:
    uploads = plan.operand_bytes(LEFT) * plan.summands
    if RIGHT in plan.encrypted_sides:
        uploads += plan.operand_bytes(RIGHT)
    return uploads + plan.result_bytes
