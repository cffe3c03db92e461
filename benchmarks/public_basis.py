"""Recall@20 from axes that depend on nobody's data, beside the retailers' own decompositions.

With a public basis a shopper's row depends on her own purchases alone, so noise on what is released
would be differential privacy from end to end (docs/decisions/0002-where-the-privacy-noise-goes.md).
Rows are unit vectors of purchases times a random projection under a public seed; the release is all
cross-Gram blocks and, because such columns are not orthonormal, every retailer's block with itself.

``python -m benchmarks.public_basis`` prints the figures of that decision as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from benchmarks.harness import rng
from benchmarks.privacy_utility import (
    DELTA,
    EPSILONS,
    RIDGE,
    K,
    Retailer,
    complete_journey_coalition,
)
from hecf.data import complete_journey
from hecf.evaluation import calibrated_recall
from hecf.he.modular import Float
from hecf.models import top_k
from hecf.privacy.accounting import noise_multiplier
from hecf.privacy.sensitivity import clipped_rows

FACTORS = (16, 32, 64, 128)
PENALTIES = (0.1, 1.0)
"""Ridge penalties in units of the mean variance of a column."""
REPETITIONS = 2
NOISY_FACTORS = 2
"""How many numbers of factors, from the smallest, are tried with noise, which grows with them."""


def measure(
    retailers: Mapping[str, Retailer],
    factors: Sequence[int] = FACTORS,
    epsilons: Sequence[float] = (EPSILONS[2], EPSILONS[-1]),
) -> dict[str, Any]:
    """Measure a coalition without noise, by factors, and with it, by epsilon."""
    exact = {count: _best(retailers, count, 0.0) for count in factors}
    private = {
        epsilon: max(
            _best(retailers, count, noise_multiplier(epsilon, DELTA))
            for count in factors[:NOISY_FACTORS]
        )
        for epsilon in epsilons
    }
    popular = float(np.mean([each.popularity for each in retailers.values()]))
    return {"popularity": popular, "by_factors": exact, "by_epsilon": private}


def _best(retailers: Mapping[str, Retailer], factors: int, multiplier: float) -> float:
    """Mean recall over seeds with the better of the penalties."""
    return max(
        float(
            np.mean(
                [
                    _recall(retailers, factors, penalty, multiplier, seed)
                    for seed in range(REPETITIONS)
                ]
            )
        )
        for penalty in PENALTIES
    )


def _recall(
    retailers: Mapping[str, Retailer], factors: int, penalty: float, multiplier: float, seed: int
) -> float:
    random, names = rng(seed), tuple(retailers)
    rows = {name: projected_rows(each.visible, factors, random) for name, each in retailers.items()}
    count = len(names)
    # Rows have norm 1 at most: the blocks of all pairs, and of every retailer with itself.
    noise = multiplier * np.sqrt(count * (count - 1) / 2 + count)
    blocks: dict[tuple[str, str], Float] = {}
    for first, second in combinations_with_replacement(names, 2):
        block = rows[first].T @ rows[second]
        added = noise * random.standard_normal(block.shape)
        if first == second:
            added = np.triu(added) + np.triu(added, 1).T
        blocks[first, second] = block + added
        blocks[second, first] = blocks[first, second].T
    recalls = []
    for target in names:
        sources = [name for name in names if name != target]
        joint = np.block([[blocks[r, s] for s in sources] for r in sources])
        crossed = np.vstack([blocks[r, target] for r in sources])
        joint = _positive(joint) + (penalty * np.trace(joint) / len(joint) + 4 * noise) * np.eye(
            len(joint)
        )
        maps = np.split(cho_solve(cho_factor(joint), crossed), len(sources))
        each = retailers[target]
        estimated = sum(
            rows[source][each.rows] @ part for source, part in zip(sources, maps, strict=True)
        )
        best = top_k(_scores(each.visible, rows[target], np.asarray(estimated)), K)[0]
        recalls.append(calibrated_recall(best, each.relevant, relevant_total=each.relevant_total))
    return float(np.mean(recalls))


def projected_rows(counts: csr_array, factors: int, random: np.random.Generator) -> Float:
    """Project unit vectors of what each shopper bought by a matrix that is public."""
    bought = (counts > 0).astype(np.float64)
    lengths = np.sqrt(np.maximum(np.asarray(bought.sum(axis=1)).ravel(), 1.0))
    projection = random.standard_normal((counts.shape[1], factors)) / np.sqrt(factors)
    return clipped_rows(np.asarray(bought @ projection) / lengths[:, None], 1.0)


def _scores(counts: csr_array, own: Float, estimated: Float) -> Float:
    """Scores by the target's own regression of its items on its projected rows, at home."""
    present = np.flatnonzero(np.diff(counts.indptr))
    bought = (counts[present] > 0).toarray().astype(np.float64)
    rows, mean = own[present], bought.mean(axis=0)
    gram = rows.T @ rows
    ridge = RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    items = cho_solve(cho_factor(gram + ridge), rows.T @ (bought - mean))
    return np.asarray(mean + (estimated - estimated.mean(axis=0)) @ items)


def _positive(matrix: Float) -> Float:
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)


if __name__ == "__main__":
    print(json.dumps(measure(complete_journey_coalition(complete_journey.members())), indent=1))  # noqa: T201
