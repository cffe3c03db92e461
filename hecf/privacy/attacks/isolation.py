"""Rows of shoppers elsewhere out of one block, by a retailer that uploads no embedding.

``P'S`` is the other retailer's embedding S weighted by the columns of P. Whoever makes P of columns
with a single entry, each at a shopper of its choice, reads her row of S off every row of the block.
Nobody sees under encryption that P is no embedding: its columns are orthonormal, as they should be.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hecf.he.modular import Float
from hecf.he.sampling import RandomBytes, gaussian
from hecf.privacy.attacks.differencing import similarity
from hecf.privacy.attacks.outcome import Outcome

SUCCESS = 0.9
MOST_ROWS = 4096


def singled_out(rows: int, factors: int, bound: float) -> Float:
    """Return an upload that singles out the first shoppers, float64 of shape (rows, factors).

    Parameters
    ----------
    rows : int
        Shoppers of the directory.
    factors : int
        Columns, each for one shopper.
    bound : float
        The single entry of every column.
    """
    return np.eye(rows, factors) * bound


def experiment(
    shoppers: int,
    factors: int,
    release: Callable[[Float], Float],
    random: RandomBytes,
    *,
    largest: float,
    protection: str,
) -> Outcome:
    """Read as many shoppers as there are factors off one block, exact and as it is released.

    Parameters
    ----------
    shoppers, factors : int
        Rows and columns of both uploads.
    release : callable
        What happens to a block before it leaves the key holder.
    random : callable
        Source of cryptographically secure bytes.
    largest : float
        Largest entry of a block that is released; the upload makes full use of it.
    protection : str
        What `release` does, for the outcome.
    """
    # Of the others only their number counts, which sets the size of every row.
    rows = max(factors, min(shoppers, MOST_ROWS))
    victims = gaussian((rows, factors), random) / shoppers**0.5
    bound = largest / float(np.abs(victims[:factors]).max())
    block = singled_out(rows, factors, bound).T @ victims

    def read(found: Float) -> float:
        return float(np.mean([similarity(*pair) for pair in zip(found, victims, strict=False)]))

    return Outcome(
        attack="isolation",
        attacker="a retailer that uploads single entries in place of an embedding",
        measure="mean cosine of the rows read with those of the shoppers singled out",
        threshold=SUCCESS,
        unprotected=read(block),
        protected=read(release(block)),
        protection=protection,
    )
