"""Recall@20 against epsilon: where differential privacy of the Gram blocks becomes affordable.

The coalition of the vertical recipe in clear, with the release gate that the key holder uses: the
same clipping, flooding and discrete Gaussian noise, calibrated to each epsilon. What is encrypted
in between changes no figure by more than its error bound, which the tests of the recipe show.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from benchmarks.machine import machine
from hecf.data import complete_journey
from hecf.data.directory import MemberDirectory, PseudonymKey
from hecf.data.interactions import InteractionMatrix
from hecf.data.splits import held_out
from hecf.data.synthetic import SyntheticCoalition
from hecf.evaluation import calibrated_recall
from hecf.he.keys import Decrypted
from hecf.he.modular import Float
from hecf.he.product.plan import ProductPlan
from hecf.he.product.planner import plan_gram
from hecf.models import CrossRetailerRidge, LocalEmbedding, MostPopular, top_k
from hecf.privacy.accounting import noise_multiplier
from hecf.privacy.policy import GramPrivacy, ReleasePolicy
from hecf.privacy.release import ReleaseGate
from hecf.privacy.sensitivity import clipped_rows

EPSILONS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
DELTA = 1e-7
CLIP = 1.5
FACTORS = 16
RIDGE, DECAY = 0.1, 0.5
K = 20
REPETITIONS = 5
HIDDEN_FRACTION, SPLIT_SEED = 0.2, 11
MOST_JUDGED = 4000
"""Hidden shoppers of a retailer whose recommendations are judged, from the first."""

SIZES = (10_000, 100_000, 1_000_000)


@dataclass(frozen=True, eq=False)
class Retailer:
    """What one retailer trained, and what its hidden shoppers really bought.

    Parameters
    ----------
    embedding : LocalEmbedding
    rows : int64 array, shape (judged,)
        Positions of the hidden shoppers that are judged.
    relevant : csr array, shape (judged, items)
    relevant_total : int64 array, shape (judged,)
    popularity : float
        Recall of the most popular items.
    visible : csr array, shape (shoppers, items)
        What it trained on.
    """

    embedding: LocalEmbedding
    rows: NDArray[np.int64]
    relevant: csr_array
    relevant_total: NDArray[np.int64]
    popularity: float
    visible: csr_array

    @classmethod
    def of(
        cls,
        training: csr_array,
        bought: csr_array,
        bought_total: NDArray[np.int64],
        hidden: NDArray[np.bool_],
        factors: int,
    ) -> Retailer:
        """Hide some shoppers, train on the others, and keep what the hidden ones bought."""
        visible = csr_array(diags_array((~hidden).astype(np.float64)) @ training)
        visible.eliminate_zeros()
        rows = np.flatnonzero(hidden & (bought_total > 0))[:MOST_JUDGED]
        relevant, total = csr_array(bought[rows]), bought_total[rows]
        popular = np.tile(MostPopular.fit(visible).scores, (rows.size, 1))
        recall = calibrated_recall(top_k(popular, K)[0], relevant, relevant_total=total)
        embedding = LocalEmbedding.fit(visible, factors)
        return cls(embedding, rows, relevant, total, recall, visible)


def measure(progress: Callable[[str], None], *, quick: bool = False) -> dict[str, Any]:
    """Measure every coalition.

    Parameters
    ----------
    progress : callable
        Called with what is being worked on.
    quick : bool
        Small coalitions only, to see that it works rather than what privacy costs.

    Returns
    -------
    dict
        JSON-like: ``coalitions`` with recall by epsilon, and everything the figures depend on.
    """
    sizes = (2000,) if quick else SIZES
    coalitions: list[dict[str, Any]] = []
    if not quick:
        progress("complete-journey")
        members = complete_journey.members()
        coalitions.append(
            _measured(
                "Complete Journey", len(members), complete_journey_coalition(members), REPETITIONS
            )
        )
    for size in sizes:
        progress(f"synthetic, {size} shoppers")
        coalitions.append(_measured("synthetic", size, synthetic_coalition(size), REPETITIONS))
    return {
        "machine": machine(),
        "quick": quick,
        "k": K,
        "delta": DELTA,
        "clip": CLIP,
        "factors": FACTORS,
        "ridge": RIDGE,
        "repetitions": REPETITIONS,
        "covered": "the release of the Gram blocks, for fixed local embeddings",
        "coalitions": coalitions,
    }


def _measured(
    name: str, shoppers: int, retailers: Mapping[str, Retailer], repetitions: int
) -> dict[str, Any]:
    names = tuple(retailers)
    plan = plan_gram(
        scheme="ckks",
        rows=shoppers,
        left=FACTORS,
        right=FACTORS,
        precision=2.0**-18,
        statistical_bits=30,
        releases=4096,
    )
    exact = {
        (r, s): retailers[r].embedding.shoppers.T @ retailers[s].embedding.shoppers
        for r, s in combinations(names, 2)
    }
    without = _recall(retailers, exact, 0.0)
    curve = []
    for epsilon in EPSILONS:
        multiplier = noise_multiplier(epsilon, DELTA)
        private = GramPrivacy(epsilon, DELTA, CLIP, multiplier, len(names))
        found = [_private_recall(retailers, plan, private) for _ in range(repetitions)]
        curve.append(
            {
                "epsilon": epsilon,
                "noise_multiplier": multiplier,
                "deviation": private.deviation(plan),
                "recall": float(np.mean(found)),
                "spread": float(np.std(found)),
            }
        )
    return {
        "name": name,
        "shoppers": shoppers,
        "retailers": list(names),
        "popularity": float(np.mean([each.popularity for each in retailers.values()])),
        "without_privacy": without,
        "curve": curve,
    }


def _private_recall(
    retailers: Mapping[str, Retailer], plan: ProductPlan, private: GramPrivacy
) -> float:
    bound = private.row_bound(plan.left, plan.inner)
    rows = {name: clipped_rows(each.embedding.shoppers, bound) for name, each in retailers.items()}
    policy = ReleasePolicy(2, K, releases=plan.releases, gram_privacy=private)
    gate = ReleaseGate(policy, secrets.token_bytes)
    blocks = {
        (r, s): gate.gram(Decrypted(plan, rows[r].T @ rows[s]))
        for r, s in combinations(retailers, 2)
    }
    return _recall(retailers, blocks, private.deviation(plan))


def _recall(
    retailers: Mapping[str, Retailer], blocks: Mapping[tuple[str, str], Float], noise: float
) -> float:
    """Mean recall over the retailers as targets."""
    names = tuple(retailers)
    model = CrossRetailerRidge.fit(blocks, names, ridge=RIDGE, decay=DECAY, noise=noise)
    recalls = []
    for target in names:
        each = retailers[target]
        shares = [
            retailers[source].embedding.shoppers[each.rows] @ model.maps[source, target]
            for source in names
            if source != target
        ]
        best = top_k(each.embedding.scores(np.sum(shares, axis=0)), K)[0]
        recalls.append(calibrated_recall(best, each.relevant, relevant_total=each.relevant_total))
    return float(np.mean(recalls))


def complete_journey_coalition(members: Sequence[str]) -> dict[str, Retailer]:
    """Train the retailers of the demonstration, a fifth of the shoppers hidden at each."""
    names = tuple(complete_journey.RETAILERS)
    key = PseudonymKey.generate()
    directory = MemberDirectory.from_members(key, members)
    found = {}
    for name in names:
        data = complete_journey.load_retailer(name)
        training = InteractionMatrix.from_table(data.training, directory, key)
        known = InteractionMatrix.from_table(data.year, directory, key, training.item_ids)
        everything = InteractionMatrix.from_table(data.year, directory, key)
        hidden = np.zeros(len(directory), dtype=np.bool_)
        for member in members:
            if held_out(member, name, names, HIDDEN_FRACTION, SPLIT_SEED):
                hidden[directory.position(key.pseudonym(member))] = True
        total = np.diff(csr_array(everything.counts).indptr).astype(np.int64)
        found[name] = Retailer.of(
            csr_array(training.counts), csr_array(known.counts), total, hidden, FACTORS
        )
    return found


def synthetic_coalition(shoppers: int) -> dict[str, Retailer]:
    """Train four synthetic retailers, every shopper hidden at one of five or at none."""
    coalition = SyntheticCoalition(shoppers)
    # Which shoppers are hidden at which retailer: every shopper at one of five, or at none.
    group = np.arange(shoppers) % round(1 / HIDDEN_FRACTION)
    found = {}
    for number, name in enumerate(coalition.retailers):
        counts = coalition.counts(name)
        total = np.diff(counts.indptr).astype(np.int64)
        found[name] = Retailer.of(counts, counts, total, group == number, FACTORS)
    return found
