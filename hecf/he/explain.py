"""Say what a plan will do and cost, like a database's EXPLAIN."""

from __future__ import annotations

from dataclasses import dataclass

from hecf.he.parameters import MODULUS_BITS_128
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.plan import GRAM, ProductPlan
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.summation.plan import SumPlan

Plan = ProductPlan | SumPlan | SimilarityPlan


@dataclass(frozen=True)
class Calibration:
    """Seconds that this machine takes for a million units of each kind of work.

    Parameters
    ----------
    encrypt : float
        A million words of fresh ciphertext.
    multiply : float
        A million products of residues.
    conceal : float
        A million words of concealed result.
    decrypt : float
        A million words of decrypted ciphertext.
    """

    encrypt: float
    multiply: float
    conceal: float
    decrypt: float


def work(plan: Plan) -> dict[str, float]:
    """Count the units of work of a plan: words to encrypt, products, words of result."""
    words = 1
    for size in plan.operand_shape(LEFT):
        words *= size
    if isinstance(plan, SumPlan):
        return {"encrypt": words, "multiply": 0.0, "conceal": 0.0, "decrypt": words}
    if isinstance(plan, SimilarityPlan):
        _, left, inner = plan.operand_shape(LEFT)
        right = plan.operand_shape(RIGHT)[1]
        degree, blocks = plan.parameters.ring_degree, plan.blocks(LEFT) + plan.blocks(RIGHT)
        results = plan.level * left * right
        return {
            "encrypt": 2 * plan.level * degree * blocks * inner,
            "multiply": float(results) * inner,
            "conceal": results if plan.concealed else 0,
            "decrypt": results,
        }
    degree, level = plan.parameters.ring_degree, plan.level
    groups, others = plan.constant_shape[:2]
    components = 1 + plan.tail_shape[2]
    results = groups * others * components * degree * level
    rows = 2 * groups
    columns = (2 if plan.operation == GRAM else 1) * others
    products = float(rows) * columns * plan.packing.blocks(plan.inner) * degree * level
    if plan.operation == GRAM:
        right = 1
        for size in plan.operand_shape(RIGHT):
            right *= size
        words += right
    return {"encrypt": words, "multiply": products, "conceal": results, "decrypt": results}


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
        units = work(plan)
        described["expected_seconds"] = {
            "encrypt": units["encrypt"] / 1e6 * calibration.encrypt,
            "node": units["multiply"] / 1e6 * calibration.multiply
            + units["conceal"] / 1e6 * calibration.conceal,
            "key_holder": units["decrypt"] / 1e6 * calibration.decrypt,
        }
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
    if plan.operation == GRAM:
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
