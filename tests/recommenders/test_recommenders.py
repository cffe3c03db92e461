from __future__ import annotations

import inspect
import zipfile

import numpy as np
import pytest
from implicit.als import AlternatingLeastSquares as ImplicitALS
from implicit.nearest_neighbours import CosineRecommender
from implicit.recommender_base import RecommenderBase
from scipy.sparse import csr_array, csr_matrix
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from threadpoolctl import threadpool_limits

from hecf.data import UserItems
from hecf.errors import InvalidInput
from hecf.models.als import initial_factors
from hecf.recommenders import EASE, AlternatingLeastSquares, ItemKNN, MostPopular, PureSVD

MODELS = [
    MostPopular(),
    ItemKNN(K=5),
    ItemKNN(K=5, weighting="log1p"),
    EASE(penalty=20.0),
    AlternatingLeastSquares(factors=4, iterations=3),
    PureSVD(factors=4),
]
USERS = np.arange(6)


def counts(shoppers: int = 80, items: int = 20, seed: int = 1) -> csr_array:
    generator = np.random.default_rng(seed)
    dense = generator.poisson(0.5, (shoppers, items)).astype(np.float64)
    dense[np.arange(shoppers), np.arange(shoppers) % items] += 1
    return csr_array(dense)


@pytest.fixture(params=MODELS, ids=repr)
def model(request):
    return clone(request.param).fit(counts())


@pytest.mark.filterwarnings("ignore:Method expects CSR")
def test_neighbours_recommend_as_implicit() -> None:
    weights = csr_matrix(np.log1p(counts().toarray()))
    theirs = CosineRecommender(K=6, num_threads=1)
    theirs.fit(weights, show_progress=False)
    mine = ItemKNN(K=5, weighting="log1p").fit(counts())
    for users in (3, USERS):
        rows = np.atleast_1d(users)
        expected = theirs.recommend(users, weights[rows], N=7)
        found = mine.recommend(users, counts()[rows], N=7)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-9)
    similar, expected = mine.similar_items(4, N=4), theirs.similar_items(4, N=4)
    np.testing.assert_array_equal(similar[0], expected[0])
    np.testing.assert_allclose(similar[1], expected[1], rtol=1e-9)
    only = np.array([1, 5, 9, 12])
    options = {"filter_already_liked_items": False, "items": only}
    # With items given, implicit ranks all of them, whatever N.
    expected = theirs.recommend(2, weights[[2]], N=4, **options)[0]
    np.testing.assert_array_equal(mine.recommend(2, counts()[[2]], N=4, **options)[0], expected)
    filtered = theirs.recommend(2, weights[[2]], N=3, filter_items=[int(expected[0])])[0]
    again = mine.recommend(2, counts()[[2]], N=3, filter_items=[int(expected[0])])[0]
    np.testing.assert_array_equal(again, filtered[:3])


def test_factors_equal_implicit() -> None:
    weights = csr_matrix((counts().toarray() > 0).astype(np.float64))
    settings = {"factors": 4, "regularization": 0.5, "alpha": 3.0, "iterations": 4}
    with threadpool_limits(1, "blas"):
        theirs = ImplicitALS(
            **settings, use_cg=False, use_native=False, dtype=np.float64, num_threads=1
        )
        theirs.item_factors = initial_factors(20, 4)
        theirs.user_factors = np.zeros((80, 4))
        theirs.fit(weights, show_progress=False)
    mine = AlternatingLeastSquares(**settings).fit(counts())
    np.testing.assert_allclose(mine.item_factors, theirs.item_factors, atol=1e-8)
    # implicit ends with the item step, and computes users anew on demand.
    expected = theirs.recommend(USERS, weights[USERS], N=5, recalculate_user=True)
    found = mine.recommend(USERS, counts()[USERS], N=5)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], atol=1e-6)
    again = mine.recommend(USERS, counts()[USERS], N=5, recalculate_user=True)
    np.testing.assert_allclose(again[1], found[1], atol=1e-12)
    similar, expected = mine.similar_items(3, N=4), theirs.similar_items(3, N=4)
    np.testing.assert_array_equal(similar[0], expected[0])
    np.testing.assert_allclose(similar[1], expected[1], atol=1e-6)


@pytest.mark.parametrize("weighting", ["binary", "log1p"])
def test_axes_are_those_of_truncated_decomposition(weighting) -> None:
    dense = counts().toarray()
    weights = (dense > 0).astype(np.float64) if weighting == "binary" else np.log1p(dense)
    theirs = TruncatedSVD(n_components=4, algorithm="arpack", random_state=0).fit(weights)
    mine = PureSVD(factors=4, weighting=weighting).fit(counts())
    np.testing.assert_allclose(mine.strengths, theirs.singular_values_, rtol=1e-9)
    # An axis has no sign of its own.
    cosines = np.abs(mine.item_factors.T @ theirs.components_.T)
    np.testing.assert_allclose(cosines, np.eye(4), atol=1e-9)
    approximate = theirs.inverse_transform(theirs.transform(weights))
    options = {"N": 20, "filter_already_liked_items": False}
    ids, scores = mine.recommend(USERS, counts()[USERS], **options)
    expected = np.take_along_axis(approximate[USERS], ids, axis=1)
    np.testing.assert_allclose(scores, expected, atol=1e-9)
    again = mine.recommend(USERS, counts()[USERS], recalculate_user=True, **options)
    np.testing.assert_allclose(again[1], scores, atol=1e-9)
    # Users and items are as alike as the approximate matrix says, by the norms of the true one.
    for found, table, true in (
        (mine.similar_users(3, N=9), approximate, weights),
        (mine.similar_items(3, N=9), approximate.T, weights.T),
    ):
        norms = np.linalg.norm(true, axis=1)
        alike = table @ table[3] / (norms * norms[3])
        np.testing.assert_allclose(found[1], np.sort(alike)[::-1][:9], atol=1e-9)
        np.testing.assert_allclose(found[1], alike[found[0]], atol=1e-9)


def test_axes_have_one_sign_and_must_be_as_few_as_items() -> None:
    mine = PureSVD(factors=20).fit(counts())
    largest = mine.item_factors[np.abs(mine.item_factors).argmax(axis=0), np.arange(20)]
    assert (largest > 0).all()
    for factors in (0, 21):
        with pytest.raises(InvalidInput, match="1 to 20 factors"):
            PureSVD(factors=factors).fit(counts())


def test_popularity_counts_buyers() -> None:
    ids, scores = (
        MostPopular()
        .fit(counts())
        .recommend(0, counts()[[0]], N=20, filter_already_liked_items=False)
    )
    buyers = (counts().toarray() > 0).sum(axis=0)
    np.testing.assert_array_equal(ids, np.argsort(-buyers, kind="stable"))
    np.testing.assert_array_equal(scores, buyers[ids])


def test_shapes_and_kinds_are_those_of_implicit(model) -> None:
    ids, scores = model.recommend(2, counts()[[2]], N=4)
    assert (ids.shape, ids.dtype, scores.shape) == ((4,), np.int32, (4,))
    many, many_scores = model.recommend(USERS, counts()[USERS], N=4)
    np.testing.assert_array_equal(many[2], ids)
    np.testing.assert_allclose(many_scores[2], scores, atol=1e-12)
    assert not set(ids) & set(counts()[[2]].indices)
    everything, rest = model.recommend(2, counts()[[2]], N=50)
    bought = np.diff(counts()[[2]].indptr)[0]
    assert (everything[-bought:] == -1).all()
    assert np.isneginf(rest[-bought:]).all()


def parameters(call) -> list[tuple[str, object]]:
    """Names and defaults in their order."""
    found = inspect.signature(call).parameters.values()
    return [(parameter.name, parameter.default) for parameter in found]


@pytest.mark.parametrize("call", ["recommend", "similar_items", "similar_users"])
def test_calls_have_the_parameters_of_implicit(model, call) -> None:
    expected = parameters(getattr(RecommenderBase, call))
    assert parameters(getattr(type(model), call)) == expected
    # Another call of the same class has others.
    assert parameters(type(model).fit) != expected


def test_recalculated_items_equal_implicit() -> None:
    theirs = ImplicitALS(factors=4, regularization=0.5, alpha=3.0, use_native=False, num_threads=1)
    mine = AlternatingLeastSquares(factors=4, regularization=0.5, alpha=3.0).fit(counts())
    with threadpool_limits(1, "blas"):
        theirs.user_factors, theirs.item_factors = (
            factors.astype(np.float32) for factors in (mine.user_factors, mine.item_factors)
        )
        new = csr_matrix((counts(seed=5).toarray().T[:2] > 0).astype(np.float32))
        expected = theirs.similar_items(
            np.array([3, 4]), N=6, recalculate_item=True, item_users=new
        )
    found = mine.similar_items([3, 4], N=6, recalculate_item=True, item_users=new)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], atol=1e-4)
    known = mine.similar_items([3, 4], N=6)
    assert np.abs(known[1] - found[1]).max() > 0.01
    # An item of the fit is found again from its own users.
    svd = PureSVD(factors=4).fit(counts())
    again = svd.similar_items(7, N=6, recalculate_item=True, item_users=csr_array(counts().T)[[7]])
    for one, other in zip(again, svd.similar_items(7, N=6), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)
    with pytest.raises(InvalidInput, match="cannot recalculate an item"):
        EASE().fit(counts()).similar_items([1, 2], recalculate_item=True, item_users=new)
    with pytest.raises(InvalidInput, match="do not go together"):
        svd.similar_items(1, recalculate_item=True)
    with pytest.raises(InvalidInput, match="one row of counts for each item"):
        svd.similar_items(1, recalculate_item=True, item_users=new)
    with pytest.raises(InvalidInput, match="other users than the fit"):
        svd.similar_items(1, recalculate_item=True, item_users=new[[0], :7])


def test_similar_users_among_some() -> None:
    model = AlternatingLeastSquares(factors=4).fit(counts())
    everybody, scores = model.similar_users(7, N=80)
    order = dict(zip(everybody.tolist(), scores.tolist(), strict=True))
    ids, found = model.similar_users(7, N=3, users=[2, 9, 30, 41], filter_users=[9])
    assert ids.tolist() == sorted({2, 30, 41}, key=lambda user: -order[user])
    np.testing.assert_allclose(found, [order[user] for user in ids.tolist()])
    assert model.similar_users([7, 8], N=5, filter_users=[])[0].shape == (2, 5)


def test_saved_models_recommend_alike(model, tmp_path) -> None:
    named = UserItems.from_csr(counts(), item_ids=[f"item {n}" for n in range(20)])
    model.fit(named)
    model.save(tmp_path / "model.npz")
    again = type(model).load(tmp_path / "model.npz")
    assert again.get_params() == model.get_params()
    assert again.item_ids == named.item_ids
    for before, after in zip(
        model.recommend(USERS, counts()[USERS]),
        again.recommend(USERS, counts()[USERS]),
        strict=True,
    ):
        np.testing.assert_array_equal(before, after)
    with zipfile.ZipFile(tmp_path / "model.npz") as archive:
        assert not any(b"pickle" in archive.read(name) for name in archive.namelist())
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


def test_files_of_something_else_are_refused(tmp_path) -> None:
    EASE().fit(counts()).save(tmp_path / "ease.npz")
    with pytest.raises(InvalidInput, match="got EASE of version 1, expected ItemKNN"):
        ItemKNN.load(tmp_path / "ease.npz")
    with pytest.raises(InvalidInput, match="there is no file"):
        EASE.load(tmp_path / "none.npz")
    whole = (tmp_path / "ease.npz").read_bytes()
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    for content in (
        b"",
        b"junk",
        whole[: len(whole) // 2],
        (tmp_path / "objects.npy").read_bytes(),
    ):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(InvalidInput, match="no saved recommender"):
            EASE.load(tmp_path / "bad.npz")


def test_parameters_are_those_of_scikit_learn() -> None:
    model = EASE(penalty=3.0)
    assert clone(model).get_params() == {"penalty": 3.0, "weighting": "binary"}
    assert model.set_params(penalty=4.0).penalty == 4.0
    assert repr(model) == "EASE(penalty=4.0, weighting='binary')"
    with pytest.raises(InvalidInput, match="got lambda_, expected some of penalty, weighting"):
        model.set_params(lambda_=1)


def test_what_cannot_be_used_is_refused(model) -> None:
    with pytest.raises(InvalidInput, match="one row of counts for each user"):
        model.recommend([1, 2], counts()[[1]])
    with pytest.raises(InvalidInput, match="another catalogue"):
        model.recommend(1, counts(items=7)[[1]])
    with pytest.raises(InvalidInput, match="got ndarray"):
        model.recommend(1, counts().toarray())
    with pytest.raises(InvalidInput, match="N is out of range"):
        model.recommend(1, counts()[[1]], N=0)
    with pytest.raises(InvalidInput, match="indices from 0 to 19"):
        model.recommend(1, counts()[[1]], items=[20])
    with pytest.raises(InvalidInput, match="not fitted"):
        clone(model).recommend(1, counts()[[1]])


def test_similar_users() -> None:
    model = AlternatingLeastSquares(factors=4).fit(counts())
    directions = model.user_factors / np.linalg.norm(model.user_factors, axis=1)[:, None]
    ids, scores = model.similar_users(7, N=5)
    expected = directions @ directions[7]
    assert ids[0] == 7
    np.testing.assert_allclose(scores, np.sort(expected)[::-1][:5], atol=1e-12)
    with pytest.raises(InvalidInput, match="out of range"):
        model.similar_users(80)
    with pytest.raises(InvalidInput, match="keeps no users"):
        EASE().fit(counts()).similar_users(1)
    with pytest.raises(InvalidInput, match="recalculate_user"):
        model.recommend(90, counts()[[3]])
    with pytest.raises(InvalidInput, match="nothing of similarity"):
        MostPopular().fit(counts()).similar_items(1)
