from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from encryption import (
    PARAMETERS,
    decrypted_integers,
    exact_gram,
    exact_score,
    gram_plan,
    keys_for,
    largest,
    parties,
    score_plan,
    unit_columns,
    unit_item_model,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from hecf.errors import HecfError
from hecf.he import ckks
from hecf.he.ckks import CkksDecryptor, CkksEncryptor
from hecf.he.evaluator import CkksEvaluator
from hecf.he.keys import Decrypted
from hecf.he.matrices import EncryptedProduct
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.packing import ProductPacking
from hecf.he.product.plan import ProductPlan
from hecf.he.product.planner import plan_gram, plan_score
from hecf.he.scheme import scheme_by_name

SCHEMES = ["ckks", "clear"]


def gram(plan: ProductPlan, a: np.ndarray, b: np.ndarray) -> tuple[Decrypted, object]:
    """Encrypt, send, multiply, send and decrypt, through bytes as between processes."""
    scheme = scheme_by_name(plan.scheme)
    encryptor, evaluator, decryptor = parties(plan)
    left = encryptor.encrypt(encryptor.encode(plan, LEFT, a)).to_bytes()
    right = encryptor.encrypt(encryptor.encode(plan, RIGHT, b)).to_bytes()
    product = evaluator.gram(scheme.operand(plan, LEFT, left), scheme.operand(plan, RIGHT, right))
    received = scheme.product(plan, product.to_bytes())
    return decryptor.decrypt(received), received


def score(
    plan: ProductPlan, parts: list[np.ndarray], items: np.ndarray, bias: np.ndarray
) -> tuple[Decrypted, object]:
    scheme = scheme_by_name(plan.scheme)
    encryptor, evaluator, decryptor = parties(plan)
    operands = [
        scheme.operand(plan, LEFT, encryptor.encrypt(encryptor.encode(plan, LEFT, p)).to_bytes())
        for p in parts
    ]
    received = scheme.product(
        plan, evaluator.score(evaluator.add(operands), items, bias).to_bytes()
    )
    return decryptor.decrypt(received), received


def precise(*factors: np.ndarray) -> np.ndarray:
    """A product of matrices in long doubles, the independent reference."""
    wide = [factor.astype(np.longdouble) for factor in factors]
    return wide[0].T @ wide[1]


def check_gram(plan: ProductPlan, a: np.ndarray, b: np.ndarray) -> None:
    decrypted, product = gram(plan, a, b)
    assert decrypted.plan == plan
    error = float(np.abs(decrypted.unwrap() - precise(a, b)).max())
    assert error <= plan.error_bound
    if isinstance(product, EncryptedProduct):
        decryptor = CkksDecryptor(keys_for(plan.parameters)[0])
        noise = decrypted_integers(decryptor, product) - exact_gram(plan, a, b)
        assert 0 < largest(noise) <= plan.noise_bound


def check_score(
    plan: ProductPlan, parts: list[np.ndarray], items: np.ndarray, bias: np.ndarray
) -> None:
    decrypted, product = score(plan, parts, items, bias)
    total = np.sum([part.astype(np.longdouble) for part in parts], axis=0)
    error = float(np.abs(decrypted.unwrap() - (precise(total, items) + bias)).max())
    assert error <= plan.error_bound
    if isinstance(product, EncryptedProduct):
        decryptor = CkksDecryptor(keys_for(plan.parameters)[0])
        noise = decrypted_integers(decryptor, product) - exact_score(plan, parts, items, bias)
        assert 0 < largest(noise) <= plan.noise_bound


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=6, deadline=None)
@given(
    rows=st.integers(1, 400),
    left=st.integers(1, 9),
    right=st.integers(1, 9),
    seed=st.integers(0, 2**32),
)
def test_planned_grams_stay_within_their_bounds(
    scheme: str, rows: int, left: int, right: int, seed: int
) -> None:
    plan = plan_gram(
        scheme=scheme,
        rows=rows,
        left=left,
        right=right,
        precision=2.0**-12,
        statistical_bits=30,
        releases=64,
    )
    random = np.random.default_rng(seed)
    check_gram(plan, unit_columns(random, rows, left), unit_columns(random, rows, right))


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=6, deadline=None)
@given(
    factors=st.integers(1, 9),
    shoppers=st.integers(1, 40),
    items=st.integers(1, 60),
    retailers=st.integers(1, 4),
    bound=st.sampled_from([0.25, 1.0, 3.0]),
    seed=st.integers(0, 2**32),
)
def test_planned_scores_stay_within_their_bounds(
    scheme: str, factors: int, shoppers: int, items: int, retailers: int, bound: float, seed: int
) -> None:
    plan = plan_score(
        scheme=scheme,
        factors=factors,
        shoppers=shoppers,
        items=items,
        retailers=retailers,
        operand_bound=bound,
        precision=2.0**-12,
        statistical_bits=30,
        releases=64,
    )
    random = np.random.default_rng(seed)
    parts = [random.uniform(-bound, bound, (factors, shoppers)) for _ in range(retailers)]
    check_score(plan, parts, *unit_item_model(random, factors, items))


def one_hot(rows: int, columns: int) -> np.ndarray:
    out = np.zeros((rows, columns))
    out[np.arange(columns) * 7 % rows, np.arange(columns)] = 1.0
    return out


def zero_rows(rows: int, columns: int) -> np.ndarray:
    out = unit_columns(np.random.default_rng(1), rows, columns)
    out[rows // 3 :] = 0
    return out / np.linalg.norm(out, axis=0)


ADVERSARIAL: dict[str, Callable[[int, int], np.ndarray]] = {
    "all zero": lambda rows, columns: np.zeros((rows, columns)),
    "all equal": lambda rows, columns: np.full((rows, columns), rows**-0.5),
    "all equal, negative": lambda rows, columns: np.full((rows, columns), -(rows**-0.5)),
    "alternating": lambda rows, columns: (
        np.where(np.arange(rows) % 2, 1.0, -1.0)[:, None] * np.full((rows, columns), rows**-0.5)
    ),
    "one-hot": one_hot,
    "zero rows": zero_rows,
    "tiny": lambda rows, columns: np.full((rows, columns), 1e-300),
    "half a unit": lambda rows, columns: np.full((rows, columns), 2.0**-35),
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_adversarial_grams_stay_within_their_bounds(scheme: str, name: str) -> None:
    plan = gram_plan(scheme=scheme)
    a = ADVERSARIAL[name](plan.inner, plan.left)
    check_gram(plan, a, ADVERSARIAL[name](plan.inner, plan.right))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("kind", ["all maximal", "one factor", "all zero", "no items"])
def test_adversarial_scores_stay_within_their_bounds(scheme: str, sign: float, kind: str) -> None:
    plan = score_plan(scheme=scheme)
    part = np.full((plan.inner, plan.left), sign)
    items = np.full((plan.inner, plan.right), 1 / plan.inner)
    bias = np.full(plan.right, sign)
    if kind == "one factor":
        items = np.zeros_like(items)
        items[np.arange(plan.right) % plan.inner, np.arange(plan.right)] = 1.0
    elif kind == "all zero":
        part = np.zeros_like(part)
    elif kind == "no items":
        items = np.zeros_like(items)
    check_score(plan, [part, part], items, bias)


def test_the_largest_result_that_a_plan_allows_does_not_wrap() -> None:
    """The tightest scales that a plan accepts, with the largest results of both signs."""
    plan = gram_plan(packing=ProductPacking(2, 512, 4), left_scale_bits=34, right_scale_bits=34)
    tight = next(
        candidate
        for bits in range(40, 30, -1)
        for candidate in [try_plan(plan, left_scale_bits=bits, right_scale_bits=35)]
        if candidate is not None
    )
    assert try_plan(tight, left_scale_bits=tight.left_scale_bits + 1) is None
    a = np.full((plan.inner, plan.left), plan.inner**-0.5)
    b = np.full((plan.inner, plan.right), plan.inner**-0.5)
    b[:, ::2] *= -1
    check_gram(tight, a, b)


def try_plan(plan: ProductPlan, **changes: object) -> ProductPlan | None:
    try:
        return replace(plan, **changes)
    except HecfError:
        return None


def test_a_wrong_key_decrypts_to_noise(encryptor: CkksEncryptor, evaluator: CkksEvaluator) -> None:
    """Nothing tells a key holder so: the error is simply larger than any result."""
    plan = gram_plan()
    random = np.random.default_rng(2)
    a, b = unit_columns(random, 70, 3), unit_columns(random, 70, 5)
    left = encryptor.encrypt(encryptor.encode(plan, LEFT, a))
    right = encryptor.encrypt(encryptor.encode(plan, RIGHT, b))
    product = evaluator.gram(left, right)
    stranger, _ = ckks.generate_keys(PARAMETERS)
    garbage = CkksDecryptor(stranger).decrypt(product).unwrap()
    assert np.abs(garbage - a.T @ b).min() > 1e-6
    assert np.median(np.abs(garbage - a.T @ b)) > 0.1


def test_encryptions_and_results_of_the_same_matrix_differ_everywhere(
    encryptor: CkksEncryptor, evaluator: CkksEvaluator
) -> None:
    plan = gram_plan()
    random = np.random.default_rng(5)
    encoded = encryptor.encode(plan, LEFT, unit_columns(random, 70, 3))
    right = encryptor.encrypt(encryptor.encode(plan, RIGHT, unit_columns(random, 70, 5)))
    first, second = encryptor.encrypt(encoded), encryptor.encrypt(encoded)
    # Equal residues happen by chance once in a prime, and nowhere more often.
    for component in (0, 1):
        words, others = first.words[:, :, component], second.words[:, :, component]
        assert np.mean(words == others) < 1e-3
    # So do two groups or blocks of one operand.
    assert np.mean(first.words[0] == first.words[1]) < 1e-3
    one, two = evaluator.gram(first, right), evaluator.gram(first, right)
    assert np.mean(one.constant == two.constant) < 1e-2
    assert np.mean(one.tail[:, :, 0] == two.tail[:, :, 0]) < 1e-3


def test_products_at_lower_levels_are_correct() -> None:
    """Encryption at a lower level divides by a data prime: the noise bound holds there too."""
    random = np.random.default_rng(6)
    grams = gram_plan(level=2, left_scale_bits=20, right_scale_bits=20)
    check_gram(grams, unit_columns(random, 70, 3), unit_columns(random, 70, 5))
    scores = score_plan(level=1, inner=2, left_scale_bits=14, right_scale_bits=4)
    parts = [random.uniform(-1, 1, (2, scores.left)) for _ in range(2)]
    check_score(scores, parts, *unit_item_model(random, 2, scores.right))


def test_hostile_but_valid_words_decrypt_without_a_crash(decryptor: CkksDecryptor) -> None:
    """Zeros are a transparent ciphertext to SEAL, and largest residues are an extreme one."""
    for plan in (gram_plan(), score_plan()):
        for largest_words in (False, True):
            constant = np.zeros(plan.constant_shape, dtype=np.uint32)
            tail = np.zeros(plan.tail_shape, dtype=np.uint32)
            if largest_words:
                for index, prime in enumerate(plan.primes):
                    constant[:, :, index] = prime - 1
                    tail[..., index, :] = prime - 1
            values = decryptor.decrypt(EncryptedProduct(plan, constant, tail)).unwrap()
            assert values.shape == (plan.left, plan.right)
            if not largest_words:
                assert not values.any()
