"""Make the best of Gram blocks that were released with noise of a known deviation.

Both steps use the released numbers and public ones only, so they spend no privacy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hecf.errors import InvalidInput

Block = NDArray[np.float64]


def shrunk_block(block: Block, deviation: float) -> Block:
    """Shrink the singular values of a square block towards what noise alone would not give.

    ``sqrt(y^2 - 4 d deviation^2)``, or 0 where that is not real: the shrinker of least Frobenius
    error for a low-rank square matrix in white noise (Gavish and Donoho, IEEE Transactions on
    Information Theory 63(4), 2017, equation 7). A block of orthonormal embeddings has no singular
    value above 1, and none below ``deviation sqrt(d)`` can be told from noise; where the second
    exceeds the first the block becomes zero, and the recommendations that follow from it those
    of the most popular items.

    Parameters
    ----------
    block : float64 array, shape (d, d)
    deviation : float
        Standard deviation of the noise of an entry; 0 changes nothing.

    Raises
    ------
    InvalidInput
        If the deviation is negative or not finite.
    """
    if not 0 <= deviation < np.inf:
        raise InvalidInput("a deviation is out of range", got=deviation, expected="0 up")
    if deviation == 0:
        return block
    detectable = deviation * np.sqrt(block.shape[0])
    if detectable >= 1:
        return np.zeros_like(block)
    left, values, right = np.linalg.svd(block)
    kept = np.sqrt(np.maximum(values**2 - 4 * detectable**2, 0.0))
    return np.asarray((left * np.minimum(kept, 1.0)) @ right, dtype=np.float64)


def consistent_blocks(
    blocks: Mapping[tuple[str, str], Block], retailers: Sequence[str]
) -> dict[tuple[str, str], Block]:
    """Scale blocks down together until they can belong to orthonormal embeddings.

    With identities on its diagonal the joint Gram matrix ``I + t B`` is positive semidefinite for
    ``t <= 1 / -b``, where b is the least eigenvalue of B; the largest such t up to 1 is taken.

    Parameters
    ----------
    blocks : mapping of (r, s) to float64 array, shape (d, d)
        For r before s in the agreed order.

    Returns
    -------
    dict of (r, s) to float64 array, shape (d, d)
        The same pairs.
    """
    factors = next(iter(blocks.values())).shape[0]
    place = {
        name: slice(position * factors, (position + 1) * factors)
        for position, name in enumerate(retailers)
    }
    joint = np.zeros((factors * len(place), factors * len(place)))
    for first, second in combinations(retailers, 2):
        joint[place[first], place[second]] = blocks[first, second]
        joint[place[second], place[first]] = blocks[first, second].T
    scale = 1.0 / max(1.0, -float(np.linalg.eigvalsh(joint)[0]))
    return {pair: scale * block for pair, block in blocks.items()}
