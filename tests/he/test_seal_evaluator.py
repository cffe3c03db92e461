"""Products of small encrypted matrices beside SEAL's own evaluator, one pair of vectors at a time.

SEAL encodes, encrypts, multiplies, rotates, decrypts and decodes here, through TenSEAL's vectors;
hecf takes no part in it.
"""

from __future__ import annotations

import secrets

import numpy as np
import pytest
import tenseal
from encryption import (
    gram_plan,
    keys_for,
    parties,
    score_plan,
    similarity_plan,
    unit_columns,
    unit_item_model,
)

from hecf.he.plan import LEFT, RIGHT
from hecf.he.similarity.decryptor import SimilarityDecryptor
from hecf.he.similarity.encryptor import SecretRowEncryptor
from hecf.he.similarity.evaluator import SimilarityEvaluator
from hecf.he.similarity.scores import similarity_matrix

TOLERANCE = 1e-4
"""Far above the error of either side, far below what another pair of vectors would give."""


@pytest.fixture(scope="module")
def context() -> tenseal.Context:
    """SEAL's parameters for one multiplication and the rotations of a sum."""
    made = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, -1, [60, 40, 40, 60])
    made.global_scale = 2**40
    made.generate_galois_keys()
    return made


def seal_products(context: tenseal.Context, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Scalar products of every row of one matrix with every row of the other."""
    first = [tenseal.ckks_vector(context, row.tolist()) for row in left]
    second = [tenseal.ckks_vector(context, row.tolist()) for row in right]
    return np.array([[a.dot(b).decrypt()[0] for b in second] for a in first])


def agree(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    # The comparison can fail: neighbouring rows give other numbers.
    assert np.abs(found - np.roll(expected, 1, axis=0)).max() > 100 * TOLERANCE


def test_gram_blocks(context: tenseal.Context) -> None:
    random = np.random.default_rng(1)
    plan = gram_plan()
    a, b = unit_columns(random, plan.inner, plan.left), unit_columns(random, plan.inner, plan.right)
    encryptor, evaluator, decryptor = parties(plan)
    left = encryptor.encrypt(encryptor.encode(plan, LEFT, a))
    right = encryptor.encrypt(encryptor.encode(plan, RIGHT, b))
    found = decryptor.decrypt(evaluator.gram(left, right)).unwrap()
    agree(found, seal_products(context, a.T, b.T))


def test_scores(context: tenseal.Context) -> None:
    random = np.random.default_rng(2)
    plan = score_plan(left=5, right=7, summands=1)
    shoppers = random.uniform(-1, 1, (plan.inner, plan.left))
    items, bias = unit_item_model(random, plan.inner, plan.right)
    encryptor, evaluator, decryptor = parties(plan)
    encrypted = encryptor.encrypt(encryptor.encode(plan, LEFT, shoppers))
    found = decryptor.decrypt(evaluator.score(evaluator.add([encrypted]), items, bias)).unwrap()
    expected = np.array(
        [
            (
                tenseal.ckks_vector(context, row.tolist()).matmul(items.tolist()) + bias.tolist()
            ).decrypt()
            for row in shoppers.T
        ]
    )
    agree(found, expected)


def test_similarities(context: tenseal.Context) -> None:
    random = np.random.default_rng(3)
    a, b = unit_columns(random, 6, 5).T, unit_columns(random, 6, 7).T
    plan = similarity_plan(left=5, right=7)
    secret, _ = keys_for(plan.parameters)
    own = SecretRowEncryptor(secret, secrets.token_bytes)
    left, right = own.encrypt(plan, LEFT, a), own.encrypt(plan, RIGHT, b)
    panels = SimilarityDecryptor(secret).panels(plan, SimilarityEvaluator().evaluate(left, right))
    agree(similarity_matrix(plan, panels), seal_products(context, a, b))
