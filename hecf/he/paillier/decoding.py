"""From the plaintexts of sums and products to values, wherever they were decrypted or unmasked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hecf.he.modular import Float
from hecf.he.paillier.arithmetic import mpz
from hecf.he.paillier.plan import PaillierSumPlan
from hecf.he.paillier.product_plan import PaillierPlan, PaillierProductPlan
from hecf.he.paillier.slots import unpack


def decoded(plan: PaillierPlan, plaintexts: Sequence[mpz], n: mpz) -> Float:
    """Read the result of a plan from integers modulo n.

    Parameters
    ----------
    plan : PaillierSumPlan or PaillierProductPlan
    plaintexts : sequence of mpz
        One for every ciphertext of the result.
    n : mpz
        The modulus of the key.

    Returns
    -------
    float64 array, shape (values,) of a sum or (left, right) of a product

    Raises
    ------
    MalformedMessage
        If a number of a sum exceeds its slots.
    """
    if isinstance(plan, PaillierSumPlan):
        return _sum(plan, plaintexts, n)
    return _product(plan, plaintexts, n)


def _sum(plan: PaillierSumPlan, plaintexts: Sequence[mpz], n: mpz) -> Float:
    numbers: list[int] = []
    for plaintext in plaintexts:
        count = min(plan.packing.slots, plan.values - len(numbers))
        signed = _signed(plaintext, plan.packing.slot_bits * count, n)
        plan.packing.check_range(int(signed), count)
        numbers += unpack(plan.packing, signed, count)
    return np.ldexp(np.array(numbers, dtype=np.float64), -plan.fraction_bits)


def _product(plan: PaillierProductPlan, plaintexts: Sequence[mpz], n: mpz) -> Float:
    packing, values = plan.packing, np.empty((plan.left, plan.right))
    chunks = range(0, plan.right, plan.columns)
    places = [(group * packing.slots, start) for group in range(plan.groups) for start in chunks]
    for (row, start), plaintext in zip(places, plaintexts, strict=True):
        width = min(packing.slots, plan.left - row)
        count = min(plan.columns, plan.right - start)
        signed = _signed(plaintext, packing.slot_bits * width * count, n)
        numbers = unpack(packing, signed, width * count)
        block = np.array(numbers, dtype=np.float64).reshape(count, width)
        values[row : row + width, start : start + count] = block.T
    return np.ldexp(values, -plan.fraction_bits)


def _signed(plaintext: mpz, bits: int, n: mpz) -> mpz:
    """Undo the reduction modulo n of a number whose agreed bits were negative."""
    return plaintext - n if plaintext > n - (mpz(1) << (bits - 1)) else plaintext
