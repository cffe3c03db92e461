"""Decryption with the two primes, modulo their squares apart (Paillier, EUROCRYPT 1999, section 7).

A decryption is exact: an integer function of the inputs without any noise of the scheme. So it is
not flooded when it is released; that a value is exact is no reason to release it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hecf.errors import Mismatch
from hecf.he.blinding import BlindedDecryption, BlindedProduct
from hecf.he.keys import Decrypted
from hecf.he.paillier.arithmetic import inverse, mpz, powers
from hecf.he.paillier.encryptor import check_plan
from hecf.he.paillier.gate import admit_octets
from hecf.he.paillier.keys import PaillierSecretKey
from hecf.he.paillier.matrices import (
    CiphertextBatch,
    PaillierMatrix,
    PaillierProduct,
    check_key,
)
from hecf.he.paillier.plan import PaillierSumPlan
from hecf.he.paillier.planner import unsupported
from hecf.he.paillier.product_plan import PaillierProductPlan
from hecf.he.paillier.slots import unpack


class PaillierDecryptor:
    """Decrypts sums and products, on all cores.

    Parameters
    ----------
    secret : PaillierSecretKey

    Security
    --------
    Every batch passes the gate first: to decrypt a multiple of p and release the plaintext would
    release p. Powers with secret exponents are not computed in constant time.
    """

    def __init__(self, secret: PaillierSecretKey) -> None:
        self._public_key = secret.public_key
        p, q = secret.primes()
        self._p, self._q = _Prime.of(p, q), _Prime.of(q, p)
        self._q_inverse = inverse(q, p)

    def decrypt(self, product: PaillierProduct) -> Decrypted[PaillierProductPlan]:
        """Decrypt a product; only the release gate may pass the values on.

        Raises
        ------
        Mismatch
            If the product is for another key, other parameters or another scheme.
        MalformedMessage
            If a ciphertext does not pass the gate.
        """
        plan = product.plan
        plaintexts = self.plaintexts(product)
        if not isinstance(plan, PaillierProductPlan):
            raise Mismatch("the plan is for another operation", got=plan.operation)
        packing, values = plan.packing, np.empty((plan.left, plan.right))
        chunks = range(0, plan.right, plan.columns)
        places = [
            (group * packing.slots, start) for group in range(plan.groups) for start in chunks
        ]
        for (row, start), plaintext in zip(places, plaintexts, strict=True):
            width = min(packing.slots, plan.left - row)
            count = min(plan.columns, plan.right - start)
            signed = self._signed(plaintext, packing.slot_bits * width * count)
            numbers = unpack(packing, signed, width * count)
            block = np.array(numbers, dtype=np.float64).reshape(count, width)
            values[row : row + width, start : start + count] = block.T
        return Decrypted(plan, np.ldexp(values, -plan.fraction_bits))

    def decrypt_sum(
        self, plan: PaillierSumPlan, total: PaillierMatrix
    ) -> Decrypted[PaillierSumPlan]:
        """Decrypt a sum, which is exact; only the release gate may pass it on.

        Raises
        ------
        Mismatch
            If the sum belongs to another plan or key.
        MalformedMessage
            If a ciphertext does not pass the gate, or a decrypted number exceeds its slots.
        """
        if total.plan.fingerprint != plan.fingerprint:
            raise Mismatch("a sum belongs to another plan")
        numbers: list[int] = []
        for plaintext in self.plaintexts(total):
            count = min(plan.packing.slots, plan.values - len(numbers))
            signed = self._signed(plaintext, plan.packing.slot_bits * count)
            plan.packing.check_range(int(signed), count)
            numbers += unpack(plan.packing, signed, count)
        exact = np.ldexp(np.array(numbers, dtype=np.float64), -plan.fraction_bits)
        return Decrypted(plan, exact)

    def decrypt_blinded(self, product: BlindedProduct) -> BlindedDecryption:
        """Refuse: there are no blinded results under Paillier."""
        raise unsupported("blinded release")

    def plaintexts(self, batch: CiphertextBatch) -> list[mpz]:
        """Decrypt to integers modulo n; errors as for :meth:`decrypt`."""
        check_key(batch, self._public_key.fingerprint)
        check_plan(batch.plan, self._public_key.parameters)
        ciphertexts = admit_octets(self._public_key, batch.octets)
        halves = zip(self._p.plaintexts(ciphertexts), self._q.plaintexts(ciphertexts), strict=True)
        p, q = self._p.prime, self._q.prime
        return [b + q * ((a - b) * self._q_inverse % p) for a, b in halves]

    def _signed(self, plaintext: mpz, bits: int) -> mpz:
        """Undo the reduction modulo n of a number whose agreed bits were negative."""
        n = self._public_key.n
        return plaintext - n if plaintext > n - (mpz(1) << (bits - 1)) else plaintext


@dataclass(frozen=True, repr=False)
class _Prime:
    """What decryption modulo the square of one prime needs.

    Parameters
    ----------
    prime, square : mpz
    scale : mpz
        ``L((1 + n)^(p - 1) mod p^2)^-1 mod p``.
    """

    prime: mpz
    square: mpz
    scale: mpz

    @classmethod
    def of(cls, prime: mpz, other: mpz) -> _Prime:
        """Precompute the scale."""
        # (1 + n)^(p - 1) = 1 + (p - 1) p q modulo p^2, so L of it is -q modulo p.
        return cls(prime, prime * prime, inverse(-other % prime, prime))

    def plaintexts(self, ciphertexts: list[mpz]) -> list[mpz]:
        """Decrypt modulo the prime."""
        raised = powers([c % self.square for c in ciphertexts], self.prime - 1, self.square)
        return [(value - 1) // self.prime * self.scale % self.prime for value in raised]
