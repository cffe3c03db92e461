from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.decomposition import TruncatedSVD

from hecf.errors import InvalidInput
from hecf.models import embedding
from hecf.models.embedding import LocalEmbedding


def purchases(shoppers: int = 120, items: int = 40, seed: int = 3) -> csr_array:
    """Counts with popularity skew; every tenth shopper never came in."""
    generator = np.random.default_rng(seed)
    rates = generator.gamma(0.4, size=(shoppers, 6)) @ generator.gamma(0.4, size=(6, items))
    counts = generator.poisson(rates).astype(np.float64)
    counts[::10] = 0
    return csr_array(counts)


def scaled(counts: csr_array, kind: str, power: float):
    """The matrix that is factored, by plain loops over columns."""
    dense = counts.toarray()
    present = dense.sum(axis=1) > 0
    weights = (dense > 0).astype(float) if kind == "binary" else np.log1p(dense)
    weights = weights[present]
    mean = weights.mean(axis=0)
    scale = np.array([(np.std(column) + 0.01) ** power for column in weights.T])
    return present, (weights - mean) / scale, mean, scale


@pytest.mark.parametrize("kind", ["binary", "log1p"])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_embedding_equals_scikit_learn(kind, power) -> None:
    counts = purchases()
    model = LocalEmbedding.fit(counts, 5, kind=kind, column_power=power)
    present, matrix, mean, scale = scaled(counts, kind, power)
    oracle = TruncatedSVD(5, algorithm="arpack", tol=0, random_state=0).fit(matrix)
    rank_five = oracle.inverse_transform(oracle.transform(matrix))
    np.testing.assert_allclose(model.mean, mean, atol=1e-13)
    np.testing.assert_allclose(model.shoppers[present] @ model.items, rank_five * scale, atol=1e-9)
    np.testing.assert_allclose(
        model.scores(model.shoppers[present]), rank_five * scale + mean, atol=1e-9
    )
    # The tolerance is alive: one factor fewer is visibly another model.
    fewer = LocalEmbedding.fit(counts, 4, kind=kind, column_power=power)
    assert np.abs(fewer.shoppers[present] @ fewer.items - rank_five * scale).max() > 1e-3


def test_columns_are_orthonormal_and_absent_rows_zero() -> None:
    counts = purchases()
    model = LocalEmbedding.fit(counts, 6)
    np.testing.assert_allclose(model.shoppers.T @ model.shoppers, np.eye(6), atol=1e-12)
    absent = counts.toarray().sum(axis=1) == 0
    assert absent.sum() >= 12
    assert not model.shoppers[absent].any()
    assert np.abs(model.shoppers[~absent]).sum(axis=1).min() > 0
    # Centred columns make every factor sum to zero over the shoppers who came in.
    np.testing.assert_allclose(model.shoppers.sum(axis=0), 0, atol=1e-12)


def test_signs_do_not_depend_on_the_order_of_shoppers() -> None:
    counts = purchases()
    model = LocalEmbedding.fit(counts, 6)
    _, _, _, scale = scaled(counts, "binary", 0.5)
    right = model.items / scale
    assert (right[np.arange(6), np.abs(right).argmax(axis=1)] > 0).all()
    order = np.random.default_rng(1).permutation(counts.shape[0])
    shuffled = LocalEmbedding.fit(csr_array(counts[order]), 6)
    np.testing.assert_allclose(shuffled.shoppers, model.shoppers[order], atol=1e-10)
    np.testing.assert_allclose(shuffled.items, model.items, atol=1e-10)


@pytest.mark.parametrize("shape", [(150, 60), (60, 150)])
def test_sparse_path_equals_dense_path(monkeypatch, shape) -> None:
    counts = purchases(*shape)
    dense = LocalEmbedding.fit(counts, 6)
    monkeypatch.setattr(embedding, "DENSE_ENTRIES", 0)
    monkeypatch.setattr(embedding, "_dense_factors", None)
    sparse = LocalEmbedding.fit(counts, 6)
    np.testing.assert_allclose(sparse.shoppers, dense.shoppers, atol=1e-8)
    np.testing.assert_allclose(sparse.items, dense.items, atol=1e-8)
    again = LocalEmbedding.fit(counts, 6)
    np.testing.assert_array_equal(again.shoppers, sparse.shoppers)


@pytest.mark.parametrize("factors", [0, -1, 40, 500])
def test_too_many_factors_are_refused(factors) -> None:
    with pytest.raises(InvalidInput, match=f"got {factors} factors, .* 40 items, expected 1 to 39"):
        LocalEmbedding.fit(purchases(), factors)


def test_present_shoppers_limit_the_factors() -> None:
    counts = purchases(30, 40)
    with pytest.raises(InvalidInput, match="27 shoppers with interactions"):
        LocalEmbedding.fit(counts, 27)
    with pytest.raises(InvalidInput, match="0 shoppers with interactions"):
        LocalEmbedding.fit(csr_array((10, 10)), 2)


@pytest.mark.parametrize("entries", [0, 10**9])
def test_too_few_directions_are_refused(monkeypatch, entries) -> None:
    monkeypatch.setattr(embedding, "DENSE_ENTRIES", entries)
    generator = np.random.default_rng(0)
    tastes = np.kron(np.eye(3), np.ones(5))
    counts = csr_array(tastes[generator.integers(0, 3, 50)])
    assert LocalEmbedding.fit(counts, 2).factors == 2
    with pytest.raises(InvalidInput, match="got 4 factors, expected at most 2"):
        LocalEmbedding.fit(counts, 4)
    with pytest.raises(InvalidInput, match="expected at most 0"):
        LocalEmbedding.fit(csr_array(np.ones((50, 8))), 2)


def test_other_arguments_are_refused() -> None:
    counts = purchases()
    with pytest.raises(InvalidInput, match="got tfidf"):
        LocalEmbedding.fit(counts, 3, kind="tfidf")
    with pytest.raises(InvalidInput, match="column_power"):
        LocalEmbedding.fit(counts, 3, column_power=float("nan"))
    model = LocalEmbedding.fit(counts, 3)
    with pytest.raises(InvalidInput, match="expected 3 columns"):
        model.scores(np.zeros((2, 4)))


def test_embedding_validates_itself() -> None:
    good = LocalEmbedding.fit(purchases(), 3)
    rest = (good.scale, good.kind)
    with pytest.raises(InvalidInput, match="not orthonormal"):
        LocalEmbedding(good.shoppers * 1.001, good.items, good.mean, *rest)
    with pytest.raises(InvalidInput, match=r"expected shape \(3, 40\)"):
        LocalEmbedding(good.shoppers, good.items[:2], good.mean, *rest)
    with pytest.raises(InvalidInput, match="mean of a local embedding"):
        LocalEmbedding(good.shoppers, good.items, good.mean * np.nan, *rest)
    with pytest.raises(InvalidInput, match="40 positive numbers"):
        LocalEmbedding(good.shoppers, good.items, good.mean, -good.scale, good.kind)


@pytest.mark.parametrize("kind", ["binary", "log1p"])
def test_folding_in_gives_the_rows_of_the_fit(kind) -> None:
    counts = purchases()
    model = LocalEmbedding.fit(counts, 3, kind=kind)
    np.testing.assert_allclose(model.fold_in(counts), model.shoppers, atol=1e-10)
    nobody = csr_array((2, 40))
    np.testing.assert_array_equal(model.fold_in(nobody), np.zeros((2, 3)))
    # A new shopper with the basket of an old one gets her row.
    np.testing.assert_allclose(
        model.fold_in(csr_array(counts)[[5]]), model.shoppers[[5]], atol=1e-10
    )
    with pytest.raises(InvalidInput, match="got 7 items, expected 40"):
        model.fold_in(csr_array((1, 7)))
