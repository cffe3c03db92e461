"""Encryption of packed vectors and matrices under a Paillier public key."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hecf.errors import Mismatch
from hecf.he.modular import Float
from hecf.he.paillier.arithmetic import mpz, to_octets
from hecf.he.paillier.keys import PublicKey
from hecf.he.paillier.matrices import PaillierMatrix
from hecf.he.paillier.packing import SlotPacking
from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.paillier.plan import PaillierSumPlan
from hecf.he.paillier.product_plan import PaillierPlan, PaillierProductPlan
from hecf.he.paillier.randomness import Blinder
from hecf.he.paillier.slots import pack


@dataclass(frozen=True, repr=False)
class PackedOperand:
    """An operand as plaintexts: signed integers of at most half of n."""

    plan: PaillierPlan
    plaintexts: list[mpz]


class PaillierEncryptor:
    """Encrypts operands.

    Parameters
    ----------
    public_key : PublicKey
    blinder : Blinder
        Random factors: a :class:`hecf.he.paillier.randomness.Randomiser`, or the pool that worker
        processes fill.
    """

    def __init__(self, public_key: PublicKey, blinder: Blinder) -> None:
        self._public_key = public_key
        self._blinder = blinder

    def encode(self, plan: PaillierPlan, side: str, operand: Float) -> PackedOperand:
        """Check an operand, round it to the task's exponent and pack it.

        Parameters
        ----------
        plan : PaillierSumPlan or PaillierProductPlan
        side : {"left"}
            The right operand of a product stays in clear, at the evaluator.
        operand : float64 array
            (values,) of a sum, (plan.inner, plan.left) of a product.

        Raises
        ------
        InvalidInput
            If the operand has another shape, is not finite or exceeds the plan's bound.
        Mismatch
            If the plan is for other parameters, or the operand is the clear one.
        """
        check_plan(plan, self._public_key.parameters)
        if side != "left":
            raise Mismatch("only the left operand of a Paillier plan is encrypted", got=side)
        slots = plan.packing.slots
        integers = plan.rounded(operand)
        if isinstance(plan, PaillierSumPlan):
            return PackedOperand(plan, _packed(plan.packing, integers.reshape(1, -1)))
        groups = [integers[:, start : start + slots] for start in range(0, plan.left, slots)]
        return PackedOperand(
            plan, [plaintext for group in groups for plaintext in _packed(plan.packing, group)]
        )

    def encrypt(self, encoded: PackedOperand) -> PaillierMatrix:
        """Encrypt: ``(1 + m n) rho mod n^2`` with a fresh random n-th residue rho for each."""
        n, modulus = self._public_key.n, self._public_key.n_squared
        factors = self._blinder.take(len(encoded.plaintexts))
        ciphertexts = [
            (1 + plaintext % n * n) * factor % modulus
            for plaintext, factor in zip(encoded.plaintexts, factors, strict=True)
        ]
        width = self._public_key.parameters.ciphertext_bytes
        return PaillierMatrix(
            encoded.plan, self._public_key.fingerprint, to_octets(ciphertexts, width)
        )


def check_plan(plan: PaillierPlan, parameters: PaillierParameters) -> None:
    """Refuse a plan of another scheme or for another kind of key.

    Raises
    ------
    Mismatch
    """
    if not isinstance(plan, PaillierSumPlan | PaillierProductPlan):
        raise Mismatch("the plan is for another scheme", got=plan.scheme, expected="paillier")
    if plan.parameters != parameters:
        raise Mismatch(
            "the plan has other parameters than the key",
            got=plan.parameters.fingerprint.hex()[:16],
            expected=parameters.fingerprint.hex()[:16],
        )


def _packed(packing: SlotPacking, rows: np.ndarray) -> list[mpz]:
    """Pack every row, over as many plaintexts as it needs."""
    slots = packing.slots
    return [
        pack(packing, row[start : start + slots])
        for row in rows.tolist()
        for start in range(0, len(row), slots)
    ]
