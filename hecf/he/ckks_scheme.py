"""CKKS behind the interface that every scheme has (:mod:`hecf.he.scheme`).

The key side is imported when it is first used, so a compute node, which only evaluates, never loads
an HE library.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hecf.he.evaluator import CkksEvaluator
from hecf.he.keys import SecretKey
from hecf.he.matrices import EncryptedMatrix, EncryptedProduct, PublicKey
from hecf.he.own_key.public_key import QuerierKey
from hecf.he.parameters import ParameterSet
from hecf.he.plan import OperandPlan
from hecf.he.product.plan import ProductPlan
from hecf.he.product.tiles import ProductTile
from hecf.he.sampling import RandomBytes
from hecf.he.similarity.matrices import EncryptedRows, EncryptedTile
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.streams import MEMORY, OperandReader, Source
from hecf.he.summation.plan import SumPlan
from hecf.he.summation.planner import plan_sum

if TYPE_CHECKING:
    from hecf.he.ckks import CkksDecryptor, CkksEncryptor
    from hecf.he.own_key.querier import CkksQuerier


class CkksScheme:
    """CKKS, with the key side from SEAL."""

    name = "ckks"

    def plan_sum(
        self,
        *,
        values: int,
        summands: int,
        value_bound: float,
        precision: float,
        weight_bound: int | None = None,
        parameters: ParameterSet | None = None,
    ) -> SumPlan:
        """Plan a sum."""
        return plan_sum(
            scheme=self.name,
            values=values,
            summands=summands,
            value_bound=value_bound,
            precision=precision,
            weight_bound=weight_bound,
            parameters=parameters,
        )

    def generate_keys(self, parameters: ParameterSet) -> tuple[SecretKey, bytes]:
        """Draw a key pair."""
        from hecf.he import ckks

        secret, public = ckks.generate_keys(parameters)
        return secret, public.to_bytes()

    def secret_key(self, parameters: ParameterSet, data: bytes) -> SecretKey:
        """Return a secret key that was stored."""
        return SecretKey(parameters, data)

    def check_public_key(self, parameters: ParameterSet, public_key: bytes) -> None:
        """Parse strictly and drop the result."""
        PublicKey.from_bytes(parameters, public_key)

    def encryptor(self, parameters: ParameterSet, public_key: bytes) -> CkksEncryptor:
        """Return an encryptor."""
        from hecf.he import ckks

        return ckks.CkksEncryptor(PublicKey.from_bytes(parameters, public_key))

    def evaluator(
        self, parameters: ParameterSet, public_key: bytes, random: RandomBytes
    ) -> CkksEvaluator:
        """Return an evaluator."""
        return CkksEvaluator(PublicKey.from_bytes(parameters, public_key), random)

    def decryptor(self, secret: SecretKey) -> CkksDecryptor:
        """Return a decryptor."""
        from hecf.he import ckks

        return ckks.CkksDecryptor(secret)

    def operand(self, plan: OperandPlan, side: str, data: bytes) -> EncryptedMatrix | EncryptedRows:
        """Parse an operand strictly."""
        if isinstance(plan, SimilarityPlan):
            return EncryptedRows.from_bytes(plan, side, data)
        return EncryptedMatrix.from_bytes(plan, side, data)

    def product(self, plan: ProductPlan, data: bytes) -> EncryptedProduct:
        """Parse a product strictly."""
        return EncryptedProduct.from_bytes(plan, data)

    def blocks(
        self, plan: OperandPlan, side: str, source: Source, *, memory: int = MEMORY
    ) -> Iterable[EncryptedMatrix] | Iterable[EncryptedRows]:
        """Parse an operand strictly, block by block."""
        if isinstance(plan, SimilarityPlan):
            return OperandReader(EncryptedRows, plan, side, source, memory=memory)
        return OperandReader(EncryptedMatrix, plan, side, source, memory=memory)

    def tile(self, plan: ProductPlan | SimilarityPlan, data: bytes) -> ProductTile | EncryptedTile:
        """Parse a tile of scores or of a similarity strictly."""
        if isinstance(plan, SimilarityPlan):
            return EncryptedTile.from_bytes(plan, data)
        return ProductTile.from_bytes(plan, data)

    def querier(self, secret: SecretKey, random: RandomBytes) -> CkksQuerier:
        """Return who asks under a key of its own."""
        from hecf.he.own_key.querier import CkksQuerier

        return CkksQuerier(secret, random)

    def check_querier_key(self, parameters: ParameterSet, public_key: bytes) -> None:
        """Parse strictly and drop the result."""
        QuerierKey.from_bytes(parameters, public_key)

    def answerer(
        self, parameters: ParameterSet, public_key: bytes, random: RandomBytes
    ) -> CkksEvaluator:
        """Return an evaluator under a querier's key."""
        return CkksEvaluator(QuerierKey.from_bytes(parameters, public_key).expanded, random)
