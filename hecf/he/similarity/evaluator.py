"""What a node does for a similarity: one matrix product a prime, tile by tile, and concealment.

It holds no secret and needs NumPy only. Residues of 24 bits are centred, so up to
:func:`hecf.he.modular.exact_terms` products add up exactly in float64; a longer inner dimension is
reduced in between.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from hecf.errors import LimitExceeded, Mismatch
from hecf.he import loops
from hecf.he.matrices import PublicKey
from hecf.he.modular import Float, Words, centre, exact_terms
from hecf.he.plan import LEFT, RIGHT, check_parameters
from hecf.he.sampling import RandomBytes
from hecf.he.similarity.matrices import EncryptedRows, EncryptedTile, TilePlace, tile_places
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.similarity.ring import CHUNK, add_words, in_threads, reduce_words, serial_blas
from hecf.he.similarity.zeros import Concealment, PanelMask

MEMORY = 1 << 30
"""Bytes that an evaluation may use beside its operands, unless told otherwise."""

BLOCK_ROWS, BLOCK_COLUMNS = 256, 2048
"""Block that is multiplied and reduced at once; it and its scratch fit the last-level cache."""


class SimilarityEvaluator:
    """Similarity of two encrypted matrices of rows.

    Parameters
    ----------
    public_key : PublicKey, optional
        Needed where a plan asks for concealment.
    random : callable, optional
        Source of cryptographically secure bytes; needed with the public key.
    memory : int
        Bytes to use beside the operands, two tiles included: the one that was handed out, and the
        one in work.
    """

    def __init__(
        self,
        public_key: PublicKey | None = None,
        random: RandomBytes | None = None,
        *,
        memory: int = MEMORY,
    ) -> None:
        self._concealment = (
            None if public_key is None or random is None else Concealment(public_key, random)
        )
        self._memory = memory

    def evaluate(
        self, left: EncryptedRows, right: EncryptedRows, *, rows: int | None = None
    ) -> Iterator[EncryptedTile]:
        """Compute ``A B'``.

        Parameters
        ----------
        left, right : EncryptedRows
            Whole operands, or some stripes: their panels only. Whoever streams takes the left
            stripes one after the other, and for each the right ones.
        rows : int, optional
            Most stacked rows of a tile; without it, as many as the memory allows.

        Yields
        ------
        EncryptedTile
            In the order in which :class:`hecf.he.similarity.decryptor.SimilarityDecryptor` takes
            them.

        Raises
        ------
        Mismatch
            If the operands belong to other plans, sides or parameters, or the plan asks for
            concealment and there is no public key.
        LimitExceeded
            If not even one row at a time fits the memory.

        Security
        --------
        Without concealment (an own-key plan that does not ask for it) the key holder can compute
        both matrices from the result, not their products only.
        """
        plan = left.plan
        for operand, side in ((left, LEFT), (right, RIGHT)):
            if operand.plan.fingerprint != plan.fingerprint or operand.side != side:
                raise Mismatch("an operand belongs to another plan")
        if plan.concealed and self._concealment is None:
            raise Mismatch("the plan asks for concealment, which needs a public key")
        key = plan.parameters if self._concealment is None else self._concealment.parameters
        check_parameters(plan, key)
        most = tile_rows(plan, self._memory)
        return self._tiles(left, right, most if rows is None else max(1, min(rows, most)))

    def _tiles(
        self, left: EncryptedRows, right: EncryptedRows, rows: int
    ) -> Iterator[EncryptedTile]:
        plan = left.plan
        degree = plan.parameters.ring_degree
        mask: PanelMask | None = None
        blocks = [range(each.first, each.first + each.count) for each in (left, right)]
        for place in tile_places(plan, rows, *blocks):
            if plan.concealed and self._concealment is not None and place.first == 0:
                mask = None  # so that only one panel's masks exist at a time
                mask = self._concealment.panel(plan, place.row_block, place.column_block)
            words = _multiply(left, right, place)
            if mask is not None and self._concealment is not None:
                used = min(max(degree - place.first, 0), place.count)
                self._concealment.add(plan, words, mask, place.first, used)
            yield EncryptedTile(plan, place, words)


def tile_rows(plan: SimilarityPlan, memory: int) -> int:
    """Return how many stacked rows a tile may have, at most N.

    Raises
    ------
    LimitExceeded
        If the memory is too small for one row.
    """
    degree = plan.parameters.ring_degree
    columns = min(degree, plan.right)
    width = degree + columns
    chunk = min(plan.inner, _chunk(plan))
    scratch = 3 * 8 * BLOCK_ROWS * BLOCK_COLUMNS * loops.threads() + _matrix_bytes(width, chunk)
    if plan.concealed:
        # The masks of a panel, and in every thread the transforms of a chunk.
        scratch += 4 * plan.level * (degree + min(degree, plan.left)) * columns
        scratch += 128 * CHUNK * degree * loops.threads()
    row = 2 * 4 * plan.level * width + _matrix_bytes(1, chunk)
    rows = (memory - scratch) // row
    if rows < 1:
        raise LimitExceeded(
            "the memory is too small for a tile of the similarity",
            got=f"{memory} bytes",
            expected=f"at least {scratch + row}",
        )
    return min(degree, rows)


def _multiply(left: EncryptedRows, right: EncryptedRows, place: TilePlace) -> Words:
    """Multiply the stacked words of a tile's rows by those of its panel's columns."""
    plan = left.plan
    words = np.empty(place.shape(plan), dtype=np.uint32)
    columns = range(words.shape[2])
    rows = range(place.first, place.first + place.count)
    blocks = [
        (slice(top, top + BLOCK_ROWS), slice(near, near + BLOCK_COLUMNS))
        for near in columns[::BLOCK_COLUMNS]
        for top in range(0, len(rows), BLOCK_ROWS)
    ]
    chunk = _chunk(plan)
    with serial_blas as threads:
        for index, prime in enumerate(plan.primes):
            for start in range(0, plan.inner, chunk):
                inner = slice(start, start + chunk)
                a = _stacked(left, place.row_block, rows, index, inner)
                b = _stacked(right, place.column_block, columns, index, inner)
                step = partial(_block, a, b, prime, words[index], start == 0)
                in_threads(step, blocks, threads=threads)
    return words


def _block(
    a: Float, b: Float, prime: int, words: Words, first: bool, block: tuple[slice, slice]
) -> None:
    """Write one block of ``a b'`` modulo a prime, or add it to the words of earlier chunks."""
    product = a[block[0]] @ b[block[1]].T
    if first:
        reduce_words(product, prime, words[block])
    else:
        more = np.empty(product.shape, dtype=np.uint32)
        reduce_words(product, prime, more)
        add_words(words[block], more, prime)


def _stacked(operand: EncryptedRows, block: int, rows: range, index: int, inner: slice) -> Float:
    """Centred stacked rows of one polynomial of an operand, modulo one prime."""
    words = operand.stripe(block)[index, rows.start : rows.stop, inner]
    return centre(np.ascontiguousarray(words), operand.plan.primes[index])


def _chunk(plan: SimilarityPlan) -> int:
    return min(exact_terms(prime) for prime in plan.primes)


def _matrix_bytes(rows: int, chunk: int) -> int:
    # Words are centred into one array and copied into another.
    return math.ceil(2.5 * 8 * rows * chunk)
