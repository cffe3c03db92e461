"""The interface that every scheme has, and the schemes by name.

A scheme's key side is imported when it is first used, so a compute node, which only evaluates,
never loads an HE library.
"""

from __future__ import annotations

from typing import Any, Protocol

from hecf.errors import ConfigurationError
from hecf.he.blinding import BlindedDecryption, BlindedProduct, MaskSeed
from hecf.he.clear import ClearDecryptor, ClearEncryptor, ClearEvaluator, ClearMatrix, ClearProduct
from hecf.he.evaluator import CkksEvaluator
from hecf.he.keys import Decrypted, SecretKey
from hecf.he.matrices import EncryptedMatrix, EncryptedProduct, PublicKey
from hecf.he.modular import Float
from hecf.he.paillier.scheme import PaillierScheme
from hecf.he.parameters import ParameterSet
from hecf.he.plan import OperandPlan
from hecf.he.product.plan import ProductPlan
from hecf.he.sampling import RandomBytes
from hecf.he.summation.plan import SumPlan
from hecf.he.summation.planner import plan_sum


class Serialised(Protocol):
    """An operand or a product."""

    @property
    def plan(self) -> Any:
        """The plan that fixes its shape."""
        ...

    def to_bytes(self) -> bytes:
        """Return the bytes that travel."""
        ...


class Evaluator(Protocol):
    """What a compute node does."""

    def gram(self, left: Any, right: Any) -> Serialised:
        """Compute ``A' B`` of two operands."""
        ...

    def add(self, operands: list[Any]) -> Serialised:
        """Add the contributions to a score."""
        ...

    def score(self, shoppers: Any, items: Float, bias: Float) -> Serialised:
        """Score summed contributions on plaintext items."""
        ...

    def blind(self, product: Any, seed: MaskSeed) -> BlindedProduct:
        """Hide a result under a mask that its recipient alone can take off."""
        ...

    def sum(self, operands: list[Any], weights: list[int] | None = None) -> Serialised:
        """Add vectors exactly, with small integer weights."""
        ...


class Encryptor(Protocol):
    """What a retailer does."""

    def encode(self, plan: Any, side: str, matrix: Float) -> Any:
        """Check one operand and lay it out as the scheme's plaintext."""
        ...

    def encrypt(self, encoded: Any) -> Serialised:
        """Encrypt an encoded operand."""
        ...


class Decryptor(Protocol):
    """What a key holder does."""

    def decrypt(self, product: Any) -> Decrypted[Any]:
        """Decrypt a product; only the release gate may pass the values on."""
        ...

    def decrypt_blinded(self, product: BlindedProduct) -> BlindedDecryption:
        """Decrypt a masked product; only the release gate may pass the residues on."""
        ...

    def decrypt_sum(self, plan: Any, total: Any) -> Decrypted[Any]:
        """Decrypt a sum, which is exact; only the release gate may pass it on."""
        ...


class Scheme(Protocol):
    """A family of operands, products and keys.

    Parameters, plans and keys are those of the scheme; one of another scheme raises.
    """

    name: str

    def plan_sum(
        self,
        *,
        values: int,
        summands: int,
        value_bound: float,
        precision: float,
        weight_bound: int | None = None,
        parameters: Any = None,
    ) -> Any:
        """Plan the exact sum of vectors; see :func:`hecf.he.summation.planner.plan_sum`."""
        ...

    def generate_keys(self, parameters: Any) -> tuple[Any, bytes]:
        """Draw a secret key, and the bytes of its public key."""
        ...

    def check_public_key(self, parameters: Any, public_key: bytes) -> None:
        """Refuse bytes that are no public key for the parameters."""
        ...

    def encryptor(self, parameters: Any, public_key: bytes) -> Encryptor:
        """Return an encryptor for a public key that another party sent."""
        ...

    def evaluator(self, parameters: Any, public_key: bytes, random: RandomBytes) -> Evaluator:
        """Return an evaluator for a public key that another party sent."""
        ...

    def decryptor(self, secret: Any) -> Decryptor:
        """Return a decryptor for a secret key."""
        ...

    def operand(self, plan: Any, side: str, data: bytes) -> Serialised:
        """Parse an operand strictly."""
        ...

    def product(self, plan: Any, data: bytes) -> Serialised:
        """Parse a product strictly."""
        ...


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

    def check_public_key(self, parameters: ParameterSet, public_key: bytes) -> None:
        """Parse strictly and drop the result."""
        PublicKey.from_bytes(parameters, public_key)

    def encryptor(self, parameters: ParameterSet, public_key: bytes) -> Encryptor:
        """Return an encryptor."""
        from hecf.he import ckks

        return ckks.CkksEncryptor(PublicKey.from_bytes(parameters, public_key))

    def evaluator(
        self, parameters: ParameterSet, public_key: bytes, random: RandomBytes
    ) -> Evaluator:
        """Return an evaluator."""
        return CkksEvaluator(PublicKey.from_bytes(parameters, public_key), random)

    def decryptor(self, secret: SecretKey) -> Decryptor:
        """Return a decryptor."""
        from hecf.he import ckks

        return ckks.CkksDecryptor(secret)

    def operand(self, plan: OperandPlan, side: str, data: bytes) -> Serialised:
        """Parse an operand strictly."""
        return EncryptedMatrix.from_bytes(plan, side, data)

    def product(self, plan: ProductPlan, data: bytes) -> Serialised:
        """Parse a product strictly."""
        return EncryptedProduct.from_bytes(plan, data)


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

    def check_public_key(self, parameters: ParameterSet, public_key: bytes) -> None:
        """Accept anything: there is no key."""

    def encryptor(self, parameters: ParameterSet, public_key: bytes) -> Encryptor:
        """Return the encryptor that only checks."""
        return ClearEncryptor()

    def evaluator(
        self, parameters: ParameterSet, public_key: bytes, random: RandomBytes
    ) -> Evaluator:
        """Return the float64 evaluator."""
        return ClearEvaluator()

    def decryptor(self, secret: SecretKey) -> Decryptor:
        """Return the decryptor that only unwraps."""
        return ClearDecryptor()

    def operand(self, plan: OperandPlan, side: str, data: bytes) -> Serialised:
        """Parse an operand strictly."""
        return ClearMatrix.from_bytes(plan, side, data)

    def product(self, plan: ProductPlan, data: bytes) -> Serialised:
        """Parse a product strictly."""
        return ClearProduct.from_bytes(plan, data)


_SCHEMES: dict[str, Scheme] = {
    "ckks": CkksScheme(),
    "paillier": PaillierScheme(),
    "clear": ClearScheme(),
}


def scheme_by_name(name: str) -> Scheme:
    """Return a scheme.

    Raises
    ------
    ConfigurationError
        If there is none of that name.
    """
    if name not in _SCHEMES:
        raise ConfigurationError("unknown scheme", got=name, expected=" or ".join(_SCHEMES))
    return _SCHEMES[name]
