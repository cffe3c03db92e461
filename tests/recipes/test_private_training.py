"""Training on blocks that were released with differential privacy, under both schemes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coalitions import RETAILERS, Coalition, embeddings, make_terms, run_retailers

from hecf.errors import ConfigurationError
from hecf.privacy import release
from hecf.privacy.accounting import noise_multiplier
from hecf.privacy.sensitivity import clipped_rows
from hecf.protocol.tasks import GramTask
from hecf.protocol.terms import Terms

ROWS = dict.fromkeys(RETAILERS, (3, 17, 40))


def private_terms(epsilon: float = 8.0, **changes: Any) -> Terms:
    agreed = {"epsilon": epsilon, "delta": 1e-5, "clip": 1.5}
    return make_terms(**agreed, noise_multiplier=noise_multiplier(epsilon, 1e-5), **changes)


def test_blocks_are_noisy_and_the_coalition_still_recommends(tmp_path: Path) -> None:
    terms = private_terms()
    coalition = Coalition(terms, tmp_path)
    fitted = embeddings(terms)
    found = run_retailers(coalition, fitted, ROWS)
    assert all(np.isfinite(each.scores).all() for each in found.values())
    task, private = GramTask(terms), terms.gram_privacy
    assert private is not None
    blocks = coalition.key_holder("alder").release_blocks(task).blocks
    bound = private.row_bound(terms.factors, terms.shoppers)
    clipped = {name: clipped_rows(fitted[name].shoppers, bound) for name in RETAILERS}
    noise = np.array([blocks[r, s] - clipped[r].T @ clipped[s] for r, s in task.pairs])
    # 48 numbers: one standard error of the deviation is 10 %.
    assert 0.6 < noise.std() / private.deviation(task.plan) < 1.4
    assert coalition.debits[0] == (task.identifier, coalition.debits[0][1], terms.noise_multiplier)
    assert {debit[2] for debit in coalition.debits[1:]} == {0.0}


def test_joint_clipping_is_the_retailers_and_takes_less_noise(tmp_path: Path) -> None:
    fitted, noises = embeddings(private_terms()), {}
    for joint in (False, True):
        terms = private_terms(joint_clip=joint)
        (tmp_path / str(joint)).mkdir()
        coalition = Coalition(terms, tmp_path / str(joint))
        coalition.publish()
        run_retailers(coalition, fitted, ROWS)
        task, private = GramTask(terms), terms.gram_privacy
        assert private is not None
        blocks = coalition.key_holder("alder").release_blocks(task).blocks
        bound = private.row_bound(terms.factors, terms.shoppers)
        clipped = {name: clipped_rows(fitted[name].shoppers, bound) for name in RETAILERS}
        noise = np.array([blocks[r, s] - clipped[r].T @ clipped[s] for r, s in task.pairs])
        assert 0.6 < noise.std() / private.deviation(task.plan) < 1.4
        noises[joint] = private.deviation(task.plan)
    assert noises[True] == pytest.approx(noises[False] / 3, rel=0.02)


def test_much_privacy_leaves_the_most_popular_items(tmp_path: Path) -> None:
    """Blocks that are all noise say nothing, and the scores become each item's mean."""
    terms = private_terms(0.01)
    coalition = Coalition(terms, tmp_path)
    fitted = embeddings(terms)
    for name, each in run_retailers(coalition, fitted, ROWS).items():
        best = np.sort(fitted[name].mean)[::-1][: terms.top_k]
        np.testing.assert_allclose(each.scores, np.tile(best, (len(each.rows), 1)), atol=1e-9)


def test_encrypted_and_clear_release_the_same_blocks_under_the_same_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is measured on the clear twin is therefore what an encrypted coalition gets."""
    fitted = embeddings(private_terms())
    blocks, scores = {}, {}
    for scheme in ("clear", "ckks"):
        noise = np.random.default_rng(7)

        def same(shape: tuple[int, ...], deviation: float, random: object) -> np.ndarray:
            return np.rint(deviation * noise.standard_normal(shape)).astype(np.int64)  # noqa: B023

        monkeypatch.setattr(release, "discrete_gaussian", same)
        terms = private_terms(scheme=scheme)
        (tmp_path / scheme).mkdir()
        coalition = Coalition(terms, tmp_path / scheme)
        found = run_retailers(coalition, fitted, ROWS)
        blocks[scheme] = coalition.key_holder("alder").release_blocks(GramTask(terms)).blocks
        scores[scheme] = np.concatenate([found[name].scores for name in RETAILERS])
    for pair, block in blocks["clear"].items():
        # Flooding, and a step of the grid.
        np.testing.assert_allclose(blocks["ckks"][pair], block, atol=2.0**-8)
        assert np.abs(block).max() > 0.05
    np.testing.assert_allclose(scores["ckks"], scores["clear"], atol=1e-2)


@pytest.mark.parametrize(
    "change",
    [
        {"epsilon": 1.0},
        {"epsilon": 1.0, "delta": 1e-6, "clip": 1.5},
        {"epsilon": 1.0, "delta": 0.6, "clip": 1.5, "noise_multiplier": 1.0},
        {"epsilon": -1.0, "delta": 1e-6, "clip": 1.5, "noise_multiplier": 1.0},
        {"epsilon": 1.0, "delta": 1e-6, "clip": math.inf, "noise_multiplier": 1.0},
        {"noise_multiplier": 1.0},
    ],
)
def test_half_a_promise_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="out of range"):
        make_terms(**change)


def test_the_noise_is_part_of_what_is_agreed_on() -> None:
    agreed = private_terms()
    assert Terms.from_json(agreed.to_json()) == agreed
    weaker = make_terms(
        epsilon=8.0, delta=1e-5, clip=1.5, noise_multiplier=agreed.noise_multiplier / 2
    )
    assert agreed.fingerprint != weaker.fingerprint
    assert make_terms().gram_privacy is None
