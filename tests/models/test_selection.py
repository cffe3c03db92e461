from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import Ridge

from hecf.errors import InvalidInput
from hecf.models import CrossRetailerRidge, LocalEmbedding
from hecf.models.cross_ridge import joint_prior
from hecf.models.selection import choose_penalty, choose_weighting

NAMES = ("a", "b", "c")


def embeddings(noise: float, shoppers: int = 120, factors: int = 3) -> dict[str, np.ndarray]:
    """Orthonormal columns that share tastes, up to noise."""
    generator = np.random.default_rng(5)
    tastes = generator.standard_normal((shoppers, factors))
    return {
        name: np.linalg.qr(tastes + noise * generator.standard_normal(tastes.shape))[0]
        for name in NAMES
    }


def blocks(rows: dict[str, np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    return {(r, s): rows[r].T @ rows[s] for r in NAMES for s in NAMES if r < s}


@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_score_equals_generalised_cross_validation_of_the_rows(ridge) -> None:
    rows = embeddings(0.5)
    found = choose_penalty(blocks(rows), NAMES, 120, ridges=[ridge], decays=[0.5])
    expected = 0.0
    for target in NAMES:
        sources = np.hstack([rows[name] for name in NAMES if name != target])
        scaled = sources * np.tile(joint_prior(3, 0.5), 2)
        model = Ridge(alpha=ridge, fit_intercept=False).fit(scaled, rows[target])
        hat = scaled @ np.linalg.solve(scaled.T @ scaled + ridge * np.eye(6), scaled.T)
        residual = ((rows[target] - model.predict(scaled)) ** 2).sum(axis=0)
        weights = 1 / np.arange(1, 4) ** 2.0
        expected += (weights * residual).sum() / (1 - np.trace(hat) / 120) ** 2
    assert found.score == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("used", [1, 2])
def test_fewer_columns_are_the_regression_on_shorter_embeddings(used) -> None:
    rows = embeddings(0.5)
    found = choose_penalty(blocks(rows), NAMES, 120, ridges=[0.3], decays=[0.5], used=[used])
    maps = CrossRetailerRidge.fit(blocks(rows), NAMES, ridge=0.3, decay=0.5, used=used).maps
    expected = 0.0
    for target in NAMES:
        names = [name for name in NAMES if name != target]
        scaled = np.hstack([rows[name][:, :used] for name in names])
        scaled = scaled * np.tile(joint_prior(used, 0.5), 2)
        model = Ridge(alpha=0.3, fit_intercept=False).fit(scaled, rows[target])
        mapped = sum(rows[name] @ maps[name, target] for name in names)
        np.testing.assert_allclose(mapped, model.predict(scaled), atol=1e-12)
        hat = scaled @ np.linalg.solve(scaled.T @ scaled + 0.3 * np.eye(2 * used), scaled.T)
        residual = ((rows[target] - model.predict(scaled)) ** 2).sum(axis=0)
        weights = 1 / np.arange(1, 4) ** 2.0
        expected += (weights * residual).sum() / (1 - np.trace(hat) / 120) ** 2
    assert found.used == used
    assert found.score == pytest.approx(expected, rel=1e-9)


def test_columns_of_noise_are_left_out() -> None:
    generator = np.random.default_rng(8)
    shared = generator.standard_normal((120, 2))
    noise = {name: generator.standard_normal((120, 6)) for name in NAMES}
    close = 0.3 * generator.standard_normal((120, 2))
    rows = {name: np.linalg.qr(np.hstack([shared + close, noise[name]]))[0] for name in NAMES}
    settings = {"ridges": [0.003], "decays": [0.0]}
    assert choose_penalty(blocks(rows), NAMES, 120, **settings).used == 2
    tastes = embeddings(0.05, factors=8)
    assert choose_penalty(blocks(tastes), NAMES, 120, **settings).used == 8
    with pytest.raises(InvalidInput, match=r"factors to use .*got 9"):
        choose_penalty(blocks(tastes), NAMES, 120, used=[9])


def test_noise_asks_for_more_ridge() -> None:
    quiet, noisy = (
        choose_penalty(blocks(embeddings(noise)), NAMES, 120, decays=[0.0]).ridge
        for noise in (0.05, 3.0)
    )
    assert quiet < noisy
    with pytest.raises(InvalidInput, match="nothing to choose"):
        choose_penalty(blocks(embeddings(1.0)), NAMES, 120, ridges=[])


def test_regression_with_rows_that_were_added() -> None:
    rows = embeddings(0.5)
    more = {name: values[:40] * 0.7 for name, values in embeddings(1.5).items()}
    own = {name: np.eye(3) + values.T @ values for name, values in more.items()}
    summed = {pair: block + blocks(more)[pair] for pair, block in blocks(rows).items()}
    found = CrossRetailerRidge.fit(summed, NAMES, ridge=0.2, decay=0.0, own=own)
    stacked = {name: np.vstack([rows[name], more[name]]) for name in NAMES}
    sources = np.hstack([stacked["a"], stacked["c"]])
    expected = Ridge(alpha=0.2, fit_intercept=False).fit(sources, stacked["b"]).coef_.T
    np.testing.assert_allclose(found.maps["a", "b"], expected[:3], atol=1e-9)
    np.testing.assert_allclose(found.maps["c", "b"], expected[3:], atol=1e-9)
    ignored = CrossRetailerRidge.fit(summed, NAMES, ridge=0.2, decay=0.0)
    assert np.abs(ignored.maps["a", "b"] - expected[:3]).max() > 1e-3


def test_weighting_follows_the_data() -> None:
    generator = np.random.default_rng(3)
    tastes = generator.standard_normal((300, 4)) @ generator.standard_normal((4, 40))
    chosen = (tastes > 1.0).astype(float)
    # Counts that say nothing make log1p worse; counts that carry the taste make it better.
    arbitrary = csr_array(chosen * np.exp(generator.normal(3, 3, chosen.shape)))
    assert choose_weighting(arbitrary, 4) == "binary"
    told = np.where(tastes > 2.0, 200.0, 0) + (generator.random(tastes.shape) < 0.5)
    assert choose_weighting(csr_array(told), 4) == "log1p"
    assert LocalEmbedding.fit(csr_array(told), 4, kind="log1p").kind == "log1p"
