"""The whole clear pipeline on real data: other retailers' purchases must beat popularity."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.sparse import csr_array, diags_array

from hecf.data.complete_journey import RETAILERS, load_retailer, members
from hecf.data.directory import MemberDirectory, PseudonymKey
from hecf.data.interactions import InteractionMatrix
from hecf.data.splits import held_out
from hecf.evaluation.metrics import calibrated_recall, ndcg
from hecf.models.cross_ridge import CrossRetailerRidge
from hecf.models.embedding import LocalEmbedding
from hecf.models.popularity import MostPopular
from hecf.models.ranking import top_k

KEY = PseudonymKey.from_bytes(bytes(32))
NAMES = tuple(RETAILERS)


@pytest.fixture(scope="module")
def coalition() -> dict:
    """What each retailer would compute, with a fifth of the members hidden at each."""
    ids = members()
    directory = MemberDirectory.from_members(KEY, ids)
    result: dict = {"hidden": {}, "bought": {}, "seen": {}, "local": {}}
    for name in NAMES:
        retailer = load_retailer(name)
        training = InteractionMatrix.from_table(retailer.training, directory, KEY)
        year = InteractionMatrix.from_table(retailer.year, directory, KEY, training.item_ids)
        hidden = np.array(
            [directory.position(KEY.pseudonym(i)) for i in ids if held_out(i, name, NAMES, 0.2, 0)]
        )
        visible = np.ones(len(directory))
        visible[hidden] = 0
        seen = csr_array(diags_array(visible) @ training.counts)
        result["hidden"][name], result["bought"][name] = hidden, csr_array(year.counts[hidden])
        result["seen"][name], result["local"][name] = seen, LocalEmbedding.fit(seen, 32)
    return result


def quality(coalition: dict, target: str, rows: np.ndarray) -> tuple[float, float]:
    best, _ = top_k(coalition["local"][target].scores(rows), 20)
    bought = coalition["bought"][target]
    return calibrated_recall(best, bought), ndcg(best, bought)


@pytest.mark.parametrize("target", NAMES)
def test_other_retailers_beat_popularity_for_unknown_shoppers(coalition, target) -> None:
    local, hidden = coalition["local"], coalition["hidden"][target]
    blocks = {(r, s): local[r].shoppers.T @ local[s].shoppers for r, s in combinations(NAMES, 2)}
    model = CrossRetailerRidge.fit(blocks, NAMES, ridge=0.1, decay=0.5)
    sources = [name for name in NAMES if name != target]
    estimate = sum(local[r].shoppers[hidden] @ model.maps[r, target] for r in sources)
    recall, gain = quality(coalition, target, estimate)
    popular = np.tile(MostPopular.fit(coalition["seen"][target]).scores, (hidden.size, 1))
    best, _ = top_k(popular, 20)
    bought = coalition["bought"][target]
    assert recall > calibrated_recall(best, bought) + 0.005
    assert gain > ndcg(best, bought) + 0.01
    # Rows of other shoppers must not do as well, or the gain would not come from the shopper.
    strangers = np.random.default_rng(0).permutation(estimate)
    assert quality(coalition, target, strangers)[0] < recall - 0.01


@pytest.mark.parametrize("target", NAMES)
def test_the_target_itself_knows_nothing_of_hidden_shoppers(coalition, target) -> None:
    assert not coalition["local"][target].shoppers[coalition["hidden"][target]].any()
    assert coalition["hidden"][target].size > 400
