from __future__ import annotations

import copy
import pickle
import secrets
from collections.abc import Callable

import numpy as np
import pytest
from encryption import (
    PARAMETERS,
    gram_plan,
    keys_for,
    parties,
    score_plan,
    unit_columns,
    unit_item_model,
)

from hecf.errors import ConfigurationError, InvalidInput, Mismatch
from hecf.he.ckks import CkksDecryptor, CkksEncryptor
from hecf.he.evaluator import CkksEvaluator
from hecf.he.keys import Decrypted, SecretKey
from hecf.he.matrices import EncryptedProduct
from hecf.he.parameters import ParameterSet
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.plan import ProductPlan
from hecf.he.scheme import scheme_by_name

SCHEMES = ["ckks", "clear"]


def test_another_parameter_set_is_refused(
    encryptor: CkksEncryptor, evaluator: CkksEvaluator, decryptor: CkksDecryptor
) -> None:
    other = ParameterSet(4096, PARAMETERS.primes[:2], PARAMETERS.special_prime)
    mine = gram_plan()
    plan = gram_plan(parameters=other, level=2, left_scale_bits=20, right_scale_bits=20)
    a, b = np.zeros((70, 3)), np.zeros((70, 5))
    with pytest.raises(Mismatch, match="other parameters"):
        encryptor.encode(plan, LEFT, a)
    secret, public = keys_for(other)
    stranger = CkksEncryptor(public)
    left = stranger.encrypt(stranger.encode(plan, LEFT, a))
    right = stranger.encrypt(stranger.encode(plan, RIGHT, b))
    with pytest.raises(Mismatch, match="other parameters"):
        evaluator.gram(left, right)
    product = CkksEvaluator(public, secrets.token_bytes).gram(left, right)
    with pytest.raises(Mismatch, match="other parameters"):
        decryptor.decrypt(product)
    assert np.abs(CkksDecryptor(secret).decrypt(product).unwrap()).max() < plan.error_bound
    assert mine.parameters != other


@pytest.mark.parametrize("scheme", SCHEMES)
def test_operands_of_another_plan_side_or_operation_are_refused(scheme: str) -> None:
    grams, scores = gram_plan(scheme=scheme), score_plan(scheme=scheme)
    encryptor, evaluator, _ = parties(grams)

    def operand(plan: ProductPlan, side: str) -> object:
        columns = plan.left if side == LEFT else plan.right
        return encryptor.encrypt(encryptor.encode(plan, side, np.zeros((plan.inner, columns))))

    left, right = operand(grams, LEFT), operand(grams, RIGHT)
    evaluator.gram(left, right)
    with pytest.raises(Mismatch, match=r"another (plan|side)"):
        evaluator.gram(right, left)
    with pytest.raises(Mismatch, match="another plan"):
        evaluator.gram(left, operand(gram_plan(scheme=scheme, releases=5), RIGHT))
    shoppers = operand(scores, LEFT)
    evaluator.add([shoppers, shoppers])
    for wrong in ([shoppers], [shoppers] * 3, []):
        with pytest.raises(Mismatch, match="contributions"):
            evaluator.add(wrong)
    with pytest.raises(Mismatch, match="another operation"):
        evaluator.add([left, left])
    items, bias = np.zeros((scores.inner, scores.right)), np.zeros(scores.right)
    with pytest.raises(Mismatch, match="another operation"):
        evaluator.score(left, items, bias)


def test_a_plan_of_another_scheme_is_refused(
    encryptor: CkksEncryptor, evaluator: CkksEvaluator, decryptor: CkksDecryptor
) -> None:
    """A clear plan has no flooding noise: a CKKS result under it would be released exactly."""
    clear, encrypted = gram_plan(scheme="clear"), gram_plan()
    assert clear.flooding == 0
    assert encrypted.flooding > 0
    a = np.zeros((70, 3))
    with pytest.raises(Mismatch, match="another scheme"):
        encryptor.encode(clear, LEFT, a)
    with pytest.raises(Mismatch, match="another scheme"):
        parties(clear)[0].encode(encrypted, LEFT, a)
    product = EncryptedProduct(
        clear, np.zeros(clear.constant_shape, np.uint32), np.zeros(clear.tail_shape, np.uint32)
    )
    with pytest.raises(Mismatch, match="another scheme"):
        decryptor.decrypt(product)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda a: a * 1.001, "norm exceeds"),
        (lambda a: a * 1e200, "norm exceeds"),
        (lambda a: a[:-1], "another shape"),
        (lambda a: a.T, "another shape"),
        (lambda a: np.where(np.arange(a.size).reshape(a.shape) == 5, np.nan, a), "not finite"),
        (lambda a: np.where(np.arange(a.size).reshape(a.shape) == 5, np.inf, a), "not finite"),
    ],
)
def test_gram_operands_over_their_bounds_are_refused(
    scheme: str, change: Callable[[np.ndarray], np.ndarray], sentence: str
) -> None:
    plan = gram_plan(scheme=scheme)
    a = unit_columns(np.random.default_rng(3), plan.inner, plan.left)
    encryptor = parties(plan)[0]
    encryptor.encode(plan, LEFT, a)
    with pytest.raises(InvalidInput, match=sentence):
        encryptor.encode(plan, LEFT, change(a))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_score_operands_over_their_bounds_are_refused(scheme: str) -> None:
    plan = score_plan(scheme=scheme)
    encryptor, evaluator, _ = parties(plan)
    part = np.ones((plan.inner, plan.left))
    with pytest.raises(InvalidInput, match="entry exceeds"):
        encryptor.encode(plan, LEFT, part * 1.001)
    operand = encryptor.encrypt(encryptor.encode(plan, LEFT, part))
    shoppers = evaluator.add([operand, operand])
    items, bias = unit_item_model(np.random.default_rng(4), plan.inner, plan.right)
    for wrong_items, wrong_bias, sentence in (
        (items * 1.001, bias, "1-norm is too large"),
        (items * 1e308, bias, "1-norm is too large"),
        (items, bias + 2, "bias is too large"),
        (items * np.nan, bias, "not finite"),
        (items[:, :-1], bias, "another shape"),
        (items, bias[:-1], "another shape"),
    ):
        with pytest.raises(InvalidInput, match=sentence):
            evaluator.score(shoppers, wrong_items, wrong_bias)


def test_secrets_and_decryptions_neither_print_nor_travel(
    key_pair: tuple[SecretKey, object],
) -> None:
    secret, _ = key_pair
    text = repr(secret) + str(secret)
    assert len(text) < 64
    assert secret.expose()[100:108].hex() not in text
    plan = gram_plan()
    decrypted = Decrypted(plan, np.full((3, 5), 0.123456789))
    assert "0.123" not in repr(decrypted)
    for value in (secret, decrypted):
        for duplicate in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled"):
                duplicate(value)


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="got bfv, expected ckks or paillier or clear"):
        scheme_by_name("bfv")
