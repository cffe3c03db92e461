"""The interface that every scheme has, what schemes that stream add to it, and schemes by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from hecf.errors import ConfigurationError
from hecf.he.accumulators import GramAccumulator, SumAccumulator
from hecf.he.blinding import MaskSeed
from hecf.he.ckks_scheme import CkksScheme
from hecf.he.clear_scheme import ClearScheme
from hecf.he.keys import Decrypted
from hecf.he.modular import Float
from hecf.he.paillier.scheme import PaillierScheme
from hecf.he.plan import OperandPlan
from hecf.he.product.plan import ProductPlan
from hecf.he.sampling import RandomBytes
from hecf.he.similarity.matrices import TilePlace
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.similarity.scores import Panel
from hecf.he.streams import MEMORY, Source


class Serialised(Protocol):
    """An operand or a product."""

    @property
    def plan(self) -> Any:
        """The plan that fixes its shape."""
        ...

    def to_bytes(self) -> bytes:
        """Return the bytes that travel."""
        ...


class Tile(Serialised, Protocol):
    """Some rows of one panel of a similarity."""

    @property
    def place(self) -> TilePlace:
        """Where it lies."""
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

    def blind(self, product: Any, seed: MaskSeed) -> Serialised:
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

    def decrypt_blinded(self, product: Any) -> Any:
        """Decrypt a masked result; only the release gate may pass the residues on."""
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

    def secret_key(self, parameters: Any, data: bytes) -> Any:
        """Return a secret key from the bytes that its ``expose`` gave to a key store."""
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

    def blocks(
        self, plan: Any, side: str, source: Source, *, memory: int = MEMORY
    ) -> Iterable[Any]:
        """Parse an operand strictly from a file or chunks of bytes, block by block.

        A scheme that does not stream yields the operand at once.
        """
        ...

    def product(self, plan: Any, data: bytes) -> Serialised:
        """Parse a product strictly."""
        ...


class StreamingEvaluator(Evaluator, Protocol):
    """What a compute node does with operands that do not fit its memory."""

    def gram_accumulator(self, plan: OperandPlan) -> GramAccumulator[Any, Any, Any]:
        """Start ``A' B`` of operands whose rows arrive in blocks."""
        ...

    def sum_accumulator(
        self, plan: OperandPlan, first: int = 0, count: int | None = None
    ) -> SumAccumulator[Any]:
        """Start a sum of contributions whose stripes arrive in blocks."""
        ...

    def score_tiles(
        self, shoppers: Any, items: Float, bias: Float, *, memory: int = MEMORY
    ) -> Iterator[Serialised]:
        """Score a block of summed contributions, tile by tile."""
        ...

    def similarity(
        self, left: Any, right: Any, *, memory: int = MEMORY, rows: int | None = None
    ) -> Iterator[Tile]:
        """Compute ``A B'`` of two operands, or of stripes of them, tile by tile."""
        ...


class Answerer(StreamingEvaluator, Protocol):
    """What a compute node does for who asks under its own key."""

    def drown(self, product: Any) -> Serialised:
        """Add the noise that hides what a result tells beyond its values."""
        ...


class Querier(Protocol):
    """Who asks, and is the only one to decrypt what it gets."""

    def public_key(self) -> bytes:
        """Make a public key for who answers."""
        ...

    def encrypt(self, plan: Any, matrix: Float) -> Serialised:
        """Encrypt shoppers, (factors, shoppers)."""
        ...

    def decrypt(self, product: Any) -> Float:
        """Decrypt scores, (shoppers, items)."""
        ...


class StreamingEncryptor(Encryptor, Protocol):
    """What a retailer does with a matrix that arrives in pieces."""

    def encode(self, plan: Any, side: str, matrix: Float, first: int = 0) -> Any:
        """Check whole stripes of an operand and lay them out as the scheme's plaintext."""
        ...

    def encrypt_blocks(
        self, plan: OperandPlan, side: str, pieces: Iterable[Float], *, memory: int = MEMORY
    ) -> Iterator[Any]:
        """Encrypt an operand block by block."""
        ...


class StreamingDecryptor(Decryptor, Protocol):
    """What a key holder does with a result that arrives in tiles."""

    def decrypt_tiles(
        self, plan: ProductPlan, tiles: Iterable[Any]
    ) -> Iterator[Decrypted[ProductPlan]]:
        """Decrypt scores as they arrive; only the release gate may pass them on."""
        ...

    def panels(
        self, plan: SimilarityPlan, tiles: Iterable[Any], *, memory: int = MEMORY
    ) -> Iterator[Panel]:
        """Decrypt a similarity as it arrives; only the release gate may pass panels on."""
        ...


class StreamingScheme(Scheme, Protocol):
    """A scheme whose operands and results pass through memory in blocks."""

    def encryptor(self, parameters: Any, public_key: bytes) -> StreamingEncryptor:
        """Return an encryptor for a public key that another party sent."""
        ...

    def evaluator(
        self, parameters: Any, public_key: bytes, random: RandomBytes
    ) -> StreamingEvaluator:
        """Return an evaluator for a public key that another party sent."""
        ...

    def decryptor(self, secret: Any) -> StreamingDecryptor:
        """Return a decryptor for a secret key."""
        ...

    def tile(self, plan: ProductPlan | SimilarityPlan, data: bytes) -> Serialised:
        """Parse a tile of scores or of a similarity strictly."""
        ...

    def querier(self, secret: Any, random: RandomBytes) -> Querier:
        """Return who asks under a key of its own."""
        ...

    def check_querier_key(self, parameters: Any, public_key: bytes) -> None:
        """Refuse bytes that are no public key of a querier."""
        ...

    def answerer(self, parameters: Any, public_key: bytes, random: RandomBytes) -> Answerer:
        """Return who answers a querier, under the public key that it sent."""
        ...


_STREAMING: dict[str, StreamingScheme] = {"ckks": CkksScheme(), "clear": ClearScheme()}
_SCHEMES: dict[str, Scheme] = {
    "ckks": _STREAMING["ckks"],
    "paillier": PaillierScheme(),
    "clear": _STREAMING["clear"],
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


def streaming_scheme(name: str) -> StreamingScheme:
    """Return a scheme whose operands pass through memory in blocks.

    Raises
    ------
    ConfigurationError
        If there is none of that name, or its operands do not.
    """
    if name not in _STREAMING:
        raise ConfigurationError(
            "no scheme of that name works in blocks", got=name, expected=" or ".join(_STREAMING)
        )
    return _STREAMING[name]
