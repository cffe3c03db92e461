"""Decryption with the two primes, modulo their squares apart (Paillier, EUROCRYPT 1999, section 7).

A decryption is exact: an integer function of the inputs without any noise of the scheme. So it is
not flooded when it is released; that a value is exact is no reason to release it.
"""

from __future__ import annotations

from dataclasses import dataclass

from hecf.errors import Mismatch
from hecf.he.keys import Decrypted
from hecf.he.paillier.arithmetic import inverse, mpz, powers, to_octets
from hecf.he.paillier.blinding import MaskedIntegers, PaillierBlinded
from hecf.he.paillier.decoding import decoded
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
from hecf.he.paillier.product_plan import PaillierProductPlan


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
        return Decrypted(plan, decoded(plan, plaintexts, self._public_key.n))

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
        return Decrypted(plan, decoded(plan, self.plaintexts(total), self._public_key.n))

    def decrypt_blinded(self, product: PaillierBlinded) -> MaskedIntegers:
        """Decrypt masked integers: without the mask they mean nothing; errors as above."""
        if not isinstance(product, PaillierBlinded):
            raise Mismatch("a result is not masked", got=type(product).__name__)
        width = self._public_key.parameters.modulus_bytes
        octets = to_octets(self.plaintexts(product), width)
        return MaskedIntegers(product.plan, product.key_fingerprint, octets)

    def plaintexts(self, batch: CiphertextBatch) -> list[mpz]:
        """Decrypt to integers modulo n; errors as for :meth:`decrypt`."""
        check_key(batch, self._public_key.fingerprint)
        check_plan(batch.plan, self._public_key.parameters)
        ciphertexts = admit_octets(self._public_key, batch.octets)
        halves = zip(self._p.plaintexts(ciphertexts), self._q.plaintexts(ciphertexts), strict=True)
        p, q = self._p.prime, self._q.prime
        return [b + q * ((a - b) * self._q_inverse % p) for a, b in halves]


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
