"""The body of ``hecf plan``: ask the planner, and print its choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from hecf.errors import ConfigurationError
from hecf.he.explain import explain
from hecf.he.product.plan import GRAM, SCORE
from hecf.he.product.planner import plan_gram, plan_score
from hecf.he.similar_rows import plan_similar_rows
from hecf.he.similarity.plan import SIMILARITY
from hecf.he.summation.plan import SUM
from hecf.he.summation.planner import plan_sum
from hecf.he.work import Plan
from parties import calibration

OPERATIONS = (SUM, GRAM, SIMILARITY, SCORE)


@dataclass(frozen=True)
class Request:
    """What is to be computed; each operation reads the sizes it needs."""

    operation: str
    precision: float
    releases: int
    statistical_bits: int
    shoppers: int
    left: int
    right: int
    factors: int
    items: int
    values: int
    parties: int
    bound: float


def plan(request: Request) -> Plan:
    """Plan a request.

    Raises
    ------
    ParameterError
        If nothing in the security table holds what is asked.
    """
    common: dict[str, Any] = {
        "scheme": "ckks",
        "precision": request.precision,
        "statistical_bits": request.statistical_bits,
        "releases": request.releases,
    }
    if request.operation == GRAM:
        return plan_gram(rows=request.shoppers, left=request.left, right=request.right, **common)
    if request.operation == SIMILARITY:
        return plan_similar_rows(
            inner=request.factors, left=request.left, right=request.right, **common
        )
    if request.operation == SCORE:
        return plan_score(
            factors=request.left,
            shoppers=request.shoppers,
            items=request.items,
            retailers=request.parties,
            operand_bound=request.bound,
            **common,
        )
    if request.operation == SUM:
        return plan_sum(
            scheme="ckks",
            values=request.values,
            summands=request.parties,
            value_bound=request.bound,
            precision=request.precision,
        )
    raise ConfigurationError(
        "unknown operation", got=request.operation, expected=" or ".join(OPERATIONS)
    )


def described(request: Request) -> dict[str, object]:
    """Plan a request and explain the choice with this machine's calibration, if there is one."""
    return explain(plan(request), calibration.load())


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print an explanation."""
    table = Table("what", "planned", title=f"plan of {found['operation']} ({found['scheme']})")
    table.add_row("layout", found["layout"])
    table.add_row(
        "ring",
        f"degree {found['ring_degree']}, {len(found['data_primes'])} data primes, special prime "
        f"{found['special_prime'] or 'none'}",
    )
    table.add_row(
        "security",
        f"{found['security_bits']} bits: modulus of {found['modulus_bits']} bits, "
        f"{found['modulus_bits_allowed']} allowed",
    )
    table.add_row("scales", " x ".join(f"2^{bits}" for bits in found["scale_bits"]))
    for name, count in found["ciphertexts"].items():
        table.add_row(f"{name}", f"{count:,} ciphertexts, {found['bytes'][name]:,} bytes")
    table.add_row("error before flooding", f"at most {found['error_before_flooding']:.1e}")
    table.add_row("flooding noise", f"standard deviation {found['flooding_deviation']:.1e}")
    seconds = found.get("expected_seconds")
    if seconds is None:
        table.add_row("expected seconds", "unknown: run hecf doctor --calibrate once")
    else:
        for name, value in seconds.items():
            table.add_row(f"expected seconds, {name.replace('_', ' ')}", f"{value:.2f}")
    table.add_row("fingerprint", found["fingerprint"][:16])
    console.print(table)
