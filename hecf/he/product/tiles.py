"""Tiles of an encrypted score: some groups of shoppers by some groups of items, and their bytes."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from hecf.errors import LimitExceeded, MalformedMessage, Mismatch
from hecf.he import ntt
from hecf.he.matrices import EncryptedProduct
from hecf.he.messages import (
    HEADER_BYTES,
    Kind,
    check_words,
    header,
    open_header,
    pack_words,
    parse_words,
)
from hecf.he.modular import Float, Words, residues, to_words
from hecf.he.plan import MANTISSA_BITS, WORD_BYTES
from hecf.he.product.plan import ProductPlan

ITEM_GROUPS = 4
"""Most groups of items in a tile."""

COPIES = 14
"""Arrays of float64 of a tile's size that exist at once while it is computed and concealed."""

_PLACE = struct.Struct("<4I")


@dataclass(frozen=True)
class ProductTile:
    """Part of an encrypted score.

    Parameters
    ----------
    plan : ProductPlan
    row, column : int
        First group of shoppers and first group of items.
    constant : uint32 array, shape (groups, groups, L, m n)
        Agreed coefficients of c_0.
    tail : uint32 array, shape (groups, groups, 1, L, N)
        NTT values of c_1.

    Raises
    ------
    MalformedMessage
        If the words have another shape, or the plan no such groups.
    """

    plan: ProductPlan
    row: int
    column: int
    constant: Words
    tail: Words

    def __post_init__(self) -> None:
        shapes = tile_shapes(self.plan, self.row, self.column, *self.constant.shape[:2])
        check_words(self.constant, shapes[0])
        check_words(self.tail, shapes[1])

    def to_bytes(self) -> bytes:
        """Header, place and packed words."""
        place = _PLACE.pack(self.row, self.column, *self.constant.shape[:2])
        start = header(Kind.PRODUCT_TILE, self.plan.fingerprint) + place
        return start + pack_words(self.constant) + pack_words(self.tail)

    @classmethod
    def from_bytes(cls, plan: ProductPlan, data: bytes) -> ProductTile:
        """Parse and check every residue.

        Raises
        ------
        Mismatch
            If the bytes belong to another plan.
        MalformedMessage
            If version, kind, place, length or a residue is not as agreed.
        """
        if len(data) < HEADER_BYTES + _PLACE.size:
            raise MalformedMessage("a tile is too short", got=f"{len(data)} bytes")
        place = _PLACE.unpack_from(data, HEADER_BYTES)
        shapes = tile_shapes(plan, *place)
        length = _PLACE.size + WORD_BYTES * sum(math.prod(shape) for shape in shapes)
        body = open_header(data, Kind.PRODUCT_TILE, plan.fingerprint, length)[_PLACE.size :]
        return cls(plan, place[0], place[1], *parse_words(body, shapes, plan.primes))


def tile_shapes(
    plan: ProductPlan, row: int, column: int, rows: int, columns: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of constant and tail of a tile.

    Raises
    ------
    MalformedMessage
        If the plan has no such groups.
    """
    groups, others = plan.constant_shape[:2]
    inside = row >= 0 and column >= 0 and row + rows <= groups and column + columns <= others
    if not inside or rows < 1 or columns < 1:
        raise MalformedMessage(
            "a tile is outside of its result",
            got=f"{rows} x {columns} from {(row, column)}",
            expected=f"within {groups} x {others}",
        )
    return (rows, columns, *plan.constant_shape[2:]), (rows, columns, *plan.tail_shape[2:])


def tile_groups(plan: ProductPlan, memory: int) -> tuple[int, int]:
    """Return how many groups of shoppers and of items a tile may have.

    Raises
    ------
    LimitExceeded
        If the memory is too small for one of both.
    """
    degree = plan.parameters.ring_degree
    cell = 8 * COPIES * 2 * plan.level * degree
    items = 8 * 4 * plan.level * degree * plan.packing.blocks(plan.inner)
    groups, others = plan.constant_shape[:2]
    if memory < cell + items:
        raise LimitExceeded(
            "the memory is too small for a tile of the scores",
            got=f"{memory} bytes",
            expected=f"at least {cell + items}",
        )
    columns = min(others, ITEM_GROUPS, memory // (cell + items))
    return min(groups, (memory - columns * items) // (columns * cell)), columns


def encoded_items(plan: ProductPlan, items: Float) -> Words:
    """Words (groups, blocks, 1, L, N) of whole groups of items (factors, items)."""
    integers = np.rint(np.ldexp(items, plan.right_scale_bits)).astype(np.int64)
    packed = plan.packing.pack_right(integers)
    values = ntt.forward(plan.primes, residues(packed, plan.primes))
    words = np.empty(values.shape, dtype=np.uint32)
    for index, prime in enumerate(plan.primes):
        words[..., index, :] = to_words(values[..., index, :], prime)
    return words[:, :, np.newaxis]


def bias_words(plan: ProductPlan, bias: Float, groups: int) -> Words:
    """Residues of the scaled bias of whole groups of items, for every shopper of some groups.

    The scaled bias can exceed 64 bits, so it is rounded in int64 and the remaining power of two
    is multiplied in modulo each prime.
    """
    bits = min(plan.left_scale_bits, MANTISSA_BITS)
    rest = plan.left_scale_bits + plan.right_scale_bits - bits
    rounded = np.rint(np.ldexp(bias, bits)).astype(np.int64)
    one = plan.packing.pack_result(np.broadcast_to(rounded, (plan.packing.left, len(bias))))
    out = np.empty((groups, one.shape[1], plan.level, one.shape[2]), dtype=np.uint32)
    for index, prime in enumerate(plan.primes):
        out[:, :, index] = one % prime * pow(2, rest, prime) % prime
    return out


def assembled(plan: ProductPlan, tiles: Iterable[ProductTile]) -> EncryptedProduct:
    """Put the tiles of a whole result together.

    Raises
    ------
    Mismatch
        If a tile belongs to another plan, or tiles are missing.
    """
    constant = np.empty(plan.constant_shape, dtype=np.uint32)
    tail = np.empty(plan.tail_shape, dtype=np.uint32)
    there = np.zeros(plan.constant_shape[:2], dtype=np.int64)
    for tile in tiles:
        if tile.plan.fingerprint != plan.fingerprint:
            raise Mismatch("a tile belongs to another plan")
        rows, columns = tile.constant.shape[:2]
        place = slice(tile.row, tile.row + rows), slice(tile.column, tile.column + columns)
        constant[place], tail[place] = tile.constant, tile.tail
        there[place] += 1
    if (there != 1).any():
        raise Mismatch("tiles of a result are missing", got=int(there.sum()), expected=there.size)
    return EncryptedProduct(plan, constant, tail)


def row_runs(plan: ProductPlan, tiles: Iterable[ProductTile]) -> Iterator[list[ProductTile]]:
    """Gather the tiles of the same shoppers, which follow each other by groups of items.

    Raises
    ------
    Mismatch
        If a tile belongs to another plan, is out of order or missing.
    """
    groups, others = plan.constant_shape[:2]
    row = column = 0
    run: list[ProductTile] = []
    for tile in tiles:
        if tile.plan.fingerprint != plan.fingerprint:
            raise Mismatch("a tile belongs to another plan")
        rows, columns = tile.constant.shape[:2]
        if (tile.row, tile.column) != (row, column) or (run and rows != len(run[0].constant)):
            raise Mismatch(
                "a tile is out of order", got=(tile.row, tile.column), expected=(row, column)
            )
        run.append(tile)
        column += columns
        if column == others:
            yield run
            row, column, run = row + rows, 0, []
    if run or row != groups:
        raise Mismatch("tiles of a result are missing", got=(row, column), expected=groups)


def shoppers_of(plan: ProductPlan, tile: ProductTile) -> int:
    """Shoppers of a tile, without those that fill up the last group."""
    width = plan.packing.left
    return min(plan.left, (tile.row + len(tile.constant)) * width) - tile.row * width
