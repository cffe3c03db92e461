"""Say what a plan will do and cost, like a database's EXPLAIN."""

from __future__ import annotations

from hecf.he.parameters import MODULUS_BITS_128
from hecf.he.plan import LEFT, RIGHT
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.summation.plan import SumPlan
from hecf.he.work import Calibration, Plan


def explain(plan: Plan, calibration: Calibration | None = None) -> dict[str, object]:
    """Describe a plan: layout, parameters, margins, bytes, errors, and seconds if calibrated."""
    parameters = plan.parameters
    gate = MODULUS_BITS_128[parameters.ring_degree]
    described: dict[str, object] = {
        "operation": plan.operation,
        "scheme": plan.scheme,
        "layout": _layout(plan),
        "ring_degree": parameters.ring_degree,
        "data_primes": list(plan.primes),
        "special_prime": parameters.special_prime,
        "modulus_bits": parameters.modulus_bits,
        "security_bits": parameters.security_bits,
        "modulus_bits_allowed": gate,
        "scale_bits": _scales(plan),
        "ciphertexts": _ciphertexts(plan),
        "bytes": _bytes(plan),
        "error_before_flooding": plan.error_bound,
        "flooding_deviation": plan.flooding,
        "fingerprint": plan.fingerprint.hex(),
    }
    if calibration is not None:
        described["expected_seconds"] = calibration.seconds(plan)
    return described


def _layout(plan: Plan) -> str:
    if isinstance(plan, SumPlan):
        return f"{plan.digits} values of {plan.digit_bits} bits in a coefficient"
    if isinstance(plan, SimilarityPlan):
        degree = plan.parameters.ring_degree
        return f"{degree} rows in a polynomial, one a column; panels of {degree} x {degree} scores"
    packing = plan.packing
    return (
        f"{packing.left} left columns x {packing.inner} rows x {packing.right} right columns "
        "in a polynomial"
    )


def _scales(plan: Plan) -> list[int]:
    if isinstance(plan, SumPlan):
        return [plan.fraction_bits]
    return [plan.left_scale_bits, plan.right_scale_bits]


def _ciphertexts(plan: Plan) -> dict[str, int]:
    if isinstance(plan, SumPlan):
        return {"upload": plan.polynomials, "result": plan.polynomials}
    if isinstance(plan, SimilarityPlan):
        pairs = plan.blocks(LEFT) * plan.blocks(RIGHT)
        counts = {side: plan.blocks(side) * plan.inner for side in (LEFT, RIGHT)}
        return {**counts, "result": pairs}
    groups, blocks = plan.operand_shape(LEFT)[:2]
    counts = {"left": groups * blocks}
    if RIGHT in plan.encrypted_sides:
        right, rows = plan.operand_shape(RIGHT)[:2]
        counts["right"] = right * rows
    return {**counts, "result": plan.constant_shape[0] * plan.constant_shape[1]}


def _bytes(plan: Plan) -> dict[str, int]:
    if isinstance(plan, SumPlan):
        return {"upload": plan.operand_bytes(LEFT), "result": plan.result_bytes}
    counts = {"left": plan.operand_bytes(LEFT)}
    if RIGHT in plan.encrypted_sides:
        counts["right"] = plan.operand_bytes(RIGHT)
    return {**counts, "result": plan.result_bytes}
