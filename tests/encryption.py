"""Plans, keys and exact integer oracles that the tests of encryption share.

The oracles use Python integers and long doubles only, nothing of :mod:`hecf.he` but the numbers
that a plan states.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from hecf.he import ckks
from hecf.he.ckks import CkksDecryptor
from hecf.he.keys import SecretKey
from hecf.he.matrices import EncryptedProduct, PublicKey
from hecf.he.modular import digits_to_integers
from hecf.he.parameters import ParameterSet
from hecf.he.product.packing import ProductPacking
from hecf.he.product.plan import GRAM, SCORE, ProductPlan
from hecf.he.scheme import Decryptor, Encryptor, Evaluator, scheme_by_name
from hecf.he.similarity.plan import SECRET_KEY, SimilarityPlan

PARAMETERS = ParameterSet.with_data_primes(4096, 3)
"""The parameter set of the shared key pair: 96 of 106 bits."""

OWN = ParameterSet.with_data_primes(2048, 2, special=False, bits=23)
"""The parameter set of small similarities under one's own key."""

SMALLEST = ParameterSet.with_data_primes(2048, 1)
"""One data prime in the smallest ring that has room for it: short messages for mutation tests."""


@lru_cache(maxsize=16)
def keys_for(parameters: ParameterSet) -> tuple[SecretKey, PublicKey]:
    """One key pair for a parameter set, drawn once for all tests."""
    return ckks.generate_keys(parameters)


def gram_plan(**changes: Any) -> ProductPlan:
    """A small Gram plan under the shared key; several groups on both sides."""
    plan = ProductPlan(
        scheme="ckks",
        operation=GRAM,
        inner=70,
        left=3,
        right=5,
        parameters=PARAMETERS,
        level=3,
        packing=ProductPacking(2, 512, 4),
        left_scale_bits=34,
        right_scale_bits=34,
        summands=1,
        operand_bound=1.0,
        statistical_bits=30,
        releases=4,
    )
    return replace(plan, **changes)


def score_plan(**changes: Any) -> ProductPlan:
    """A small score plan under the shared key: two summands, several groups on both sides."""
    plan = ProductPlan(
        scheme="ckks",
        operation=SCORE,
        inner=6,
        left=40,
        right=90,
        parameters=PARAMETERS,
        level=3,
        packing=ProductPacking(32, 4, 32),
        left_scale_bits=44,
        right_scale_bits=22,
        summands=2,
        operand_bound=1.0,
        statistical_bits=30,
        releases=4,
    )
    return replace(plan, **changes)


def similarity_plan(**changes: Any) -> SimilarityPlan:
    """A small own-key plan in the ring of 2048."""
    plan = SimilarityPlan(
        scheme="ckks",
        inner=6,
        left=40,
        right=30,
        parameters=OWN,
        level=2,
        left_scale_bits=21,
        right_scale_bits=21,
        encryption=SECRET_KEY,
        concealed=False,
        statistical_bits=30,
        releases=0,
    )
    return replace(plan, **changes)


def unit_columns(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Random columns of norm 1."""
    matrix = random.standard_normal((rows, columns))
    return matrix / np.linalg.norm(matrix, axis=0)


def unit_item_model(
    random: np.random.Generator, factors: int, items: int
) -> tuple[np.ndarray, np.ndarray]:
    """Random item columns of 1-norm 1 and biases in [-1, 1]."""
    matrix = random.standard_normal((factors, items))
    return matrix / np.abs(matrix).sum(axis=0), random.uniform(-1, 1, items)


def python_integers(matrix: np.ndarray, bits: int) -> np.ndarray:
    """A matrix scaled by a power of two and rounded, as an object array of Python integers."""
    return np.vectorize(lambda value: round(value * 2**bits), otypes=[object])(matrix)


def exact_gram(plan: ProductPlan, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The integers that a noiseless Gram product would decrypt to."""
    rows = python_integers(left, plan.left_scale_bits).T
    return rows.dot(python_integers(right, plan.right_scale_bits))


def exact_score(
    plan: ProductPlan, shoppers: list[np.ndarray], items: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """The integers that noiseless scores would decrypt to."""
    total = sum(python_integers(part, plan.left_scale_bits) for part in shoppers)
    scores = total.T.dot(python_integers(items, plan.right_scale_bits))
    return scores + python_integers(bias, plan.left_scale_bits) * 2**plan.right_scale_bits


def decrypted_integers(decryptor: CkksDecryptor, product: EncryptedProduct) -> np.ndarray:
    """A decryption as Python integers of shape (left, right), noise included."""
    plan = product.plan
    digits = decryptor.decrypt_digits(product)
    flat = np.array(digits_to_integers(digits, plan.primes), dtype=object)
    m, n = plan.packing.left, plan.packing.right
    out = np.empty((plan.left, plan.right), dtype=object)
    tiles = flat.reshape(plan.constant_shape[0], plan.constant_shape[1], m * n)
    for i in range(plan.left):
        for j in range(plan.right):
            out[i, j] = tiles[i // m, j // n, (i % m) * n + j % n]
    return out


def largest(values: np.ndarray) -> int:
    """Largest absolute value of an object array of Python integers."""
    return int(max(abs(value) for value in values.ravel()))


def negacyclic(first: np.ndarray, second: np.ndarray, prime: int) -> np.ndarray:
    """Schoolbook product of two int64 coefficient vectors modulo ``X ** N + 1`` and a prime."""
    degree = len(first)
    out = np.zeros(degree, dtype=np.int64)
    for shift, coefficient in enumerate(first.tolist()):
        if coefficient:
            rolled = np.concatenate([-second[degree - shift :], second[: degree - shift]])
            out = (out + coefficient % prime * (rolled % prime)) % prime
    return out


def parties(plan: ProductPlan) -> tuple[Encryptor, Evaluator, Decryptor]:
    """Everybody of one scheme, under a key pair that is drawn once for a parameter set."""
    scheme = scheme_by_name(plan.scheme)
    if plan.scheme == "ckks":
        secret, key = keys_for(plan.parameters)
        public = key.to_bytes()
    else:
        secret, public = scheme.generate_keys(plan.parameters)
    return (
        scheme.encryptor(plan.parameters, public),
        scheme.evaluator(plan.parameters, public, secrets.token_bytes),
        scheme.decryptor(secret),
    )
