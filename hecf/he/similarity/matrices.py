"""Encrypted rows and encrypted tiles of a similarity, their bytes, and the strict parser.

A result is a sequence of *panels*, one for every pair of polynomials: the products of up to N rows
of A by up to N rows of B. A panel's words are stacked like the operands', all a first,

    [ a a' | a b' ]   N rows
    [ b a' | b b' ]   the used rows

and travel as *tiles* of some of its rows, in order, so that nobody needs to hold a panel.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from hecf.errors import MalformedMessage
from hecf.he.messages import (
    HEADER_BYTES,
    Kind,
    check_residues,
    check_words,
    header,
    open_header,
    pack_words,
    unpack_words,
)
from hecf.he.modular import Words
from hecf.he.plan import LEFT, RIGHT, WORD_BYTES
from hecf.he.similarity.plan import SimilarityPlan

_PLACE = struct.Struct("<4I")


@dataclass(frozen=True)
class TilePlace:
    """Where a tile lies: panel by blocks, and which stacked rows of it.

    Parameters
    ----------
    row_block, column_block : int
        The panel.
    first, count : int
        Stacked rows ``first`` to ``first + count``; of a panel, the first N are the a.
    """

    row_block: int
    column_block: int
    first: int
    count: int

    def shape(self, plan: SimilarityPlan) -> tuple[int, int, int]:
        """Shape (L, count, N + columns) of the tile's words.

        Raises
        ------
        MalformedMessage
            If the plan has no such panel or rows.
        """
        blocks = (plan.blocks(LEFT), plan.blocks(RIGHT))
        at = (self.row_block, self.column_block)
        if not (0 <= at[0] < blocks[0] and 0 <= at[1] < blocks[1]):
            raise MalformedMessage("a tile is of no panel", got=at, expected=f"below {blocks}")
        level, rows, width = plan.panel_shape(*at)
        if self.first < 0 or self.count < 1 or self.first + self.count > rows:
            raise MalformedMessage(
                "a tile's rows are outside of its panel",
                got=f"{self.count} from {self.first}",
                expected=f"below {rows}",
            )
        return (level, self.count, width)

    def to_bytes(self) -> bytes:
        """Four little-endian 32-bit integers."""
        return _PLACE.pack(self.row_block, self.column_block, self.first, self.count)

    @classmethod
    def from_bytes(cls, data: bytes) -> TilePlace:
        """Read the place that follows a message's header.

        Raises
        ------
        MalformedMessage
            If the message ends before.
        """
        if len(data) < HEADER_BYTES + PLACE_BYTES:
            raise MalformedMessage(
                "a tile is too short",
                got=f"{len(data)} bytes",
                expected=f"more than {HEADER_BYTES + PLACE_BYTES}",
            )
        return cls(*_PLACE.unpack_from(data, HEADER_BYTES))


PLACE_BYTES = _PLACE.size


@dataclass(frozen=True)
class EncryptedRows:
    """An encrypted operand: uint32 coefficients of shape ``plan.operand_shape(side)``.

    Parameters
    ----------
    plan : SimilarityPlan
    side : {"left", "right"}
    words : uint32 array, shape (L, blocks N + rows, d)
        Column k holds the coefficients of its a polynomials, then those of b that have a row.
    """

    plan: SimilarityPlan
    side: str
    words: Words

    def __post_init__(self) -> None:
        check_words(self.words, self.plan.operand_shape(self.side))

    def to_bytes(self) -> bytes:
        """Header and packed words."""
        return header(_kind(self.side), self.plan.fingerprint) + pack_words(self.words)

    @classmethod
    def from_bytes(cls, plan: SimilarityPlan, side: str, data: bytes) -> EncryptedRows:
        """Parse and check every residue.

        Raises
        ------
        Mismatch
            If the bytes belong to another plan.
        MalformedMessage
            If version, kind, length or a residue is not as agreed.
        """
        body = open_header(data, _kind(side), plan.fingerprint, plan.operand_bytes(side))
        words = unpack_words(body, plan.operand_shape(side))
        _check_residues(words, plan)
        return cls(plan, side, words)


@dataclass(frozen=True)
class EncryptedTile:
    """Some rows of one panel of an encrypted result.

    Parameters
    ----------
    plan : SimilarityPlan
    place : TilePlace
    words : uint32 array, shape ``place.shape(plan)``
    """

    plan: SimilarityPlan
    place: TilePlace
    words: Words

    def __post_init__(self) -> None:
        check_words(self.words, self.place.shape(self.plan))

    def to_bytes(self) -> bytes:
        """Header, place and packed words."""
        head = header(Kind.SIMILARITY_TILE, self.plan.fingerprint)
        return b"".join((head, self.place.to_bytes(), pack_words(self.words)))

    @classmethod
    def from_bytes(cls, plan: SimilarityPlan, data: bytes) -> EncryptedTile:
        """Parse and check every residue; errors as for :meth:`EncryptedRows.from_bytes`."""
        place = TilePlace.from_bytes(data)
        shape = place.shape(plan)
        length = PLACE_BYTES + WORD_BYTES * math.prod(shape)
        body = open_header(data, Kind.SIMILARITY_TILE, plan.fingerprint, length)
        words = unpack_words(body[PLACE_BYTES:], shape)
        _check_residues(words, plan)
        return cls(plan, place, words)


def tile_places(plan: SimilarityPlan, rows: int) -> list[TilePlace]:
    """List the tiles of a result in order, of at most `rows` stacked rows each."""
    return [
        TilePlace(row_block, column_block, first, min(rows, stacked - first))
        for row_block in range(plan.blocks(LEFT))
        for column_block in range(plan.blocks(RIGHT))
        for stacked in [plan.panel_shape(row_block, column_block)[1]]
        for first in range(0, stacked, rows)
    ]


def _kind(side: str) -> Kind:
    return Kind.SIMILARITY_LEFT if side == LEFT else Kind.SIMILARITY_RIGHT


def _check_residues(words: Words, plan: SimilarityPlan) -> None:
    check_residues(words.reshape(words.shape[0], -1), plan.primes)
