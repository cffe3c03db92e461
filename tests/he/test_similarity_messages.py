"""Operands and tiles of a similarity as bytes."""

from __future__ import annotations

import numpy as np
import pytest
from similarity_samples import (
    evaluator,
    raw_words,
    tile_bytes,
    toy_plan,
)

from hecf.errors import (
    HecfError,
    MalformedMessage,
    Mismatch,
)
from hecf.he.plan import LEFT, RIGHT
from hecf.he.similarity.matrices import EncryptedRows, EncryptedTile, TilePlace, tile_places

# Bytes


def test_bytes_come_back() -> None:
    plan = toy_plan(3, 1030, 4)
    left, right = raw_words(plan, 3)
    again = EncryptedRows.from_bytes(plan, LEFT, left.to_bytes())
    assert np.array_equal(again.words, left.words)
    for tile in evaluator(plan).evaluate(left, right, rows=400):
        copy = EncryptedTile.from_bytes(plan, tile.to_bytes())
        assert copy.place == tile.place
        assert np.array_equal(copy.words, tile.words)


def test_altered_bytes_are_refused() -> None:
    plan = toy_plan(3, 5, 4)
    other = toy_plan(3, 5, 4, left_scale_bits=9)
    rows, tile = raw_words(plan, 3)[0].to_bytes(), tile_bytes(plan)
    prime = plan.primes[0]
    for data, parse, first in (
        (rows, lambda p, x: EncryptedRows.from_bytes(p, LEFT, x), 40),
        (tile, EncryptedTile.from_bytes, 56),
    ):
        parse(plan, data)
        for wrong in (b"", data[:39], data[:41], data[:-1], data + b"\0", b"X" + data[1:]):
            with pytest.raises(MalformedMessage):
                parse(plan, wrong)
        with pytest.raises(Mismatch):
            parse(other, data)
        for value in (prime, (1 << 24) - 1):
            changed = data[:first] + value.to_bytes(3, "little") + data[first + 3 :]
            with pytest.raises(MalformedMessage, match="residue"):
                parse(plan, changed)
        largest = data[:first] + (prime - 1).to_bytes(3, "little") + data[first + 3 :]
        parse(plan, largest)
    with pytest.raises(HecfError):
        EncryptedRows.from_bytes(plan, RIGHT, rows)
    with pytest.raises(HecfError):
        EncryptedTile.from_bytes(plan, rows)


@pytest.mark.parametrize(
    "place", [(1, 0, 0, 2), (0, 1, 0, 2), (0, 0, 1028, 2), (0, 0, 0, 0), (2**31, 0, 0, 2**31)]
)
def test_tiles_outside_of_their_panel_are_refused(place: tuple[int, ...]) -> None:
    plan = toy_plan(3, 5, 4)
    data = tile_bytes(plan)
    forged = data[:40] + TilePlace(*place).to_bytes() + data[56:]
    with pytest.raises(MalformedMessage):
        EncryptedTile.from_bytes(plan, forged)


def test_words_of_another_shape_are_refused() -> None:
    plan = toy_plan(3, 5, 4)
    with pytest.raises(MalformedMessage):
        EncryptedRows(plan, LEFT, np.zeros((1, 2, 3), dtype=np.uint32))
    place = tile_places(plan, 4, range(1), range(1))[0]
    with pytest.raises(MalformedMessage):
        EncryptedTile(plan, place, np.zeros(place.shape(plan), dtype=np.int64))
