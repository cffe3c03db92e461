from __future__ import annotations

import numpy as np
import pytest
from implicit.nearest_neighbours import CosineRecommender
from scipy.sparse import csr_array, csr_matrix
from sklearn.metrics.pairwise import cosine_similarity

from hecf.errors import InvalidInput
from hecf.models.als import initial_factors, normal_equations, row_factors
from hecf.models.ease import ease_weights
from hecf.models.item_gram import item_gram, packed, unpacked
from hecf.models.item_knn import cosine_neighbours


def counts(shoppers: int = 80, items: int = 20, seed: int = 1) -> csr_array:
    generator = np.random.default_rng(seed)
    return csr_array(generator.poisson(0.5, (shoppers, items)).astype(np.float64))


def test_gram_is_a_product_and_adds_up_over_disjoint_shoppers() -> None:
    whole = counts()
    dense = np.log1p(whole.toarray())
    np.testing.assert_allclose(item_gram(whole, "log1p"), dense.T @ dense, atol=1e-12)
    parts = [item_gram(csr_array(whole[rows])) for rows in (slice(0, 30), slice(30, 80))]
    np.testing.assert_array_equal(sum(parts), item_gram(whole))
    assert not np.array_equal(parts[0] * 2, item_gram(whole))


def test_triangle_and_back() -> None:
    gram = np.stack([item_gram(counts(seed=seed)) for seed in range(3)])
    assert packed(gram).shape == (3, 210)
    np.testing.assert_array_equal(unpacked(packed(gram), 20), gram)
    with pytest.raises(InvalidInput, match="got 209, expected 210"):
        unpacked(packed(gram)[:, :-1], 20)


def test_neighbours_equal_scikit_learn() -> None:
    whole = counts()
    expected = cosine_similarity(np.log1p(whole.toarray()).T)
    np.fill_diagonal(expected, 0)
    found = cosine_neighbours(item_gram(whole, "log1p"), 5).toarray()
    for row, (mine, all_of_them) in enumerate(zip(found, expected, strict=True)):
        best = np.argsort(-all_of_them)[:5]
        assert set(np.flatnonzero(mine)) == set(best), row
        np.testing.assert_allclose(mine[best], all_of_them[best], atol=1e-12)


@pytest.mark.filterwarnings("ignore:Method expects CSR")
def test_neighbours_equal_implicit() -> None:
    whole = counts()
    weights = csr_matrix(np.log1p(whole.toarray()))
    model = CosineRecommender(K=6, num_threads=1)
    model.fit(weights, show_progress=False)
    # implicit counts the item itself among its K neighbours.
    expected = model.similarity.toarray()
    np.fill_diagonal(expected, 0)
    found = cosine_neighbours(item_gram(whole, "log1p"), 5).toarray()
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_items_without_buyers_have_no_neighbours() -> None:
    dense = counts().toarray()
    dense[:, 3] = 0
    found = cosine_neighbours(item_gram(csr_array(dense)), 19)
    assert found[[3]].nnz == found[:, [3]].nnz == 0
    assert np.isfinite(found.data).all()


def test_ease_equals_a_regression_of_every_item_on_the_others() -> None:
    dense = (counts().toarray() > 0).astype(float)
    found = ease_weights(item_gram(csr_array(dense)), 7.0)
    for item in range(dense.shape[1]):
        others = np.delete(np.arange(dense.shape[1]), item)
        stacked = np.vstack([dense[:, others], np.sqrt(7.0) * np.eye(others.size)])
        aim = np.concatenate([dense[:, item], np.zeros(others.size)])
        expected = np.linalg.lstsq(stacked, aim, rcond=None)[0]
        np.testing.assert_allclose(found[others, item], expected, atol=1e-10)
        assert found[item, item] == 0


def test_normal_equations_solve_the_weighted_regression() -> None:
    generator = np.random.default_rng(3)
    factors = generator.standard_normal((20, 4))
    confidences = csr_array(counts() * 2.5)
    found = row_factors(confidences, factors, 0.7)
    dense = confidences.toarray()
    for row in range(5):
        weights = np.where(dense[row] > 0, dense[row], 1.0)
        left = factors.T @ (weights[:, None] * factors) + 0.7 * np.eye(4)
        right = factors.T @ (weights * (dense[row] > 0))
        np.testing.assert_allclose(found[row], np.linalg.solve(left, right), atol=1e-12)
    # Statistics of two groups of shoppers add up to those of both together.
    by_item = csr_array(confidences.T)
    shoppers = generator.standard_normal((80, 4))
    both = normal_equations(by_item, shoppers)
    parts = [
        normal_equations(csr_array(by_item[:, rows]), shoppers[rows])
        for rows in (slice(0, 30), slice(30, 80))
    ]
    for number in (0, 1):
        np.testing.assert_allclose(parts[0][number] + parts[1][number], both[number], atol=1e-10)


def test_start_of_the_factors_is_orthogonal() -> None:
    start = initial_factors(30, 8)
    gram = start.T @ start
    np.testing.assert_allclose(gram, np.diag(np.diagonal(gram)), atol=1e-12)
    assert np.diagonal(gram).min() > 0
    with pytest.raises(InvalidInput, match="30 factors, 30 items"):
        initial_factors(30, 30)


def test_unsuitable_matrices_are_refused() -> None:
    gram = item_gram(counts())
    for call in (lambda g: cosine_neighbours(g, 3), lambda g: ease_weights(g, 1.0)):
        with pytest.raises(InvalidInput, match="square"):
            call(gram[:, :-1])
        with pytest.raises(InvalidInput, match="finite"):
            call(gram * np.nan)
        with pytest.raises(InvalidInput, match="on the diagonal"):
            call(-gram)
    with pytest.raises(InvalidInput, match="penalty"):
        ease_weights(gram, 0.0)
    with pytest.raises(InvalidInput, match="neighbours"):
        cosine_neighbours(gram, 0)
    contradiction = np.array([[1.0, 9.0], [9.0, 1.0]])
    with pytest.raises(InvalidInput, match="contradict"):
        ease_weights(contradiction, 1.0)
