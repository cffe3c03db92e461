"""Ciphertexts as arrays, their bytes on the wire, and the strict parser of those bytes.

Nothing here knows an HE library. The plan fixes every shape, so the length of a message is known
before it is read (:mod:`hecf.he.messages`).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecf.errors import MalformedMessage
from hecf.he.messages import (
    Kind,
    check_words,
    header,
    open_header,
    pack_words,
    parse_words,
)
from hecf.he.modular import Words
from hecf.he.parameters import ParameterSet
from hecf.he.plan import LEFT, WORD_BYTES, OperandPlan
from hecf.he.product.plan import ProductPlan
from hecf.he.streams import parsed, written

KEY_WORD_BYTES = 8


@dataclass(frozen=True)
class EncryptedMatrix:
    """An encrypted operand, or some consecutive stripes of one (:mod:`hecf.he.stripes`).

    Parameters
    ----------
    plan : OperandPlan
    side : {"left", "right"}
    words : uint32 array, shape (groups, blocks, 2, L, N)
        NTT values; ``plan.operand_shape(side)`` for a whole operand.
    first : int
        Number of the first stripe.

    Raises
    ------
    MalformedMessage
        If the words have another shape.
    Mismatch
        If the operand has no such stripes.
    """

    plan: OperandPlan
    side: str
    words: Words
    first: int = 0

    def __post_init__(self) -> None:
        count = self.words.shape[self._axis] if self.words.ndim > self._axis else 0
        check_words(self.words, self.plan.block_shape(self.side, max(1, count)))
        self.plan.stripes(self.side).check_range(self.first, count)

    @property
    def count(self) -> int:
        """Stripes that are here."""
        return int(self.words.shape[self._axis])

    def body(self) -> bytes:
        """Packed words, stripe after stripe."""
        return pack_words(np.moveaxis(self.words, self._axis, 0))

    def to_bytes(self) -> bytes:
        """Header and packed words of a whole operand."""
        return b"".join(written([self]))

    @staticmethod
    def kind(side: str) -> Kind:
        """Return what the header of an operand says."""
        return Kind.OPERAND_LEFT if side == LEFT else Kind.OPERAND_RIGHT

    @staticmethod
    def body_bytes(plan: OperandPlan, side: str, first: int, count: int) -> int:
        """Bytes of some stripes on the wire."""
        return WORD_BYTES * plan.block_words(side, first, count)

    @classmethod
    def from_body(
        cls, plan: OperandPlan, side: str, first: int, count: int, data: memoryview
    ) -> EncryptedMatrix:
        """Parse some stripes of which the length was checked, and check every residue.

        Raises
        ------
        MalformedMessage
            If a residue is not below its prime.
        """
        shape, axis = plan.block_shape(side, count), plan.stripes(side).word_axis
        packed = (count, *shape[:axis], *shape[axis + 1 :])
        (words,) = parse_words(data, (packed,), plan.primes)
        return cls(plan, side, np.ascontiguousarray(np.moveaxis(words, 0, axis)), first)

    @classmethod
    def from_bytes(cls, plan: OperandPlan, side: str, data: bytes) -> EncryptedMatrix:
        """Parse a whole operand and check every residue.

        Raises
        ------
        Mismatch
            If the bytes belong to another plan.
        MalformedMessage
            If version, kind, length or a residue is not as agreed.
        """
        return parsed(cls, plan, side, data)

    @property
    def _axis(self) -> int:
        return self.plan.stripes(self.side).word_axis


@dataclass(frozen=True)
class EncryptedProduct:
    """An encrypted result of which only the agreed coefficients can ever be decrypted.

    Parameters
    ----------
    plan : ProductPlan
    constant : uint32 array, shape ``plan.constant_shape``
        Coefficients of c_0 at the useful positions. The others are not part of the result, which
        hides them as well as a uniform mask would.
    tail : uint32 array, shape ``plan.tail_shape``
        NTT values of the components after c_0.
    """

    plan: ProductPlan
    constant: Words
    tail: Words

    def __post_init__(self) -> None:
        check_words(self.constant, self.plan.constant_shape)
        check_words(self.tail, self.plan.tail_shape)

    def to_bytes(self) -> bytes:
        """Header and packed words."""
        parts = (
            header(Kind.PRODUCT, self.plan.fingerprint),
            pack_words(self.constant),
            pack_words(self.tail),
        )
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, plan: ProductPlan, data: bytes) -> EncryptedProduct:
        """Parse and check every residue; errors as for :meth:`EncryptedMatrix.from_bytes`."""
        body = open_header(data, Kind.PRODUCT, plan.fingerprint, plan.result_bytes)
        return cls(plan, *parse_words(body, (plan.constant_shape, plan.tail_shape), plan.primes))


@dataclass(frozen=True)
class PublicKey:
    """A CKKS public key: uint64 NTT values of shape (2, chain, N), the special prime last."""

    parameters: ParameterSet
    words: NDArray[np.uint64]

    def __post_init__(self) -> None:
        parameters = self.parameters
        shape = (2, len(parameters.chain), parameters.ring_degree)
        if self.words.shape != shape or self.words.dtype != np.uint64:
            raise MalformedMessage(
                "a public key has another shape", got=self.words.shape, expected=shape
            )
        for index, prime in enumerate(parameters.chain):
            if int(self.words[:, index].max()) >= prime:
                raise MalformedMessage("a residue of the public key is not below its prime")

    def to_bytes(self) -> bytes:
        """Header and words of eight bytes."""
        return (
            header(Kind.PUBLIC_KEY, self.parameters.fingerprint)
            + self.words.astype("<u8").tobytes()
        )

    @classmethod
    def from_bytes(cls, parameters: ParameterSet, data: bytes) -> PublicKey:
        """Parse and check; errors as for :meth:`EncryptedMatrix.from_bytes`."""
        shape = (2, len(parameters.chain), parameters.ring_degree)
        body = open_header(
            data, Kind.PUBLIC_KEY, parameters.fingerprint, KEY_WORD_BYTES * math.prod(shape)
        )
        return cls(parameters, np.frombuffer(body, "<u8").astype(np.uint64).reshape(shape))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the bytes in hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()
