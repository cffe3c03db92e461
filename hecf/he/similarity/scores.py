"""Decrypted panels of a similarity, and what a key holder makes of them while they stream by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from hecf.errors import InvalidInput, Mismatch, ReleaseRefused
from hecf.he.modular import Float
from hecf.he.plan import LEFT, RIGHT
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.similarity.ring import in_threads

SELECTION_ROWS, SELECTION_COLUMNS = 128, 512
"""Part of a panel from which best entries are selected at once."""


@dataclass(frozen=True, repr=False)
class Panel:
    """Scores of up to N rows of A on up to N rows of B.

    Parameters
    ----------
    plan : SimilarityPlan
    row_block, column_block : int
        Scores start at row ``row_block N`` and column ``column_block N``.
    values : float64 array, shape (rows, columns)
    flooded : bool
        Whether the release gate has made the values fit to leave the key holder.

    Security
    --------
    Exact values given to somebody who saw the ciphertexts reveal the secret key (Li and
    Micciancio, EUROCRYPT 2021).
    """

    plan: SimilarityPlan
    row_block: int
    column_block: int
    values: Float
    flooded: bool = False

    def __repr__(self) -> str:
        return f"Panel({self.row_block}, {self.column_block})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Panel cannot be pickled or copied")


@dataclass(frozen=True)
class TopSimilar:
    """The most similar rows of B for every row of A, best first.

    Parameters
    ----------
    columns : int64 array, shape (left, n)
        Rows of B. Which of several equal scores is the last to be kept is arbitrary.
    scores : float64 array, shape (left, n)
    """

    columns: NDArray[np.int64]
    scores: Float


def similarity_matrix(plan: SimilarityPlan, panels: Iterable[Panel]) -> Float:
    """Gather all panels in a float64 array of shape (left, right).

    Raises
    ------
    ReleaseRefused
        If the plan is for a release and a panel is not flooded.
    Mismatch
        If a panel belongs to another plan, or panels are missing or out of order.
    """
    matrix = np.empty((plan.left, plan.right))
    degree = plan.parameters.ring_degree
    for panel in _in_order(plan, panels):
        row, column = panel.row_block * degree, panel.column_block * degree
        rows, columns = panel.values.shape
        matrix[row : row + rows, column : column + columns] = panel.values
    return matrix


def top_similar(plan: SimilarityPlan, panels: Iterable[Panel], n: int) -> TopSimilar:
    """Keep the `n` best columns of every row while panels stream by.

    Memory is that of one panel and of the result.

    Raises
    ------
    InvalidInput
        If `n` is not between 1 and the rows of B.
    ReleaseRefused, Mismatch
        As :func:`similarity_matrix`.
    """
    if not 1 <= n <= plan.right:
        raise InvalidInput(
            "the number of similar rows is out of range", got=n, expected=f"1 to {plan.right}"
        )
    columns = np.zeros((plan.left, n), dtype=np.int64)
    scores = np.full((plan.left, n), -np.inf)
    degree = plan.parameters.ring_degree
    for panel in _in_order(plan, panels):
        first, offset = panel.row_block * degree, panel.column_block * degree

        def select(
            start: int, panel: Panel = panel, first: int = first, offset: int = offset
        ) -> None:
            values = panel.values[start : start + SELECTION_ROWS]
            part = slice(first + start, first + start + len(values))
            for column in range(0, values.shape[1], SELECTION_COLUMNS):
                strip = values[:, column : column + SELECTION_COLUMNS]
                _keep_best(columns[part], scores[part], strip, offset + column)

        in_threads(select, range(0, len(panel.values), SELECTION_ROWS))
    order = np.argsort(-scores, axis=1, kind="stable")
    return TopSimilar(
        np.take_along_axis(columns, order, axis=1), np.take_along_axis(scores, order, axis=1)
    )


def _keep_best(columns: NDArray[np.int64], scores: Float, strip: Float, offset: int) -> None:
    """Replace the worst of the best of every row by what is better in a strip of columns.

    Few entries of a strip pass the comparison once a row has its n best so far.
    """
    n = scores.shape[1]
    rows, found = np.nonzero(strip > scores.min(axis=1, keepdims=True))
    if rows.size == 0:
        return
    counts = np.bincount(rows, minlength=len(strip))
    place = np.arange(rows.size) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = (len(strip), n + int(counts.max()))
    every, at = np.full(shape, -np.inf), np.zeros(shape, dtype=np.int64)
    every[:, :n], at[:, :n] = scores, columns
    every[rows, n + place] = strip[rows, found]
    at[rows, n + place] = offset + found
    best = np.argpartition(every, shape[1] - n, axis=1)[:, -n:]
    scores[:] = np.take_along_axis(every, best, axis=1)
    columns[:] = np.take_along_axis(at, best, axis=1)


def _in_order(plan: SimilarityPlan, panels: Iterable[Panel]) -> Iterator[Panel]:
    """Pass on panels that are complete, in order and allowed to be used."""
    expected = [(x, y) for x in range(plan.blocks(LEFT)) for y in range(plan.blocks(RIGHT))]
    count = 0
    for panel in panels:
        if panel.plan.fingerprint != plan.fingerprint:
            raise Mismatch("a panel belongs to another plan")
        at = (panel.row_block, panel.column_block)
        if count == len(expected) or at != expected[count]:
            raise Mismatch("a panel is out of order", got=at)
        if plan.releases > 0 and not panel.flooded:
            raise ReleaseRefused("a similarity that is released must be flooded")
        count += 1
        yield panel
    if count != len(expected):
        raise Mismatch("panels of a similarity are missing", got=count, expected=len(expected))
