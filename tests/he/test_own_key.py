from __future__ import annotations

import secrets
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecf.errors import InvalidInput, MalformedMessage, Mismatch, ParameterError
from hecf.he import ckks, loops, ntt
from hecf.he.keys import SecretKey
from hecf.he.messages import HEADER_BYTES
from hecf.he.modular import centre
from hecf.he.own_key.client import OwnKeyClient
from hecf.he.own_key.messages import OwnKeyAnswer, OwnKeyQuery, expand
from hecf.he.own_key.node import OwnKeyNode
from hecf.he.own_key.plan import BATCH, OwnKeyPlan
from hecf.he.own_key.planner import plan_batch, plan_query
from hecf.he.own_key.seeds import SEED_BYTES
from hecf.he.parameters import ParameterSet
from hecf.he.secret import SecretCipher

LIBRARY = loops.LIBRARY
PLANS = {
    "batch of several groups": plan_batch(factors=5, shoppers=2100, items=13),
    "batch of large values": plan_batch(factors=64, shoppers=3, items=70, operand_bound=1e3),
    "batch of tiny values": plan_batch(factors=3, shoppers=7, items=8, operand_bound=1e-6),
    "packed query": plan_query(factors=50, items=900),
    "query of constants": plan_query(factors=6, items=5000, compact=False),
    "precise query": plan_query(factors=20, items=300, shoppers=3, precision=2**-18),
    "one of everything": plan_query(factors=1, items=1),
}


@lru_cache(maxsize=8)
def secret_for(parameters: ParameterSet) -> SecretKey:
    return ckks.generate_keys(parameters)[0]


def client_for(plan: OwnKeyPlan) -> OwnKeyClient:
    return OwnKeyClient(secret_for(plan.parameters), secrets.token_bytes)


def random_case(plan: OwnKeyPlan, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    shoppers = random.uniform(-1, 1, (plan.factors, plan.shoppers)) * plan.operand_bound
    items = random.standard_normal((plan.factors, plan.items))
    return shoppers, items / np.abs(items).sum(axis=0)


def extreme_case(plan: OwnKeyPlan) -> tuple[np.ndarray, np.ndarray]:
    """Largest values everywhere; every second item sits on one factor alone."""
    shoppers = np.full((plan.factors, plan.shoppers), plan.operand_bound)
    shoppers[:, 1::2] *= -1
    items = np.full((plan.factors, plan.items), 1 / plan.factors)
    items[:, 1::2] = 0
    items[-1, 1::2] = -1
    return shoppers, items


def scores_of(plan: OwnKeyPlan, shoppers: np.ndarray, items: np.ndarray) -> np.ndarray:
    """The whole way, over bytes."""
    client, node = client_for(plan), OwnKeyNode(plan, items)
    query = client.encrypt(plan, shoppers).to_bytes()
    assert len(query) == HEADER_BYTES + plan.query_bytes
    answer = node.evaluate(OwnKeyQuery.from_bytes(plan, query)).to_bytes()
    assert len(answer) == HEADER_BYTES + plan.answer_bytes
    return client.decrypt(OwnKeyAnswer.from_bytes(plan, answer))


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("case", ["random", "extreme"])
@pytest.mark.parametrize("library", [True, False])
def test_scores_are_those_of_numpy_within_the_bound(
    name: str, case: str, library: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = PLANS[name]
    monkeypatch.setattr(loops, "LIBRARY", LIBRARY if library else None)
    shoppers, items = random_case(plan) if case == "random" else extreme_case(plan)
    scores = scores_of(plan, shoppers, items)
    assert scores.shape == (plan.shoppers, plan.items)
    error = np.abs(scores - shoppers.T @ items).max()
    assert error <= plan.error_bound
    # The bound is no excuse: it is small against the scores, and other items break it.
    assert plan.error_bound <= 2**-10 * max(plan.operand_bound, 1)
    assert np.abs(scores + shoppers.T @ items).max() > plan.error_bound or not shoppers.any()


@pytest.mark.parametrize("name", PLANS)
def test_answers_do_not_depend_on_the_library(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = PLANS[name]
    shoppers, items = random_case(plan, 1)
    query = client_for(plan).encrypt(plan, shoppers)
    fast = OwnKeyNode(plan, items).evaluate(query)
    monkeypatch.setattr(loops, "LIBRARY", None)
    slow = OwnKeyNode(plan, items).evaluate(query)
    assert np.array_equal(fast.constant, slow.constant)
    assert np.array_equal(fast.tail, slow.tail)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 40),
    st.integers(1, 3),
    st.integers(1, 2500),
    st.booleans(),
    st.floats(1e-3, 1e3),
    st.integers(0, 2**32),
)
def test_any_sizes(
    factors: int, shoppers: int, items: int, batch: bool, bound: float, seed: int
) -> None:
    if batch:
        plan = plan_batch(
            factors=factors, shoppers=shoppers, items=items % 50 + 1, operand_bound=bound
        )
    else:
        plan = plan_query(
            factors=factors, shoppers=shoppers, items=items, operand_bound=bound, precision=bound
        )
    embeddings, matrix = random_case(plan, seed)
    error = np.abs(scores_of(plan, embeddings, matrix) - embeddings.T @ matrix).max()
    assert error <= plan.error_bound


def test_a_plan_that_understated_its_noise_would_be_caught() -> None:
    """The measured noise is nearer to the bound than the factor by which errors would shrink."""
    plan = PLANS["query of constants"]
    shoppers, items = random_case(plan)
    error = np.abs(scores_of(plan, shoppers, items) - shoppers.T @ items).max()
    assert plan.error_bound / 1000 < error


def test_a_shopper_is_not_scored_with_another_key() -> None:
    plan = PLANS["packed query"]
    shoppers, items = random_case(plan)
    answer = OwnKeyNode(plan, items).evaluate(client_for(plan).encrypt(plan, shoppers))
    stranger = OwnKeyClient(ckks.generate_keys(plan.parameters)[0], secrets.token_bytes)
    error = np.abs(stranger.decrypt(answer) - shoppers.T @ items)
    assert np.median(error) > 1000 * plan.error_bound


def test_a_query_decrypts_to_the_scaled_embedding() -> None:
    plan = PLANS["query of constants"]
    shoppers, _ = random_case(plan)
    query = client_for(plan).encrypt(plan, shoppers)
    words = np.stack([query.constant, query.tail], axis=2)
    cipher = SecretCipher(secret_for(plan.parameters), secrets.token_bytes)
    plain = cipher.decrypt(words)
    integers = np.rint(np.ldexp(shoppers[:, 0], plan.shopper_scale_bits)).astype(np.int64)
    for index, prime in enumerate(plan.parameters.primes):
        difference = (plain[0, :, index, 0].astype(np.int64) - integers) % prime
        assert np.minimum(difference, prime - difference).max() <= 21


def test_two_queries_of_the_same_shopper_share_nothing() -> None:
    plan = PLANS["packed query"]
    shoppers, _ = random_case(plan)
    client = client_for(plan)
    first, second = client.encrypt(plan, shoppers), client.encrypt(plan, shoppers)
    assert first.seed != second.seed
    assert np.mean(first.constant == second.constant) < 0.001
    assert np.mean(first.tail == second.tail) < 0.001
    assert np.array_equal(first.tail, expand(first.seed, plan))


def test_expanded_seeds_are_uniform() -> None:
    plan = PLANS["batch of several groups"]
    words = expand(bytes(SEED_BYTES), plan)
    for index, prime in enumerate(plan.parameters.primes):
        part = words[:, :, index].ravel()
        counts, _ = np.histogram(part, bins=64, range=(0, prime))
        expected = part.size / 64
        assert int(part.max()) < prime
        # Chi-square of 63 degrees of freedom: 140 has a probability below 1e-7.
        assert ((counts - expected) ** 2 / expected).sum() < 140


def test_only_useful_coefficients_of_the_constant_travel() -> None:
    plan = PLANS["packed query"]
    assert plan.inner > 1
    assert plan.constant_shape[-1] == plan.parameters.ring_degree // plan.inner


def test_answers_reveal_items_as_plaintext_answers_would() -> None:
    """The leak that the documentation states: as many independent shoppers as factors."""
    plan = plan_query(factors=6, items=40, shoppers=6)
    _, items = random_case(plan)
    shoppers = np.eye(6)
    assert np.abs(scores_of(plan, shoppers, items) - items).max() <= plan.error_bound


@pytest.mark.parametrize("name", ["packed query", "batch of several groups"])
def test_hostile_bytes_are_refused(name: str) -> None:
    plan = PLANS[name]
    shoppers, items = random_case(plan)
    query = client_for(plan).encrypt(plan, shoppers)
    answer = OwnKeyNode(plan, items).evaluate(query)
    other = replace(plan, operand_bound=plan.operand_bound * 0.5)
    for message in (query, answer):
        data, parse = message.to_bytes(), type(message).from_bytes
        again = parse(plan, data)
        assert again.to_bytes() == data
        for bad in (b"", data[:-1], data + b"\0", b"X" + data[1:], data[:6] + b"\x09" + data[7:]):
            with pytest.raises(MalformedMessage):
                parse(plan, bad)
        with pytest.raises(MalformedMessage, match="below"):
            parse(plan, data[:-3] + b"\xff\xff\xff")
        with pytest.raises(Mismatch):
            parse(other, data)
    with pytest.raises(MalformedMessage, match="seed"):
        OwnKeyQuery(plan, b"short", query.constant)
    with pytest.raises(MalformedMessage, match="shape"):
        OwnKeyQuery(plan, query.seed, query.constant[:, :, :, 1:])
    with pytest.raises(MalformedMessage, match="shape"):
        OwnKeyAnswer(plan, answer.constant, answer.tail.astype(np.uint64))


def test_bad_operands_are_refused_by_name() -> None:
    plan = PLANS["packed query"]
    shoppers, items = random_case(plan)
    client, node = client_for(plan), OwnKeyNode(plan, items)
    for bad in (shoppers[1:], shoppers * np.nan, shoppers * 1.1 / np.abs(shoppers).max()):
        with pytest.raises(InvalidInput):
            client.encrypt(plan, bad)
    for bad in (items[1:], items * np.inf, items * 1.001):
        with pytest.raises(InvalidInput):
            OwnKeyNode(plan, bad)
    foreign = PLANS["query of constants"]
    with pytest.raises(Mismatch):
        node.evaluate(client_for(foreign).encrypt(foreign, random_case(foreign)[0]))
    batch = PLANS["batch of several groups"]
    with pytest.raises(Mismatch):
        client.encrypt(batch, random_case(batch)[0])
    with pytest.raises(Mismatch):
        client.decrypt(
            OwnKeyNode(batch, random_case(batch)[1]).evaluate(
                client_for(batch).encrypt(batch, random_case(batch)[0])
            )
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"layout": "other"},
        {"items": 0},
        {"operand_bound": 0.0},
        {"operand_bound": float("nan")},
        {"operand_bound": 1e9},
        {"answer_level": 0},
        {"answer_level": 3},
        {"inner": 3},
        {"inner": 1 << 20},
        {"shopper_scale_bits": 0},
        {"shopper_scale_bits": 61},
        {"item_scale_bits": 40},
    ],
)
def test_impossible_plans_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        replace(PLANS["packed query"], **changes)


def test_a_batch_that_float64_cannot_hold_is_refused() -> None:
    plan = PLANS["batch of several groups"]
    with pytest.raises(ParameterError, match="float64"):
        replace(plan, item_scale_bits=plan.item_scale_bits + 2, shopper_scale_bits=1)
    with pytest.raises(ParameterError, match="chain"):
        replace(plan, answer_level=2)
    with pytest.raises(ParameterError, match="precision"):
        plan_query(factors=8, items=100, precision=1e-30)
    assert plan.layout == BATCH


def test_plans_differ_in_fingerprint_by_every_field() -> None:
    plan = PLANS["packed query"]
    others = [
        replace(plan, factors=49),
        replace(plan, items=899),
        replace(plan, shoppers=2),
        replace(plan, operand_bound=0.5),
        replace(plan, shopper_scale_bits=plan.shopper_scale_bits - 1),
        replace(plan, item_scale_bits=plan.item_scale_bits - 1),
    ]
    assert len({plan.fingerprint, *(other.fingerprint for other in others)}) == 7


def test_seal_decrypts_a_seeded_query() -> None:
    from hecf.he.seal import SealContext

    plan = PLANS["precise query"]
    shoppers, _ = random_case(plan)
    query = client_for(plan).encrypt(plan, shoppers)
    decryptor = SealContext(plan.parameters).decryptor(secret_for(plan.parameters).expose())
    # SEAL keeps the last prime of its chain for keys, so its ciphertexts have the others.
    words = np.stack([query.constant[0, 0, :-1], query.tail[0, 0, :-1]])
    cipher = SecretCipher(secret_for(plan.parameters), secrets.token_bytes)
    for index, prime in enumerate(plan.parameters.primes[:-1]):
        values = centre(decryptor.decrypt(words)[index], prime)
        plain = ntt.transform(plan.parameters.ring_degree, prime).inverse(values)
        assert np.array_equal(plain, cipher.decrypt(words)[index])
