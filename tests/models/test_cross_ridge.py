from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from hecf.errors import InvalidInput
from hecf.models.cross_ridge import CrossRetailerRidge, joint_prior

NAMES = ("grocer", "drugstore", "butcher", "produce")


def embeddings(factors: int, retailers: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Orthonormal columns that share a part, as shoppers' tastes do."""
    generator = np.random.default_rng(seed)
    shared = generator.standard_normal((90, factors))
    return {
        name: np.linalg.qr(shared + generator.standard_normal((90, factors)))[0]
        for name in NAMES[:retailers]
    }


def gram_blocks(parts: dict[str, np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    return {(r, s): parts[r].T @ parts[s] for r, s in combinations(parts, 2)}


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(2, 4),
    st.sampled_from([0.0, 0.5, 2.0]),
    st.sampled_from([1e-3, 0.1, 5.0]),
    st.integers(0, 1000),
)
def test_maps_equal_scikit_learn_on_the_pooled_embeddings(
    factors, count, decay, ridge, seed
) -> None:
    parts = embeddings(factors, count, seed)
    model = CrossRetailerRidge.fit(gram_blocks(parts), list(parts), ridge=ridge, decay=decay)
    prior = np.array([(k + 1) ** -decay for k in range(factors)])
    for target in parts:
        sources = [name for name in parts if name != target]
        features = np.hstack([parts[name] * prior for name in sources])
        oracle = Ridge(alpha=ridge, fit_intercept=False, solver="svd").fit(features, parts[target])
        estimate = sum(parts[name] @ model.maps[name, target] for name in sources)
        expected = oracle.predict(features).reshape(estimate.shape)
        np.testing.assert_allclose(estimate, expected, atol=1e-10)
    assert len(model.maps) == count * (count - 1)


def test_the_comparison_sees_a_wrong_prior_or_ridge() -> None:
    parts = embeddings(5, 3)
    blocks = gram_blocks(parts)
    right = CrossRetailerRidge.fit(blocks, list(parts), ridge=0.1, decay=0.5)
    for other in ({"ridge": 0.2, "decay": 0.5}, {"ridge": 0.1, "decay": 0.6}):
        wrong = CrossRetailerRidge.fit(blocks, list(parts), **other)
        assert (
            np.abs(wrong.maps["grocer", "butcher"] - right.maps["grocer", "butcher"]).max() > 1e-3
        )


def test_transposed_blocks_are_noticed_in_the_result() -> None:
    parts = embeddings(4, 2)
    blocks = gram_blocks(parts)
    right = CrossRetailerRidge.fit(blocks, list(parts), ridge=0.1, decay=0.5)
    turned = {pair: block.T for pair, block in blocks.items()}
    wrong = CrossRetailerRidge.fit(turned, list(parts), ridge=0.1, decay=0.5)
    assert (
        np.abs(wrong.maps["grocer", "drugstore"] - right.maps["grocer", "drugstore"]).max() > 1e-2
    )


def test_joint_prior() -> None:
    np.testing.assert_allclose(joint_prior(3, 0.5), [1, 2**-0.5, 3**-0.5])
    np.testing.assert_array_equal(joint_prior(3, 0), [1, 1, 1])
    for arguments in ((0, 0.5), (3, -1), (3, float("nan"))):
        with pytest.raises(InvalidInput):
            joint_prior(*arguments)


def without(blocks, pair):
    return {key: block for key, block in blocks.items() if key != pair}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: without(b, ("grocer", "butcher")), "missing .*'grocer', 'butcher'"),
        (lambda b: {**b, ("butcher", "grocer"): np.eye(4)}, "superfluous .*'butcher', 'grocer'"),
        (lambda b: {**b, ("grocer", "butcher"): np.eye(5)}, r"got \(5, 5\)"),
        (lambda b: {**b, ("grocer", "butcher"): np.eye(4)[:3]}, r"got \(3, 4\)"),
        (lambda b: {**b, ("grocer", "butcher"): np.eye(4)[0]}, r"got \(4,\)"),
        (lambda b: {key: np.zeros((0, 0)) for key in b}, r"got \(0, 0\)"),
        (lambda b: {**b, ("grocer", "butcher"): np.eye(4) * np.nan}, "16 values NaN"),
        (lambda b: {key: block * 5 for key, block in b.items()}, "contradict each other"),
    ],
)
def test_bad_blocks_are_refused(change, message) -> None:
    parts = embeddings(4, 3)
    blocks = gram_blocks(parts)
    CrossRetailerRidge.fit(blocks, list(parts), ridge=0.1, decay=0.5)
    with pytest.raises(InvalidInput, match=message):
        CrossRetailerRidge.fit(change(blocks), list(parts), ridge=0.1, decay=0.5)


@pytest.mark.parametrize(
    ("retailers", "ridge", "decay"),
    [
        (["grocer"], 0.1, 0.5),
        (["grocer", "grocer"], 0.1, 0.5),
        (["grocer", "drugstore"], 0.0, 0.5),
        (["grocer", "drugstore"], float("inf"), 0.5),
        (["grocer", "drugstore"], 0.1, -0.5),
    ],
)
def test_bad_parameters_are_refused(retailers, ridge, decay) -> None:
    with pytest.raises(InvalidInput):
        CrossRetailerRidge.fit(gram_blocks(embeddings(3, 2)), retailers, ridge=ridge, decay=decay)


def test_model_validates_itself() -> None:
    parts = embeddings(3, 2)
    model = CrossRetailerRidge.fit(gram_blocks(parts), list(parts), ridge=0.1, decay=0.5)
    with pytest.raises(InvalidInput, match="not one map"):
        CrossRetailerRidge(model.retailers, {})
    with pytest.raises(TypeError):
        model.maps["grocer", "drugstore"] = np.eye(3)
