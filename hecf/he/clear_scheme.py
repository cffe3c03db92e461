"""The clear scheme behind the interface that every scheme has (:mod:`hecf.he.scheme`)."""

from __future__ import annotations

from collections.abc import Iterable

from hecf.he.clear import ClearDecryptor, ClearEncryptor, ClearEvaluator, ClearQuerier
from hecf.he.clear_matrices import ClearMatrix, ClearProduct, ClearTile
from hecf.he.keys import SecretKey
from hecf.he.parameters import ParameterSet
from hecf.he.plan import OperandPlan
from hecf.he.product.plan import ProductPlan
from hecf.he.sampling import RandomBytes
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.streams import MEMORY, OperandReader, Source
from hecf.he.summation.plan import SumPlan
from hecf.he.summation.planner import plan_sum


class ClearScheme:
    """No encryption, for tests and comparison; its keys are empty."""

    name = "clear"

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
        """Return empty keys."""
        return SecretKey(parameters, b""), b""

    def secret_key(self, parameters: ParameterSet, data: bytes) -> SecretKey:
        """Return a secret key that was stored."""
        return SecretKey(parameters, data)

    def check_public_key(self, parameters: ParameterSet, public_key: bytes) -> None:
        """Accept anything: there is no key."""

    def encryptor(self, parameters: ParameterSet, public_key: bytes) -> ClearEncryptor:
        """Return the encryptor that only checks."""
        return ClearEncryptor()

    def evaluator(
        self, parameters: ParameterSet, public_key: bytes, random: RandomBytes
    ) -> ClearEvaluator:
        """Return the float64 evaluator."""
        return ClearEvaluator()

    def decryptor(self, secret: SecretKey) -> ClearDecryptor:
        """Return the decryptor that only unwraps."""
        return ClearDecryptor()

    def operand(self, plan: OperandPlan, side: str, data: bytes) -> ClearMatrix:
        """Parse an operand strictly."""
        return ClearMatrix.from_bytes(plan, side, data)

    def product(self, plan: ProductPlan, data: bytes) -> ClearProduct:
        """Parse a product strictly."""
        return ClearProduct.from_bytes(plan, data)

    def blocks(
        self, plan: OperandPlan, side: str, source: Source, *, memory: int = MEMORY
    ) -> Iterable[ClearMatrix]:
        """Parse an operand strictly, block by block."""
        return OperandReader(ClearMatrix, plan, side, source, memory=memory)

    def tile(self, plan: ProductPlan | SimilarityPlan, data: bytes) -> ClearTile:
        """Parse a tile of scores or of a similarity strictly."""
        return ClearTile.from_bytes(plan, data)

    def querier(self, secret: SecretKey, random: RandomBytes) -> ClearQuerier:
        """Return who asks without a key."""
        return ClearQuerier()

    def check_querier_key(self, parameters: ParameterSet, public_key: bytes) -> None:
        """Accept anything: there is no key."""

    def answerer(
        self, parameters: ParameterSet, public_key: bytes, random: RandomBytes
    ) -> ClearEvaluator:
        """Return the float64 evaluator."""
        return ClearEvaluator()
