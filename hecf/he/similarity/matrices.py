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

import numpy as np

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
from hecf.he.streams import parsed, written

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
    """An encrypted operand, or some consecutive stripes of N rows of one.

    Parameters
    ----------
    plan : SimilarityPlan
    side : {"left", "right"}
    words : uint32 array, shape ``plan.run_shape(side, first, count)``
        Stripe after stripe along the second axis; in column k the coefficients of the a polynomial,
        then those of b that have a row.
    first : int
        Number of the first stripe.

    Raises
    ------
    MalformedMessage
        If the words have another shape.
    Mismatch
        If the operand has no such stripes.
    """

    plan: SimilarityPlan
    side: str
    words: Words
    first: int = 0

    def __post_init__(self) -> None:
        self.plan.stripes(self.side).check_range(self.first, max(1, self.count))
        check_words(self.words, self.plan.run_shape(self.side, self.first, max(1, self.count)))

    @property
    def count(self) -> int:
        """Stripes that are here."""
        whole = 2 * self.plan.parameters.ring_degree
        return -(-int(self.words.shape[1]) // whole) if self.words.ndim > 1 else 0

    def stripe(self, number: int) -> Words:
        """Words (L, N + rows, d) of one stripe."""
        start = (number - self.first) * 2 * self.plan.parameters.ring_degree
        return self.words[:, start : start + self.plan.stripe_shape(self.side, number)[1]]

    def body(self) -> bytes:
        """Packed words, stripe after stripe."""
        return b"".join(pack_words(self.stripe(self.first + index)) for index in range(self.count))

    def to_bytes(self) -> bytes:
        """Header and packed words of a whole operand."""
        return b"".join(written([self]))

    @staticmethod
    def kind(side: str) -> Kind:
        """Return what the header of an operand says."""
        return Kind.SIMILARITY_LEFT if side == LEFT else Kind.SIMILARITY_RIGHT

    @staticmethod
    def body_bytes(plan: SimilarityPlan, side: str, first: int, count: int) -> int:
        """Bytes of some stripes on the wire."""
        return WORD_BYTES * plan.block_words(side, first, count)

    @classmethod
    def from_body(
        cls, plan: SimilarityPlan, side: str, first: int, count: int, data: memoryview
    ) -> EncryptedRows:
        """Parse some stripes of which the length was checked, and check every residue.

        Raises
        ------
        MalformedMessage
            If a residue is not below its prime.
        """
        words = np.empty(plan.run_shape(side, first, count), dtype=np.uint32)
        start = row = 0
        for number in range(first, first + count):
            shape = plan.stripe_shape(side, number)
            stop = start + WORD_BYTES * math.prod(shape)
            words[:, row : row + shape[1]] = unpack_words(data[start:stop], shape)
            start, row = stop, row + shape[1]
        _check_residues(words, plan)
        return cls(plan, side, words, first)

    @classmethod
    def from_bytes(cls, plan: SimilarityPlan, side: str, data: bytes) -> EncryptedRows:
        """Parse a whole operand and check every residue.

        Raises
        ------
        Mismatch
            If the bytes belong to another plan.
        MalformedMessage
            If version, kind, length or a residue is not as agreed.
        """
        return parsed(cls, plan, side, data)


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


def tile_places(
    plan: SimilarityPlan, rows: int, row_blocks: range, column_blocks: range
) -> list[TilePlace]:
    """List the tiles of some panels in order, of at most `rows` stacked rows each."""
    return [
        TilePlace(row_block, column_block, first, min(rows, stacked - first))
        for row_block in row_blocks
        for column_block in column_blocks
        for stacked in [plan.panel_shape(row_block, column_block)[1]]
        for first in range(0, stacked, rows)
    ]


def _check_residues(words: Words, plan: SimilarityPlan) -> None:
    check_residues(words.reshape(words.shape[0], -1), plan.primes)
