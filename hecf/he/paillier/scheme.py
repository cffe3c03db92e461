"""Paillier behind the interface that every scheme has (:mod:`hecf.he.scheme`).

What needs gmpy2 is imported when it is first used, so that plans can be made and other schemes run
without the extra ``paillier``.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.paillier.plan import PaillierSumPlan, plan_paillier_sum
from hecf.he.paillier.product_plan import PaillierPlan, PaillierProductPlan
from hecf.he.sampling import RandomBytes
from hecf.he.streams import MEMORY, Source, chunks_of

if TYPE_CHECKING:
    from hecf.he.paillier.decryptor import PaillierDecryptor
    from hecf.he.paillier.encryptor import PaillierEncryptor
    from hecf.he.paillier.evaluator import PaillierEvaluator
    from hecf.he.paillier.keys import PaillierSecretKey
    from hecf.he.paillier.matrices import PaillierMatrix, PaillierProduct


class PaillierScheme:
    """Paillier: exact sums, and products with an operand in clear at the evaluator's site.

    Encryptor and evaluator compute their random factors when they need them, after half a second
    for the table of powers; a party that encrypts much makes its own
    :class:`hecf.he.paillier.encryptor.PaillierEncryptor` with a pool that works ahead.
    """

    name = "paillier"

    def plan_sum(
        self,
        *,
        values: int,
        summands: int,
        value_bound: float,
        precision: float,
        weight_bound: int | None = None,
        parameters: PaillierParameters | None = None,
    ) -> PaillierSumPlan:
        """Plan a sum; see :func:`hecf.he.paillier.plan.plan_paillier_sum`."""
        return plan_paillier_sum(
            values=values,
            summands=summands,
            value_bound=value_bound,
            precision=precision,
            weight_bound=weight_bound,
            parameters=parameters,
        )

    def generate_keys(self, parameters: PaillierParameters) -> tuple[PaillierSecretKey, bytes]:
        """Draw a key pair: about a second."""
        from hecf.he.paillier.keys import generate_keys

        secret, public = generate_keys(parameters, secrets.token_bytes)
        return secret, public.to_bytes()

    def secret_key(self, parameters: PaillierParameters, data: bytes) -> PaillierSecretKey:
        """Return a secret key that was stored, after its primes passed their test again."""
        from hecf.he.paillier.keys import PaillierSecretKey

        return PaillierSecretKey(parameters, data)

    def check_public_key(self, parameters: PaillierParameters, public_key: bytes) -> None:
        """Let a modulus pass its gate and drop it."""
        from hecf.he.paillier.keys import PublicKey

        PublicKey.from_bytes(parameters, public_key)

    def encryptor(self, parameters: PaillierParameters, public_key: bytes) -> PaillierEncryptor:
        """Return an encryptor."""
        from hecf.he.paillier.encryptor import PaillierEncryptor
        from hecf.he.paillier.keys import PublicKey
        from hecf.he.paillier.randomness import Randomiser

        key = PublicKey.from_bytes(parameters, public_key)
        return PaillierEncryptor(key, Randomiser(key, secrets.token_bytes))

    def evaluator(
        self, parameters: PaillierParameters, public_key: bytes, random: RandomBytes
    ) -> PaillierEvaluator:
        """Return an evaluator."""
        from hecf.he.paillier.evaluator import PaillierEvaluator
        from hecf.he.paillier.keys import PublicKey
        from hecf.he.paillier.randomness import Randomiser

        key = PublicKey.from_bytes(parameters, public_key)
        return PaillierEvaluator(key, Randomiser(key, random), random)

    def decryptor(self, secret: PaillierSecretKey) -> PaillierDecryptor:
        """Return a decryptor."""
        from hecf.he.paillier.decryptor import PaillierDecryptor

        return PaillierDecryptor(secret)

    def operand(self, plan: PaillierPlan, side: str, data: bytes) -> PaillierMatrix:
        """Parse an operand strictly; its ciphertexts pass the gate where they are used."""
        from hecf.he.paillier.matrices import PaillierMatrix

        return PaillierMatrix.from_bytes(plan, data)

    def blocks(
        self, plan: PaillierPlan, side: str, source: Source, *, memory: int = MEMORY
    ) -> Iterator[PaillierMatrix]:
        """Parse an operand strictly from a file or chunks of bytes, at once."""
        yield self.operand(plan, side, b"".join(chunks_of(source)))

    def product(self, plan: PaillierProductPlan, data: bytes) -> PaillierProduct:
        """Parse a product strictly; its ciphertexts pass the gate where they are used."""
        from hecf.he.paillier.matrices import PaillierProduct

        return PaillierProduct.from_bytes(plan, data)
