"""Ciphertexts as arrays, their bytes on the wire, and the strict parser of those bytes.

Nothing here knows an HE library. Every byte string starts with a header: the magic word, the
format version, the kind of content, and the fingerprint of the plan (or of the parameters, for a
public key). The plan fixes every shape, so the length of the rest is known before it is read, and
every residue is compared with its prime.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecf.errors import MalformedMessage, Mismatch
from hecf.he import loops
from hecf.he.modular import Words
from hecf.he.parameters import ParameterSet
from hecf.he.plan import LEFT, RIGHT, WORD_BYTES, OperandPlan, ProductPlan

MAGIC = b"HECF"
FORMAT_VERSION = 1
KIND_OPERAND_LEFT = 1
KIND_OPERAND_RIGHT = 2
KIND_PRODUCT = 3
KIND_PUBLIC_KEY = 4
KIND_CLEAR_OPERAND_LEFT = 5
KIND_CLEAR_PRODUCT = 6
KIND_CLEAR_OPERAND_RIGHT = 10
_HEADER = struct.Struct("<4sHH32s")
HEADER_BYTES = _HEADER.size
KEY_WORD_BYTES = 8


@dataclass(frozen=True)
class EncryptedMatrix:
    """An encrypted operand: uint32 words of shape ``plan.operand_shape(side)``, NTT values."""

    plan: OperandPlan
    side: str
    words: Words

    def __post_init__(self) -> None:
        _check_words(self.words, self.plan.operand_shape(self.side))

    def to_bytes(self) -> bytes:
        """Header and packed words."""
        kind = KIND_OPERAND_LEFT if self.side == LEFT else KIND_OPERAND_RIGHT
        return header(kind, self.plan.fingerprint) + pack_words(self.words)

    @classmethod
    def from_bytes(cls, plan: OperandPlan, side: str, data: bytes) -> EncryptedMatrix:
        """Parse and check every residue.

        Raises
        ------
        Mismatch
            If the bytes belong to another plan.
        MalformedMessage
            If version, kind, length or a residue is not as agreed.
        """
        kind = KIND_OPERAND_LEFT if side == LEFT else KIND_OPERAND_RIGHT
        body = open_header(data, kind, plan.fingerprint, plan.operand_bytes(side))
        words = unpack_words(body, plan.operand_shape(side))
        check_residues(words, plan.primes)
        return cls(plan, side, words)


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
        _check_words(self.constant, self.plan.constant_shape)
        _check_words(self.tail, self.plan.tail_shape)

    def to_bytes(self) -> bytes:
        """Header and packed words."""
        parts = (
            header(KIND_PRODUCT, self.plan.fingerprint),
            pack_words(self.constant),
            pack_words(self.tail),
        )
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, plan: ProductPlan, data: bytes) -> EncryptedProduct:
        """Parse and check every residue; errors as for :meth:`EncryptedMatrix.from_bytes`."""
        body = open_header(data, KIND_PRODUCT, plan.fingerprint, plan.result_bytes)
        split = WORD_BYTES * math.prod(plan.constant_shape)
        constant = unpack_words(body[:split], plan.constant_shape)
        tail = unpack_words(body[split:], plan.tail_shape)
        check_residues(constant, plan.primes)
        check_residues(tail, plan.primes)
        return cls(plan, constant, tail)


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
            header(KIND_PUBLIC_KEY, self.parameters.fingerprint)
            + self.words.astype("<u8").tobytes()
        )

    @classmethod
    def from_bytes(cls, parameters: ParameterSet, data: bytes) -> PublicKey:
        """Parse and check; errors as for :meth:`EncryptedMatrix.from_bytes`."""
        shape = (2, len(parameters.chain), parameters.ring_degree)
        body = open_header(
            data, KIND_PUBLIC_KEY, parameters.fingerprint, KEY_WORD_BYTES * math.prod(shape)
        )
        return cls(parameters, np.frombuffer(body, "<u8").astype(np.uint64).reshape(shape))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the bytes in hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def header(kind: int, fingerprint: bytes) -> bytes:
    """Return the header that starts everything hecf serialises."""
    return _HEADER.pack(MAGIC, FORMAT_VERSION, kind, fingerprint)


def open_header(data: bytes, kind: int, fingerprint: bytes, length: int) -> memoryview:
    """Check a header and the length of what follows, and return what follows.

    Raises
    ------
    Mismatch
        If the fingerprint differs.
    MalformedMessage
        If magic, version, kind or length differ.
    """
    if len(data) < HEADER_BYTES:
        raise MalformedMessage(
            "a message is too short", got=f"{len(data)} bytes", expected=f"{HEADER_BYTES} and more"
        )
    magic, version, found, claimed = _HEADER.unpack_from(data)
    if magic != MAGIC or version != FORMAT_VERSION:
        raise MalformedMessage(
            "a message is not of this format", expected=f"version {FORMAT_VERSION}"
        )
    if found != kind:
        raise MalformedMessage("a message has another kind", got=found, expected=kind)
    if claimed != fingerprint:
        raise Mismatch(
            "the parameter fingerprints differ",
            got=claimed.hex()[:16],
            expected=fingerprint.hex()[:16],
        )
    if len(data) - HEADER_BYTES != length:
        raise MalformedMessage(
            "a message has another length",
            got=f"{len(data) - HEADER_BYTES} bytes",
            expected=f"{length}",
        )
    return memoryview(data)[HEADER_BYTES:]


def pack_words(words: Words) -> bytes:
    """Pack residues below 2**24 into three little-endian bytes each."""
    if loops.available() and words.dtype == np.uint32:
        return loops.pack(np.ascontiguousarray(words))
    octets = np.ascontiguousarray(words, dtype="<u4").view(np.uint8).reshape(-1, 4)
    return octets[:, :WORD_BYTES].tobytes()


def unpack_words(data: memoryview, shape: tuple[int, ...]) -> Words:
    """Undo :func:`pack_words`; the length must have been checked."""
    if loops.available():
        words = np.empty(shape, dtype=np.uint32)
        loops.unpack(np.frombuffer(data, dtype=np.uint8), words)
        return words
    octets = np.zeros((math.prod(shape), 4), dtype=np.uint8)
    octets[:, :WORD_BYTES] = np.frombuffer(data, dtype=np.uint8).reshape(-1, WORD_BYTES)
    return octets.view("<u4").astype(np.uint32, copy=False).reshape(shape)


def check_residues(words: Words, primes: tuple[int, ...]) -> None:
    """Refuse words of shape (..., L, anything) that are not below their primes.

    Raises
    ------
    MalformedMessage
    """
    for index, prime in enumerate(primes):
        if int(words[..., index, :].max()) >= prime:
            raise MalformedMessage("a residue is not below its prime", expected=f"below {prime}")


def _check_words(words: Words, shape: tuple[int, ...]) -> None:
    if words.shape != shape or words.dtype != np.uint32:
        raise MalformedMessage(
            "ciphertext words have another shape", got=words.shape, expected=shape
        )


__all__ = [
    "LEFT",
    "RIGHT",
    "EncryptedMatrix",
    "EncryptedProduct",
    "PublicKey",
]
