"""Questions under one's own key about items of others: exact scores, and nothing beside them."""

from __future__ import annotations

import secrets
from dataclasses import replace

import numpy as np
import pytest
from encryption import keys_for, unit_item_model
from scipy.stats import chisquare

from hecf.errors import InvalidInput, MalformedMessage, Mismatch
from hecf.he import kernels
from hecf.he.ckks import generate_keys
from hecf.he.evaluator import CkksEvaluator
from hecf.he.matrices import EncryptedMatrix, EncryptedProduct
from hecf.he.modular import Float
from hecf.he.own_key.public_key import QuerierKey
from hecf.he.own_key.querier import CkksQuerier
from hecf.he.parameters import ParameterSet
from hecf.he.plan import LEFT
from hecf.he.product.plan import ProductPlan
from hecf.he.product.planner import plan_score
from hecf.he.product.tiles import encoded_items


def query_plan(shoppers: int = 1, items: int = 256, factors: int = 32) -> ProductPlan:
    return plan_score(
        scheme="ckks",
        factors=factors,
        shoppers=shoppers,
        items=items,
        retailers=1,
        operand_bound=1.0,
        precision=2.0**-20,
        statistical_bits=30,
        releases=256,
        special=False,
    )


def querier_for(plan: ProductPlan) -> CkksQuerier:
    return CkksQuerier(keys_for(plan.parameters)[0], secrets.token_bytes)


def answerer_for(plan: ProductPlan, querier: CkksQuerier) -> CkksEvaluator:
    key = QuerierKey.from_bytes(plan.parameters, querier.public_key())
    return CkksEvaluator(key.expanded, secrets.token_bytes)


def shoppers_of(plan: ProductPlan, seed: int = 1) -> Float:
    return np.random.default_rng(seed).uniform(-1, 1, (plan.inner, plan.left))


def raw_product(plan: ProductPlan, query: EncryptedMatrix, items: Float) -> np.ndarray:
    """What the kernel multiplies, before anything is concealed: (G, H, 2, L, N)."""
    return kernels.multiply(query.words, encoded_items(plan, items), plan.primes)


@pytest.mark.parametrize(("shoppers", "items", "factors"), [(1, 256, 32), (7, 30, 4), (40, 9, 3)])
def test_scores_are_those_of_numpy(shoppers: int, items: int, factors: int) -> None:
    plan = query_plan(shoppers, items, factors)
    querier = querier_for(plan)
    model, bias = unit_item_model(np.random.default_rng(2), factors, items)
    matrix = shoppers_of(plan)
    answer = answerer_for(plan, querier).score(querier.encrypt(plan, matrix), model, bias)
    flooded = answerer_for(plan, querier).drown(answer)
    travelled = EncryptedProduct.from_bytes(plan, flooded.to_bytes())
    np.testing.assert_allclose(querier.decrypt(travelled), matrix.T @ model + bias, atol=4e-6)
    stranger = CkksQuerier(generate_keys(plan.parameters)[0], secrets.token_bytes)
    assert np.abs(stranger.decrypt(travelled)).max() > 10


def test_an_answer_is_flooded_as_its_plan_says() -> None:
    plan = query_plan(16, 256, 8)
    querier = querier_for(plan)
    answerer = answerer_for(plan, querier)
    model, bias = unit_item_model(np.random.default_rng(3), plan.inner, plan.right)
    answer = answerer.score(querier.encrypt(plan, shoppers_of(plan)), model, bias)
    noise = querier.decrypt(answerer.drown(answer)) - querier.decrypt(answer)
    assert noise.size >= 4096
    assert np.std(noise) == pytest.approx(plan.flooding, rel=0.05)
    # It is there to hide what the noise of the answer tells of the items.
    assert np.std(noise) > 2**15 * plan.noise_bound / plan.scale


def test_one_raw_answer_shows_the_model_and_the_concealed_one_does_not() -> None:
    # One shopper asks for 256 scores; the component c_1 of the kernel's product is the querier's
    # own c_1 times the item polynomial, so a division shows all 32 x 256 factors.
    plan = query_plan()
    assert (plan.packing.left, plan.packing.inner) == (1, 32)
    querier = querier_for(plan)
    model, bias = unit_item_model(np.random.default_rng(4), plan.inner, plan.right)
    query = querier.encrypt(plan, shoppers_of(plan))
    while not query.words[0, 0, 1].all():
        query = querier.encrypt(plan, shoppers_of(plan))
    expected = encoded_items(plan, model)[0, 0, 0].astype(np.int64)

    def share(tail: np.ndarray) -> float:
        hits = []
        for index, prime in enumerate(plan.primes):
            own = query.words[0, 0, 1, index].astype(object)
            found = [
                int(c) * pow(int(a), -1, prime) % prime
                for c, a in zip(tail[index], own, strict=True)
            ]
            hits.append(np.mean(np.array(found) == expected[index]))
        return float(np.mean(hits))

    assert share(raw_product(plan, query, model)[0, 0, 1]) == 1.0
    answer = answerer_for(plan, querier).score(query, model, bias)
    assert share(answer.tail[0, 0, 0]) < 0.01
    prime = plan.primes[0]
    counts = np.bincount(answer.tail[0, 0, 0, 0].astype(np.int64) * 16 // prime, minlength=16)
    assert chisquare(counts).pvalue > 1e-6


def test_a_querier_chooses_no_half_of_its_key() -> None:
    plan = query_plan()
    querier = querier_for(plan)
    data = querier.public_key()
    key = QuerierKey.from_bytes(plan.parameters, data)
    assert key.to_bytes() == data
    # Under a second half of zeros the encryption of zero would add an error and hide nothing.
    assert key.expanded.words[1].all(axis=0).mean() > 0.99
    other = replace(key, seed=bytes(32))
    assert not np.array_equal(key.expanded.words[1], other.expanded.words[1])
    public = generate_keys(plan.parameters)[1]
    with pytest.raises(MalformedMessage):
        QuerierKey.from_bytes(plan.parameters, public.to_bytes())
    with pytest.raises(MalformedMessage):
        replace(key, seed=b"short")
    assert querier.public_key() != data


def test_what_does_not_fit_the_plan_is_refused() -> None:
    plan = query_plan()
    more = ParameterSet.with_data_primes(8192, 6, special=False)
    querier = querier_for(plan)
    with pytest.raises(InvalidInput):
        querier.encrypt(plan, shoppers_of(plan) * 2)
    with pytest.raises(InvalidInput):
        querier.encrypt(plan, np.full((plan.inner, 1), np.nan))
    with pytest.raises(Mismatch):
        querier.encrypt(replace(plan, scheme="clear"), shoppers_of(plan))
    with pytest.raises(Mismatch):
        querier.encrypt(replace(plan, parameters=more), shoppers_of(plan))
    assert querier.encrypt(plan, shoppers_of(plan)).side == LEFT
