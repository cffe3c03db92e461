"""The bytes of everything that hecf serialises: one header, packed words, and strict checks.

Every byte string starts with the magic word, the format version, the kind of content, and a
fingerprint: of the plan, or of the parameters for a public key. What follows has a length that the
receiver knows before it reads, and every residue is compared with its prime.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from hecf.errors import MalformedMessage, Mismatch
from hecf.he import loops
from hecf.he.modular import Words
from hecf.he.plan import WORD_BYTES

MAGIC = b"HECF"
FORMAT_VERSION = 1
_HEADER = struct.Struct("<4sHH32s")
HEADER_BYTES = _HEADER.size


class Kind(IntEnum):
    """What a byte string holds. A number is never given to another content."""

    OPERAND_LEFT = 1
    OPERAND_RIGHT = 2
    PRODUCT = 3
    PUBLIC_KEY = 4
    CLEAR_OPERAND_LEFT = 5
    CLEAR_PRODUCT = 6
    ITEM_MODEL = 7
    RELEASED_BLOCKS = 8
    RELEASED_SCORES = 9
    CLEAR_OPERAND_RIGHT = 10
    RELEASED_SUM = 11
    PRODUCT_TILE = 12
    CLEAR_TILE = 13
    CONTRIBUTION = 14
    SIMILARITY_LEFT = 20
    SIMILARITY_RIGHT = 21
    SIMILARITY_TILE = 22
    OWN_KEY_QUERY = 30
    OWN_KEY_ANSWER = 31
    QUERIER_KEY = 32
    BLINDED_PRODUCT = 40
    BLINDED_RESULT = 41
    RELEASED_BLINDED_SCORES = 42
    RELEASED_SIMILAR = 43
    PAILLIER_PUBLIC_KEY = 50
    PAILLIER_TABLE = 51
    PAILLIER_OPERAND = 52
    PAILLIER_PRODUCT = 53
    PAILLIER_SEALED_KEY = 54
    PAILLIER_BLINDED = 55
    PAILLIER_MASKED = 56
    RELEASED_BLINDED_SUM = 57


def header(kind: int, fingerprint: bytes) -> bytes:
    """Return the header that starts everything hecf serialises."""
    return _HEADER.pack(MAGIC, FORMAT_VERSION, kind, fingerprint)


def check_header(data: bytes | memoryview, kind: int, fingerprint: bytes) -> None:
    """Check the header that a byte string starts with.

    Raises
    ------
    Mismatch
        If the fingerprint differs.
    MalformedMessage
        If it is too short, or magic, version or kind differ.
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


def open_header(data: bytes, kind: int, fingerprint: bytes, length: int) -> memoryview:
    """Check a header and the length of what follows, and return what follows.

    Raises
    ------
    Mismatch
        If the fingerprint differs.
    MalformedMessage
        If magic, version, kind or length differ.
    """
    check_header(data, kind, fingerprint)
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


def parse_words(
    data: memoryview, shapes: Sequence[tuple[int, ...]], primes: tuple[int, ...]
) -> list[Words]:
    """Unpack arrays that follow each other and check every residue.

    Parameters
    ----------
    data : memoryview
        Packed words of all arrays; the length must have been checked.
    shapes : sequence of tuple of int
        Shape (..., L, anything) of every array; an empty one has nothing to check.
    primes : tuple of int

    Raises
    ------
    MalformedMessage
        If a residue is not below its prime.
    """
    found, start = [], 0
    for shape in shapes:
        stop = start + WORD_BYTES * math.prod(shape)
        words = unpack_words(data[start:stop], shape)
        if words.size:
            check_residues(words, primes)
        found.append(words)
        start = stop
    return found


def check_residues(words: Words, primes: tuple[int, ...]) -> None:
    """Refuse words of shape (..., L, anything) that are not below their primes.

    Raises
    ------
    MalformedMessage
    """
    for index, prime in enumerate(primes):
        if int(words[..., index, :].max()) >= prime:
            raise MalformedMessage("a residue is not below its prime", expected=f"below {prime}")


def check_words(words: Words, shape: tuple[int, ...]) -> None:
    """Refuse words of another shape or type.

    Raises
    ------
    MalformedMessage
    """
    if words.shape != shape or words.dtype != np.uint32:
        raise MalformedMessage(
            "ciphertext words have another shape", got=words.shape, expected=shape
        )
