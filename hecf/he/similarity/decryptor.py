"""The key holder's side of a similarity: two negacyclic products by the secret, panel by panel.

``(bb' + s(Y) ba') + s(X) (ab' + s(Y) aa')``: along Y every stacked row by itself, as its tile
arrives; along X every column, when all rows of the panel are there. Time is proportional to the
output, and memory is that of one panel, whatever the size of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn

import numpy as np

from hecf.errors import LimitExceeded, Mismatch
from hecf.he import loops
from hecf.he.keys import SecretKey
from hecf.he.modular import Float, Words, reduce_centred
from hecf.he.plan import LEFT, RIGHT, check_parameters
from hecf.he.seal import SealContext
from hecf.he.similarity.matrices import EncryptedTile
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.similarity.ring import (
    CHUNK,
    PADDING,
    SmallFactor,
    in_threads,
    padded,
)
from hecf.he.similarity.scores import Panel

MEMORY = 1 << 30
"""Bytes that a decryption may use, unless told otherwise."""


class SimilarityDecryptor:
    """Decrypts similarities under a secret key.

    Parameters
    ----------
    secret : SecretKey
    memory : int
        Bytes to use beside the tiles that arrive and the panels that were handed out.

    Security
    --------
    Holds the secret key in memory; cannot be pickled. The panels are exact decryptions.
    """

    def __init__(self, secret: SecretKey, *, memory: int = MEMORY) -> None:
        self._parameters = secret.parameters
        self._memory = memory
        key = SealContext(secret.parameters).secret_polynomial(secret.expose())
        self._key = SmallFactor(key)

    def panels(self, plan: SimilarityPlan, tiles: Iterable[EncryptedTile]) -> Iterator[Panel]:
        """Decrypt tiles as they arrive.

        Returns
        -------
        iterator of Panel
            Row blocks first to last, and for each the column blocks.

        Raises
        ------
        Mismatch
            If the plan is for other parameters, or a tile belongs to another plan, is out of order
            or missing.
        LimitExceeded
            If the memory is too small for a panel.
        """
        check_parameters(plan, self._parameters)
        needed = panel_bytes(plan)
        if needed > self._memory:
            raise LimitExceeded(
                "the memory is too small for a panel of the similarity",
                got=f"{self._memory} bytes",
                expected=f"at least {needed}",
            )
        return self._panels(plan, tiles)

    def _panels(self, plan: SimilarityPlan, tiles: Iterable[EncryptedTile]) -> Iterator[Panel]:
        arriving = iter(tiles)
        # New memory for every panel would cost a tenth of its decryption.
        level, stacked, width = plan.panel_shape(0, 0)
        scratch = padded((level, stacked, width - plan.parameters.ring_degree), np.uint32)
        for row_block in range(plan.blocks(LEFT)):
            for column_block in range(plan.blocks(RIGHT)):
                yield self._panel(plan, arriving, row_block, column_block, scratch)
        if next(arriving, None) is not None:
            raise Mismatch("a similarity has more tiles than its plan")

    def _panel(
        self,
        plan: SimilarityPlan,
        tiles: Iterator[EncryptedTile],
        row_block: int,
        column_block: int,
        scratch: Words,
    ) -> Panel:
        _, stacked, width = plan.panel_shape(row_block, column_block)
        half = scratch[:, :stacked, : width - plan.parameters.ring_degree]
        done = 0
        while done < stacked:
            tile = next(tiles, None)
            if tile is None:
                raise Mismatch("tiles of a similarity are missing")
            place = tile.place
            if tile.plan.fingerprint != plan.fingerprint:
                raise Mismatch("a tile belongs to another plan")
            if (place.row_block, place.column_block, place.first) != (
                row_block,
                column_block,
                done,
            ):
                raise Mismatch(
                    "a tile is out of order",
                    got=(place.row_block, place.column_block, place.first),
                    expected=(row_block, column_block, done),
                )
            self._finish_rows(plan, tile.words, half[:, done : done + place.count])
            done += place.count
        return Panel(plan, row_block, column_block, self._finish_columns(plan, half))

    def _finish_rows(self, plan: SimilarityPlan, words: Words, out: Words) -> None:
        """Compute ``b' + s(Y) a'`` of stacked rows (L, count, N + columns)."""
        degree = plan.parameters.ring_degree

        def finish(start: int) -> None:
            part = slice(start, start + CHUNK)
            for index, prime in enumerate(plan.primes):
                tails, bodies = words[index, part, :degree], words[index, part, degree:]
                self._key.multiply_add(tails, bodies, prime, out[index, part])

        in_threads(finish, range(0, words.shape[1], CHUNK))

    def _finish_columns(self, plan: SimilarityPlan, half: Words) -> Float:
        """Compute ``b + s(X) a`` of columns, and return scores (rows, columns)."""
        degree = plan.parameters.ring_degree
        rows, columns = half.shape[1] - degree, half.shape[2]
        scores = padded((rows, columns), np.float64)

        def finish(start: int) -> None:
            part = slice(start, start + CHUNK)
            residues = np.empty((len(plan.primes), rows, scores[:, part].shape[1]))
            for index, prime in enumerate(plan.primes):
                tails, bodies = half[index, :degree, part], half[index, degree:, part]
                self._key.multiply_add(tails.T, bodies.T, prime, residues[index].T)
            scores[:, part] = recombine_centred(list(residues), plan.primes, plan.scale)

        in_threads(finish, range(0, columns, CHUNK))
        return scores

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SimilarityDecryptor cannot be pickled or copied")


def panel_bytes(plan: SimilarityPlan) -> int:
    """Memory for the largest panel: its half-finished words, its scores, and threads at work."""
    level, stacked, width = plan.panel_shape(0, 0)
    degree = plan.parameters.ring_degree
    columns = width - degree
    scratch = CHUNK * degree * loops.threads() * (64 + 16 * level)
    return (4 * level * stacked + 8 * (stacked - degree)) * (columns + PADDING) + scratch


def recombine_centred(residues: Sequence[Float], primes: Sequence[int], scale: float) -> Float:
    """Return the integers with given centred residues, divided by `scale`.

    The balanced mixed-radix digits of :func:`hecf.he.modular.recombine`, exact in float64 because
    every product is of 25 by 24 bits. Overwrites `residues`.
    """
    radix = 1
    total = np.zeros(residues[0].shape)
    for index, prime in enumerate(primes):
        digit = residues[index]
        # After the earlier digits, each of which took one step on all later residues.
        total += digit * (radix / scale)
        for later, modulus in zip(residues[index + 1 :], primes[index + 1 :], strict=True):
            inverse = pow(prime, -1, modulus)
            later -= digit
            later *= float(inverse - modulus if inverse > modulus // 2 else inverse)
            reduce_centred(later, modulus)
        radix *= prime
    return total
