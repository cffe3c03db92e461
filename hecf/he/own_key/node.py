"""The node's side of scores under a retailer's own key: it holds items and no key."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hecf.errors import Mismatch
from hecf.he import loops, ntt
from hecf.he.modular import (
    Float,
    Words,
    centre,
    exact_terms,
    reduce_centred,
    reduce_to_words,
    residues,
    to_words,
)
from hecf.he.own_key.messages import OwnKeyAnswer, OwnKeyQuery
from hecf.he.own_key.plan import QUERY, OwnKeyPlan

LOAD_GROUPS = 16
"""Groups of item polynomials that are transformed at once: bounds memory."""

ITEM_TILE = 256
"""Items that NumPy multiplies at once where the loops are missing."""


class OwnKeyNode:
    """An item matrix, loaded for a plan.

    Parameters
    ----------
    plan : OwnKeyPlan
    items : float64 array, shape (factors, items)
        Columns of 1-norm at most 1.

    Raises
    ------
    InvalidInput
        If the items have another shape, are not finite or exceed their bound.

    Security
    --------
    Whoever asks can compute the items from as many answers as there are factors, or fewer.
    """

    def __init__(self, plan: OwnKeyPlan, items: Float) -> None:
        plan.check_items(items)
        self.plan = plan
        integers = np.rint(np.ldexp(items, plan.item_scale_bits)).astype(np.int64)
        if plan.layout == QUERY:
            self._polynomials = _load_polynomials(plan, integers)
        else:
            self._panels = _load_panels(integers)

    def evaluate(self, query: OwnKeyQuery) -> OwnKeyAnswer:
        """Score the shoppers of a query on every item.

        Raises
        ------
        Mismatch
            If the query belongs to another plan.
        """
        if query.plan.fingerprint != self.plan.fingerprint:
            raise Mismatch("a query belongs to another plan")
        groups, count, level, degree = self.plan.tail_shape
        out = loops.empty((groups, count, 2, level, degree), np.uint32)
        components = np.stack([query.constant, query.tail], axis=2)
        for words, target in zip(components, out, strict=True):
            if self.plan.layout == QUERY:
                self._query(words, target)
            else:
                self._batch(words, target)
        useful = slice(self.plan.inner - 1, None, self.plan.inner)
        return OwnKeyAnswer(self.plan, out[:, :, 0, :, useful], out[:, :, 1])

    def _query(self, words: Words, out: Words) -> None:
        """Multiply words (blocks, 2, L, N) by the item polynomials, to (polynomials, 2, L, N)."""
        plan = self.plan
        _, _, level, degree = words.shape
        values = out if plan.transformed else np.empty((len(out), 2, level, degree), np.uint32)
        for index, prime in enumerate(plan.parameters.primes):
            query, target = words[:, :, index], values[:, :, index]
            tiles, terms = self._polynomials[index], exact_terms(prime)
            if loops.available():
                loops.query(tiles, query, target, prime, terms)
            else:
                target[...] = _query_tiles(tiles, query, prime, terms)
        if not plan.transformed:
            out[...] = _coefficients(plan, values)

    def _batch(self, words: Words, out: Words) -> None:
        """Multiply words (factors, 2, L, N) by the integers of all items, to (items, 2, 1, N)."""
        large, small = self.plan.parameters.primes
        factors, _, _, degree = words.shape
        lifted = _lifted(words, large, small).reshape(factors, -1, loops.POSITIONS)
        target = out.reshape(len(out), 2 * degree)
        if loops.available():
            shoppers = np.ascontiguousarray(lifted.transpose(1, 0, 2))
            loops.batch(self._panels, shoppers, target, small, large)
        else:
            _batch_tiles(self._panels, lifted.reshape(factors, -1), target, small, large)


def _load_polynomials(plan: OwnKeyPlan, integers: NDArray[np.int64]) -> list[NDArray[np.int32]]:
    """For every prime, centred NTT values (N / 16, groups, blocks, 16)."""
    groups = plan.packing.right_groups(plan.items)
    blocks, level, degree = plan.query_shape[1:]
    shape = (degree // loops.POSITIONS, groups, blocks, loops.POSITIONS)
    loaded = [loops.empty(shape, np.int32) for _ in range(level)]
    columns = LOAD_GROUPS * plan.packing.right
    for start in range(0, groups, LOAD_GROUPS):
        first = start * plan.packing.right
        packed = plan.packing.pack_right(integers[:, first : first + columns])
        values = ntt.forward(plan.parameters.primes, residues(packed, plan.parameters.primes))
        part = slice(start, start + LOAD_GROUPS)
        for index in range(level):
            grid = values[:, :, index].reshape(*values.shape[:2], -1, loops.POSITIONS)
            loaded[index][:, part] = grid.transpose(2, 0, 1, 3)
    return loaded


def _load_panels(integers: NDArray[np.int64]) -> Float:
    """Integers (item panels, factors, ITEMS), zero beyond the last item."""
    factors, count = integers.shape
    panels = -(-count // loops.ITEMS)
    padded = np.zeros((factors, panels * loops.ITEMS))
    padded[:, :count] = integers
    return np.ascontiguousarray(padded.reshape(factors, panels, loops.ITEMS).transpose(1, 0, 2))


def _lifted(words: Words, large: int, small: int) -> Float:
    """Coefficients (factors, 2, N) as centred integers modulo both primes together."""
    degree = words.shape[-1]
    first, second = (
        ntt.transform(degree, prime).inverse(
            centre(np.ascontiguousarray(words[:, :, index]), prime)
        )
        for index, prime in enumerate((large, small))
    )
    digit = reduce_centred(second - first, small)
    digit *= pow(large, -1, small)
    return first + large * reduce_centred(digit, small)


def _coefficients(plan: OwnKeyPlan, words: Words) -> Words:
    """Coefficients of NTT values (count, 2, L, N), without the prime that is dropped."""
    primes, degree = plan.parameters.primes, words.shape[-1]
    values = [
        ntt.transform(degree, prime).inverse(
            centre(np.ascontiguousarray(words[:, :, index]), prime)
        )
        for index, prime in enumerate(primes)
    ]
    out = np.empty((*words.shape[:2], plan.answer_level, degree), dtype=np.uint32)
    for index, prime in enumerate(plan.answer_primes):
        kept = values[index]
        if plan.dropped > 1:
            # Rounded division: subtract the residue of the dropped prime and divide exactly.
            kept = reduce_centred(kept - values[-1], prime)
            kept *= _centred_inverse(plan.dropped, prime)
            reduce_centred(kept, prime)
        out[:, :, index] = to_words(kept, prime)
    return out


def _centred_inverse(value: int, prime: int) -> int:
    """Inverse modulo a prime, in (-p/2, p/2)."""
    inverse = pow(value, -1, prime)
    return inverse - prime if inverse > prime // 2 else inverse


def _query_tiles(items: NDArray[np.int32], query: Words, prime: int, terms: int) -> Words:
    tiles, groups, blocks, width = items.shape
    values = centre(np.ascontiguousarray(query), prime)
    grid = values.reshape(blocks, 2, tiles, width).transpose(2, 3, 0, 1)
    total = np.zeros((tiles, groups, 2, width))
    for start in range(0, blocks, terms):
        part = slice(start, start + terms)
        rows = items[:, :, part].transpose(0, 3, 1, 2).astype(np.float64)
        product = np.matmul(rows, grid[:, :, part]).transpose(0, 2, 3, 1)
        product = np.ascontiguousarray(product)
        total += reduce_centred(product, prime)
    words = reduce_to_words(total, prime)
    return np.ascontiguousarray(words.transpose(1, 2, 0, 3)).reshape(groups, 2, -1)


def _batch_tiles(panels: Float, shoppers: Float, out: Words, dropped: int, prime: int) -> None:
    items = panels.transpose(0, 2, 1).reshape(-1, panels.shape[1])[: len(out)]
    for start in range(0, len(out), ITEM_TILE):
        part = slice(start, start + ITEM_TILE)
        product = reduce_centred(items[part] @ shoppers, dropped * prime)
        product *= 1.0 / dropped
        np.rint(product, out=product)
        out[part] = to_words(reduce_centred(product, prime), prime)
