"""Sums under agreed privacy: clipped at home, noisy before encryption, and debited."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dp_accounting
import numpy as np
import pytest
from coalitions import RETAILERS, TRANSPORTS, Coalition, make_terms, purchases
from scipy.sparse import csr_array

from hecf.errors import ConfigurationError, InvalidInput, LimitExceeded
from hecf.measure import Measurements
from hecf.models.als import contribution_norms, normal_equations
from hecf.models.item_gram import item_gram, packed, without_negative_part
from hecf.models.weights import interaction_weights, shortened
from hecf.privacy.accounting import noise_multiplier
from hecf.privacy.ledger import Ledger
from hecf.protocol.tasks import GramTask, SumTask, has_gram_task
from hecf.protocol.terms import Terms
from hecf.recipes.horizontal import HorizontalRetailer
from hecf.recommenders import (
    EASE,
    AlternatingLeastSquares,
    ItemKNN,
    MostPopular,
    PureSVD,
    Recommender,
)

EPSILON, DELTA = 4.0, 1e-6
ITEMS = 20


def private_terms(sums: int = 1, **changes: Any) -> Terms:
    mechanisms = max(1, sums + (changes.get("clip", 0) > 0))
    multiplier = noise_multiplier(EPSILON, DELTA, mechanisms)
    agreed = {"epsilon": EPSILON, "delta": DELTA, "noise_multiplier": multiplier, "sums": sums}
    return make_terms(**{"sum_clip": 3.0, "minimum_contributors": 3, **agreed, **changes})


def with_retailers(coalition: Coalition, act: Callable[[str, HorizontalRetailer], Any]) -> dict:
    """What every retailer gets, acting at once."""

    def take_part(name: str) -> Any:
        links = coalition.node(name), coalition.key_holder(name)
        return act(name, HorizontalRetailer(coalition.terms, name, *links, Measurements()))

    with ThreadPoolExecutor(len(RETAILERS)) as pool:
        running = {name: pool.submit(take_part, name) for name in RETAILERS}
        return {name: future.result() for name, future in running.items()}


def summed(coalition: Coalition, label: str, vectors: dict[str, np.ndarray]) -> np.ndarray:
    found = with_retailers(
        coalition, lambda name, add: add(label, vectors[name], value_bound=50.0, whole=True)
    )
    first, *others = found.values()
    assert all(np.array_equal(first, other) for other in others)
    return first


VECTORS = {
    name: np.random.default_rng(number).integers(-50, 51, 4000).astype(np.float64)
    for number, name in enumerate(RETAILERS)
}
TOTAL = sum(VECTORS.values())


@pytest.fixture
def start(tmp_path: Path) -> Any:
    begun: list[Coalition] = []

    def begin(terms: Terms, transport: str = "memory") -> Coalition:
        folder = tmp_path / str(len(begun))
        folder.mkdir()
        begun.append(TRANSPORTS[transport](terms, folder))
        return begun[-1]

    yield begin
    for coalition in begun:
        coalition.close()


@pytest.mark.parametrize(("scheme", "transport"), [("ckks", "grpc"), ("clear", "memory")])
def test_the_noise_of_a_released_sum_has_the_agreed_deviation(
    start: Any, scheme: str, transport: str
) -> None:
    terms = private_terms(scheme=scheme)
    coalition = start(terms, transport)
    noise = summed(coalition, "counts", VECTORS) - TOTAL
    # With all of the fewest contributors and no colluders, it is what the multiplier says.
    expected = terms.noise_multiplier * terms.sum_clip
    assert abs(noise.std() / expected - 1) < 0.05
    assert abs(noise.mean()) < 5 * expected / math.sqrt(noise.size)
    # The control: half of the budget would have needed much more.
    weaker = noise_multiplier(EPSILON / 2, DELTA) * terms.sum_clip
    assert abs(noise.std() / weaker - 1) > 0.3
    assert [debit[1:] for debit in coalition.debits] == [(0, terms.noise_multiplier)]


def test_without_privacy_sums_are_exact(start: Any) -> None:
    coalition = start(make_terms(scheme="ckks"))
    np.testing.assert_array_equal(summed(coalition, "counts", VECTORS), TOTAL)
    assert [debit[1:] for debit in coalition.debits] == [(0, 0.0)]


def test_enough_noise_is_left_when_a_recipient_takes_away_its_own(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = private_terms(colluders=1)
    added: list[np.ndarray] = []
    noisy = type(SumTask(terms, "alder", "any", 4000, 1e3).noise).noisy

    def recorded(self: Any, plan: Any, vector: np.ndarray, random: Any) -> np.ndarray:
        added.append(noisy(self, plan, vector, random) - vector)
        return vector + added[-1]

    monkeypatch.setattr("hecf.privacy.distributed.DistributedNoise.noisy", recorded)
    noise = summed(start(terms), "counts", VECTORS) - TOTAL
    expected = terms.noise_multiplier * terms.sum_clip
    assert abs((noise - added[0]).std() / expected - 1) < 0.05
    # The control: were two of them to collude, which the terms do not state, too little would be.
    assert (noise - added[0] - added[1]).std() / expected < 0.8


def test_the_ledger_says_what_dp_accounting_says_and_refuses_one_sum_more(start: Any) -> None:
    terms = private_terms(sums=3)
    coalition = start(terms)
    ledger = Ledger(terms.fingerprint, terms.releases, terms.epsilon, terms.delta)
    spent = []

    def debit(task: str, ciphertexts: int, multiplier: float) -> None:
        nonlocal ledger
        ledger = ledger.debit(
            epoch="ab" * 32,
            task=task,
            ciphertexts=ciphertexts,
            noise_multiplier=multiplier,
            time="now",
        )
        spent.append(ledger.spent_epsilon)

    coalition.holder_service._debit = debit
    for number in range(3):
        summed(coalition, f"counts-{number}", VECTORS)
    accountant = dp_accounting.rdp.RdpAccountant()
    for count, epsilon in enumerate(spent, 1):
        exact = dp_accounting.get_epsilon_gaussian(terms.noise_multiplier / math.sqrt(count), DELTA)
        assert abs(epsilon / exact - 1) < 1e-9
        # Another accountant, whose bound is looser, agrees from above.
        accountant.compose(dp_accounting.GaussianDpEvent(terms.noise_multiplier))
        assert exact < accountant.get_epsilon(DELTA) < 1.3 * exact
    assert abs(spent[-1] - EPSILON) < 1e-6
    assert spent[0] < 0.7 * EPSILON
    with pytest.raises(LimitExceeded, match="the privacy budget is used up"):
        summed(coalition, "counts-3", VECTORS)


@pytest.mark.parametrize("transport", sorted(TRANSPORTS))
@pytest.mark.parametrize(
    "model",
    [
        MostPopular(),
        ItemKNN(K=5),
        EASE(penalty=40.0),
        PureSVD(factors=3),
        AlternatingLeastSquares(factors=3, iterations=2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_recommenders_are_fitted_over_private_sums(
    start: Any, model: Recommender, transport: str
) -> None:
    data = {name: csr_array(purchases(number, 120, ITEMS)) for number, name in enumerate(RETAILERS)}
    terms = private_terms(sums=2)
    coalition = start(terms, transport)

    def fit(name: str, summation: HorizontalRetailer) -> Recommender:
        return type(model)(**model.get_params()).fit(data[name], summation)

    found = with_retailers(coalition, fit)
    ids, scores = found["birch"].recommend(
        np.arange(8), data["birch"][:8], N=5, recalculate_user=True
    )
    assert ids.shape == (8, 5)
    assert np.isfinite(scores[ids >= 0]).all()
    assert {debit[2] for debit in coalition.debits} == {terms.noise_multiplier}
    for name in type(model)._arrays:
        if not name.startswith("user_"):
            np.testing.assert_array_equal(
                getattr(found["alder"], name), getattr(found["cedar"], name)
            )


def test_what_is_summed_was_bounded_at_home(start: Any) -> None:
    data = {name: csr_array(purchases(number, 120, ITEMS)) for number, name in enumerate(RETAILERS)}
    terms = private_terms(sum_clip=1.0)
    found = with_retailers(
        start(terms), lambda name, summation: MostPopular().fit(data[name], summation)
    )
    dense = np.vstack([counts.toarray() > 0 for counts in data.values()]).astype(np.float64)
    bounded = (dense / np.maximum(1.0, np.linalg.norm(dense, axis=1, keepdims=True))).sum(axis=0)
    deviation = terms.noise_multiplier
    assert np.abs(found["alder"].buyers - bounded).max() < 6 * deviation
    # The control: what shoppers bought, without the bound, is far from it.
    assert np.abs(found["alder"].buyers - dense.sum(axis=0)).min() > 6 * deviation


def test_a_shopper_adds_no_more_than_the_bound() -> None:
    counts = csr_array(purchases(3, 150, ITEMS))
    binary = interaction_weights(counts, "binary")
    assert np.linalg.norm(binary.toarray(), axis=1).max() > 2.0
    norms = np.linalg.norm(shortened(binary, 2.0).toarray(), axis=1)
    assert norms.max() <= 2.0 + 1e-12
    for row in range(20):
        added = packed(item_gram(csr_array(counts[[row]]), "log1p", bound=3.0))
        assert np.linalg.norm(added) <= 3.0 + 1e-12
    # The control: without the bound a shopper adds more.
    assert np.linalg.norm(packed(item_gram(csr_array(counts[[0]]), "log1p"))) > 3.0
    np.testing.assert_array_equal(shortened(binary, math.inf).toarray(), binary.toarray())
    with pytest.raises(InvalidInput, match="a bound above 0"):
        shortened(binary, 0.0)


def test_the_norm_of_what_a_shopper_adds_to_the_equations_is_known() -> None:
    confidences = interaction_weights(csr_array(purchases(4, 30, ITEMS)), "log1p") * 4.0
    users = np.random.default_rng(5).standard_normal((30, 3))
    found = contribution_norms(csr_array(confidences), users)
    for row in range(30):
        one = users[[row]]
        matrices, right = normal_equations(csr_array(confidences[[row]].T), one)
        parts = (packed(one.T @ one), matrices.ravel(), right.ravel())
        assert abs(found[row] / np.linalg.norm(np.concatenate(parts)) - 1) < 1e-9
    halved = normal_equations(csr_array(confidences.T), users, np.full(30, 0.5))
    for part, whole in zip(halved, normal_equations(csr_array(confidences.T), users), strict=True):
        np.testing.assert_allclose(2 * part, whole, rtol=1e-12)


def test_the_negative_part_of_noise_is_taken_away() -> None:
    random = np.random.default_rng(6)
    rows = random.standard_normal((4, 9, 6))
    products = np.swapaxes(rows, -1, -2) @ rows
    np.testing.assert_allclose(without_negative_part(products), products, atol=1e-9)
    noisy = random.standard_normal((4, 6, 6))
    noisy = noisy + np.swapaxes(noisy, -1, -2)
    assert np.linalg.eigvalsh(noisy).min() < -1
    found = without_negative_part(noisy)
    assert np.linalg.eigvalsh(found).min() > -1e-9
    # It is the nearest: what was taken away is orthogonal to what is left.
    assert np.abs((found * (noisy - found)).sum(axis=(1, 2))).max() < 1e-9


def test_terms_that_agree_on_half_of_it_are_refused() -> None:
    for change in (
        {"sum_clip": 0.0},
        {"sums": 0},
        {"colluders": 3},
        {"colluders": -1},
        {"epsilon": 0.0},
        {"sum_clip": math.inf},
    ):
        with pytest.raises(ConfigurationError, match="out of range"):
            private_terms(**({"noise_multiplier": 1.0} | change))
    with pytest.raises(ConfigurationError, match="out of range"):
        make_terms(colluders=1)


def test_privacy_that_leaves_something_out_does_not_release_it_exactly() -> None:
    only_sums = private_terms()
    assert not has_gram_task(only_sums)
    with pytest.raises(InvalidInput, match="on no Gram blocks"):
        GramTask(only_sums)
    only_blocks = make_terms(epsilon=1.0, delta=1e-6, clip=1.5, noise_multiplier=4.2)
    with pytest.raises(InvalidInput, match="on no sums"):
        SumTask(only_blocks, "alder", "counts", 4, 1.0)
    with pytest.raises(InvalidInput, match="weighs its contributors"):
        SumTask(only_sums, "alder", "counts", 4, 1.0, weights=(1, 2, 1))
    # With blocks the shoppers are the same everywhere, so one of them moves a sum three times.
    both = private_terms(clip=1.5)
    sums, alone = both.sum_privacy, only_sums.sum_privacy
    assert sums is not None
    assert alone is not None
    assert sums.sensitivity(4, 10) == 3 * alone.sensitivity(4, 10)
    assert SumTask(make_terms(), "alder", "counts", 4, 1.0).noise is None
