"""Choose the exponents of a Paillier product, and refuse what another scheme does far better."""

from __future__ import annotations

import math
from collections.abc import Iterator

from hecf.errors import ParameterError
from hecf.he.paillier.parameters import CLASSIC, PaillierParameters
from hecf.he.paillier.plan import units
from hecf.he.paillier.product_plan import (
    LARGEST_WINDOW_BITS,
    LARGEST_WORK,
    SCORE,
    PaillierProductPlan,
)

LARGEST_FRACTION_BITS = 40
CLASSIC_PRODUCTS_A_BIT = 1.2
"""Squarings and products of a power for every bit of its exponent."""


def unsupported(operation: str) -> ParameterError:
    """Return the error for what Paillier does not have; it names the scheme that does."""
    return ParameterError(
        f"Paillier has no {operation}; another scheme has it",
        got="paillier",
        expected="ckks",
    )


def plan_paillier_product(
    operation: str,
    *,
    inner: int,
    left: int,
    right: int,
    precision: float | None = None,
    summands: int = 1,
    operand_bound: float = 1.0,
    column_norm: float = 1.0,
    nonzeros: int | None = None,
    parameters: PaillierParameters | None = None,
    largest_work: int = LARGEST_WORK,
) -> PaillierProductPlan:
    """Plan ``C = A' B`` with A encrypted and B in clear at the evaluator's own site.

    Parameters
    ----------
    operation : {"gram", "score", "similarity"}
        A score adds a bias of at most 1 to every column.
    inner, left, right : int
        K, I and J: A is (K, I), B is (K, J).
    precision : float, optional
        Largest error of an entry. Without it both operands are whole numbers and nothing errs.
    summands : int
        Encrypted A matrices that are added up first.
    operand_bound : float
        Largest absolute entry of an encrypted A.
    column_norm : float
        Largest 1-norm of a column of B.
    nonzeros : int, optional
        Entries of B that are not zero; all of them by default.
    parameters : PaillierParameters, optional
        Those of an existing key; 3072 bits by default.
    largest_work : int
        Modular products that are still sensible.

    Raises
    ------
    ParameterError
        If a result does not fit, or the node would work for minutes where CKKS takes no second;
        the message says so.
    """
    parameters = parameters or PaillierParameters()
    bias = 1.0 if operation == SCORE else 0.0
    best: PaillierProductPlan | None = None
    for left_bits, right_bits in _exponents(precision):
        plan = PaillierProductPlan(
            operation,
            inner,
            left,
            right,
            summands,
            operand_bound,
            column_norm,
            bias,
            left_bits,
            right_bits,
            parameters,
        )
        if precision is not None and plan.error_bound > precision:
            continue
        if best is None or plan.fraction_bits < best.fraction_bits:
            best = plan
    if best is None:
        raise ParameterError(
            "no exponents reach the precision", got=precision, expected="a larger one"
        )
    work = node_work(best, nonzeros)
    if work > largest_work:
        raise ParameterError(
            f"this {operation} is too large for Paillier; the scheme ckks computes it",
            got=f"{work:,} modular products",
            expected=f"at most {largest_work:,}",
        )
    return best


def node_work(plan: PaillierProductPlan, nonzeros: int | None = None) -> int:
    """Count the modular products of a node: a worst case for that many entries of B."""
    entries = plan.inner * plan.right if nonzeros is None else nonzeros
    largest = units(plan.column_norm, plan.right_fraction_bits)
    bases = min(plan.inner, entries)
    _, products = best_window([(largest.bit_length(), entries)], bases, plan.right)
    packed = plan.packing.slot_bits * plan.left * plan.right if plan.columns > 1 else 0
    digits, classic = plan.parameters.exponent_digits, plan.parameters.randomness == CLASSIC
    blinding = CLASSIC_PRODUCTS_A_BIT * plan.parameters.modulus_bits if classic else digits
    return round(plan.groups * products + packed + plan.result_ciphertexts * blinding)


def best_window(lengths: list[tuple[int, int]], bases: int, columns: int) -> tuple[int, int]:
    """Window of exponents that costs the fewest modular products, and how many.

    Parameters
    ----------
    lengths : list of (int, int)
        Bit lengths of exponents, and how many have each.
    bases : int
        Ciphertexts that are raised.
    columns : int
        Products that are made; each squares along its longest exponent.
    """
    longest = max((bits for bits, _ in lengths), default=0)
    costs = []
    for window in range(1, LARGEST_WINDOW_BITS + 1):
        table = bases * (2 ** min(window, longest) - 2) if longest else 0
        digits = sum(count * -(-bits // window) for bits, count in lengths)
        costs.append((table + digits + columns * longest, window))
    products, window = min(costs)
    return window, max(products, 0)


def _exponents(precision: float | None) -> Iterator[tuple[int, int]]:
    if precision is None:
        yield 0, 0
        return
    if not 0 < precision < math.inf:
        raise ParameterError("a precision is out of range", got=precision, expected="positive")
    for total in range(2, 2 * LARGEST_FRACTION_BITS + 1):
        for left in range(max(1, total - LARGEST_FRACTION_BITS), min(total, LARGEST_FRACTION_BITS)):
            yield left, total - left
