"""Products with a clear operand; NumPy in clear and Python's integers are the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paillier_party import Party
from scipy.sparse import csr_array, random_array

from hecf.errors import HecfError, InvalidInput, MalformedMessage, Mismatch, ParameterError
from hecf.he.paillier.arithmetic import from_octets, gmpy2, mpz
from hecf.he.paillier.matrices import PaillierProduct
from hecf.he.paillier.multiexponent import ColumnProducts
from hecf.he.paillier.planner import best_window, node_work, plan_paillier_product
from hecf.he.paillier.product_plan import GRAM, SCORE, SIMILARITY
from hecf.he.plan import LEFT
from hecf.he.scheme import scheme_by_name
from hecf.privacy.policy import ReleasePolicy
from hecf.privacy.release import ReleaseGate

SCHEME = scheme_by_name("paillier")


def run(party: Party, plan, left, right, bias=None):
    """A product over the wire: what the owner of the key reads."""
    upload = party.encryptor.encrypt(party.encryptor.encode(plan, LEFT, left)).to_bytes()
    operand = SCHEME.operand(plan, LEFT, upload)
    if bias is None:
        product = getattr(party.evaluator, plan.operation)(operand, right)
    else:
        product = party.evaluator.score(operand, right, bias)
    answer = SCHEME.product(plan, product.to_bytes())
    assert len(answer.to_bytes()) == plan.result_bytes + 40
    return party.decryptor.decrypt(answer).unwrap()


@settings(max_examples=40, deadline=None)
@given(
    operation=st.sampled_from([GRAM, SIMILARITY, SCORE]),
    inner=st.integers(1, 12),
    left=st.integers(1, 45),
    right=st.integers(1, 20),
    bits=st.integers(3, 14),
    bound=st.floats(0.01, 30.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_products_are_as_exact_as_planned(small, operation, inner, left, right, bits, bound, seed):
    plan = plan_paillier_product(
        operation,
        inner=inner,
        left=left,
        right=right,
        precision=2.0**-bits,
        operand_bound=bound,
        column_norm=2.0,
        parameters=small.parameters,
    )
    generator = np.random.default_rng(seed)
    a = generator.uniform(-bound, bound, (inner, left))
    b = generator.normal(size=(inner, right))
    b *= 2.0 / np.abs(b).sum(axis=0)
    bias = generator.uniform(-1, 1, right) if operation == SCORE else None
    found = run(small, plan, a, b, bias)
    expected = a.T @ b + (0 if bias is None else bias)
    assert np.abs(found - expected).max() <= plan.error_bound + 1e-12
    assert plan.error_bound <= 2.0**-bits


@settings(max_examples=25, deadline=None)
@given(
    inner=st.integers(1, 30),
    left=st.integers(1, 60),
    right=st.integers(1, 12),
    sign=st.sampled_from([1, -1]),
    alternate=st.booleans(),
)
def test_extreme_counts_stay_in_their_slots(small, inner, left, right, sign, alternate):
    """The attack on the bound: every entry at its largest, all signs equal or alternating."""
    a = np.full((inner, left), 7.0)
    if alternate:
        a[:, ::2] *= -1
    b = np.full((inner, right), sign * 5.0)
    plan = plan_paillier_product(
        GRAM,
        inner=inner,
        left=left,
        right=right,
        operand_bound=7,
        column_norm=5.0 * inner,
        parameters=small.parameters,
    )
    assert plan.error_bound == 0
    assert np.array_equal(run(small, plan, a, b), a.T @ b)
    assert np.abs(a.T @ b).max() <= plan.packing.result_bound < 2 ** (plan.packing.slot_bits - 1)


def test_sparse_counts_of_shoppers_give_exact_cooccurrence(large):
    a = random_array((60, 40), density=0.2, rng=1, data_sampler=lambda size: np.ones(size))
    b = random_array((60, 25), density=0.1, rng=2, data_sampler=lambda size: np.full(size, 3.0))
    plan = plan_paillier_product(GRAM, inner=60, left=40, right=25, column_norm=180, nonzeros=b.nnz)
    assert plan.columns > 1
    found = run(large, plan, a.toarray(), b)
    assert np.array_equal(found, (a.T @ b).toarray())


def test_contributions_are_added_before_the_score(small):
    generator = np.random.default_rng(6)
    plan = plan_paillier_product(
        SCORE, inner=4, left=3, right=9, summands=3, precision=1e-3, parameters=small.parameters
    )
    shares = generator.uniform(-1, 1, (3, 4, 3))
    items = generator.normal(size=(4, 9))
    items /= np.abs(items).sum(axis=0)
    bias = generator.uniform(-1, 1, 9)
    encode = small.encryptor.encode
    uploads = [small.encryptor.encrypt(encode(plan, LEFT, share)) for share in shares]
    product = small.evaluator.score(small.evaluator.add(uploads), items, bias)
    decrypted = small.decryptor.decrypt(product)
    expected = shares.sum(axis=0).T @ items + bias
    policy = ReleasePolicy(minimum_shoppers=2, top_k=4)
    released = ReleaseGate(policy, lambda count: bytes(count)).top_scores(decrypted)
    assert np.array_equal(released.items, np.argsort(-expected, axis=1)[:, :4])
    assert np.abs(released.scores - np.sort(expected)[:, :-5:-1]).max() <= 1e-3
    with pytest.raises(Mismatch, match="contributions"):
        small.evaluator.add(uploads[:2])


def test_a_gram_block_passes_the_gate_of_releases(small):
    plan = plan_paillier_product(GRAM, inner=5, left=2, right=3, parameters=small.parameters)
    a = np.eye(5)[:, :2]
    b = np.eye(5)[:, 1:4]
    upload = small.encryptor.encrypt(small.encryptor.encode(plan, LEFT, a))
    decrypted = small.decryptor.decrypt(small.evaluator.gram(upload, b))
    gate = ReleaseGate(ReleasePolicy(minimum_shoppers=5, top_k=1), lambda count: bytes(count))
    assert np.array_equal(gate.gram(decrypted), a.T @ b)
    strict = ReleaseGate(ReleasePolicy(minimum_shoppers=6, top_k=1), lambda count: bytes(count))
    with pytest.raises(HecfError, match="too few shoppers"):
        strict.gram(decrypted)


def crafted(party: Party, plan, plaintexts):
    """An operand of plaintexts that no honest encoder makes."""
    honest = party.encryptor.encode(plan, LEFT, np.zeros(plan.matrix_shape(LEFT)))
    return party.encryptor.encrypt(type(honest)(plan, plaintexts))


def test_nothing_but_the_agreed_slots_can_be_read(small, monkeypatch):
    """A curious asker puts more into its plaintexts than agreed, to read single entries of B."""
    plan = plan_paillier_product(
        GRAM, inner=3, left=1, right=1, column_norm=3, parameters=small.parameters
    )
    secret = np.array([[1.0], [0.0], [1.0]])
    asked = crafted(small, plan, [mpz(1) << (100 * (k + 1)) for k in range(3)])

    def read() -> list[int]:
        product = small.evaluator.gram(asked, secret)
        plaintext = int(small.decryptor.plaintexts(product)[0])
        return [(plaintext >> (100 * (k + 1))) & 1 for k in range(3)]

    # With the mask, what is read is coin flips; each entry would be right in every one of 40.
    right = np.mean([np.array(read()) == secret.ravel() for _ in range(40)])
    assert right < 0.8
    # The attack is alive: it reads B without the mask.
    monkeypatch.setattr(type(small.evaluator), "_mask", lambda self, bits: mpz(0))
    assert read() == [1, 0, 1]


def test_two_encrypted_operands_are_another_schemes_work(small):
    plan = plan_paillier_product(GRAM, inner=2, left=2, right=2, parameters=small.parameters)
    operand = small.encryptor.encrypt(small.encryptor.encode(plan, LEFT, np.eye(2)))
    for attempt in (
        lambda: small.evaluator.gram(operand, operand),
        lambda: small.evaluator.similarity(operand, operand),
    ):
        with pytest.raises(ParameterError, match="ckks"):
            attempt()


def test_the_planner_refuses_what_ckks_does_better():
    with pytest.raises(ParameterError, match="ckks"):
        plan_paillier_product(SCORE, inner=64, left=2048, right=16_384, precision=1e-4)
    plan = plan_paillier_product(SCORE, inner=32, left=1, right=1000, precision=1e-3)
    assert plan.columns > 50
    assert node_work(plan) < 1_000_000
    with pytest.raises(ParameterError, match="precision"):
        plan_paillier_product(SCORE, inner=32, left=1, right=10, precision=0.0)
    with pytest.raises(ParameterError):
        plan_paillier_product("product", inner=1, left=1, right=1)
    with pytest.raises(ParameterError):
        plan_paillier_product(GRAM, inner=0, left=1, right=1)


def test_clear_operands_beyond_the_plan_are_refused(small):
    plan = plan_paillier_product(
        GRAM, inner=2, left=2, right=2, column_norm=2, parameters=small.parameters
    )
    operand = small.encryptor.encrypt(small.encryptor.encode(plan, LEFT, np.eye(2)))
    for wrong in (
        np.full((2, 2), 1.5),
        np.full((2, 2), np.nan),
        np.ones((2, 3)),
        csr_array(np.array([[2.0, 0], [1, 0]])),
        np.array([[0.5, 0], [0, 0]]),
    ):
        with pytest.raises(InvalidInput):
            small.evaluator.gram(operand, wrong)
    with pytest.raises(InvalidInput, match="fractions"):
        small.encryptor.encode(plan, LEFT, np.full((2, 2), 0.5))
    for bias in (np.zeros(3), np.full(2, 1.5), np.full(2, np.inf)):
        scored = plan_paillier_product(
            SCORE, inner=2, left=2, right=2, precision=0.1, parameters=small.parameters
        )
        shoppers = small.encryptor.encrypt(small.encryptor.encode(scored, LEFT, np.eye(2)))
        with pytest.raises(InvalidInput, match="bias"):
            small.evaluator.score(shoppers, np.eye(2), bias)
    with pytest.raises(Mismatch, match="another operation"):
        small.evaluator.similarity(operand, np.eye(2))


def test_products_of_powers_are_those_of_python(small):
    modulus = small.public.n_squared
    bases = small.randomiser.take(6)
    generator = np.random.default_rng(8)
    for largest in (1, 5, 300, 2**40):
        weights = generator.integers(-largest, largest + 1, (6, 7))
        weights[:, 0] = 0
        found = ColumnProducts(bases, modulus).all(csr_array(weights).tocsc())
        for column, product in zip(weights.T, found, strict=True):
            expected = mpz(1)
            for base, weight in zip(bases, column.tolist(), strict=True):
                expected = expected * gmpy2.powmod(base, weight, modulus) % modulus
            assert product == expected


def test_the_window_costs_least_for_single_counts():
    assert best_window([(1, 1000)], 50, 20)[0] == 1
    assert best_window([(14, 100_000)], 50, 1000)[0] > 3


def test_products_are_parsed_strictly(small):
    plan = plan_paillier_product(GRAM, inner=2, left=2, right=9, parameters=small.parameters)
    operand = small.encryptor.encrypt(small.encryptor.encode(plan, LEFT, np.eye(2)))
    data = small.evaluator.gram(operand, np.zeros((2, 9))).to_bytes()
    assert PaillierProduct.from_bytes(plan, data).to_bytes() == data
    with pytest.raises(MalformedMessage, match="another kind"):
        SCHEME.operand(plan, LEFT, data)
    with pytest.raises(MalformedMessage, match="length"):
        SCHEME.product(plan, data[:-1])
    assert len(from_octets(data[72:], small.parameters.ciphertext_bytes)) == plan.result_ciphertexts
