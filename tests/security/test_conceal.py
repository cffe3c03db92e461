"""Why every component of a result is concealed: docs/decisions/0001-conceal-every-component.md.

The attacker is a key holder that also has one retailer's upload, because it is that retailer or
colludes with it. It sees every component of every result of the node. Each attack first succeeds
on the product as it comes out of the kernel, which shows that it is alive.
"""

from __future__ import annotations

import secrets

import numpy as np
import pytest
from encryption import (
    PARAMETERS,
    gram_plan,
    keys_for,
    negacyclic,
    score_plan,
    unit_columns,
    unit_item_model,
)
from scipy import stats

from hecf.he import kernels, ntt
from hecf.he.ckks import CkksDecryptor, CkksEncryptor
from hecf.he.evaluator import CkksEvaluator
from hecf.he.matrices import EncryptedProduct
from hecf.he.modular import digits_to_float, recombine
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.packing import ProductPacking
from hecf.he.product.plan import ProductPlan
from hecf.he.seal import SealContext
from hecf.privacy.attacks import polynomials
from hecf.privacy.attacks.concealment import experiment, recover_column

DEGREE, PRIMES = PARAMETERS.ring_degree, PARAMETERS.primes
PLAN = gram_plan(inner=300, left=3, right=3, packing=ProductPacking(1, DEGREE, 1))
"""Every column in a polynomial of its own, all shoppers in one block."""


class Uploads:
    """Two retailers' matrices, their uploads, and the raw product that the node computes."""

    def __init__(self, encryptor: CkksEncryptor) -> None:
        random = np.random.default_rng(11)
        self.a = unit_columns(random, PLAN.inner, PLAN.left)
        self.b = unit_columns(random, PLAN.inner, PLAN.right)
        while True:
            self.left = encryptor.encrypt(encryptor.encode(PLAN, LEFT, self.a))
            self.right = encryptor.encrypt(encryptor.encode(PLAN, RIGHT, self.b))
            # The attacks divide by these; a zero among them is rare and would only cost them
            # one more upload.
            if self.left.words[:, :, 1].all() and self.right.words[:, :, 1].all():
                break
        self.raw = kernels.multiply(self.left.words, self.right.words, PRIMES)


@pytest.fixture(scope="module")
def uploads(encryptor: CkksEncryptor) -> Uploads:
    return Uploads(encryptor)


@pytest.fixture(scope="module")
def secret_values() -> np.ndarray:
    """NTT values (L, N) of the secret key, which the key holder has: ``0 + 1 s = s``."""
    secret, _ = keys_for(PARAMETERS)
    words = np.zeros((2, len(PRIMES), DEGREE), dtype=np.uint32)
    words[1] = 1
    return SealContext(PARAMETERS).decryptor(secret.expose()).decrypt(words).astype(np.int64)


@pytest.fixture(scope="module")
def secret(secret_values: np.ndarray) -> np.ndarray:
    """Coefficients of the secret key."""
    return polynomials.coefficients(secret_values[0], PRIMES[0])


def coefficients(values: np.ndarray) -> np.ndarray:
    """Residues (L, N) of the coefficients of NTT values (L, N)."""
    return np.stack(
        [polynomials.coefficients(row, p) % p for row, p in zip(values, PRIMES, strict=True)]
    )


def test_without_concealment_one_result_reveals_a_whole_column(
    uploads: Uploads, secret: np.ndarray
) -> None:
    for i in range(PLAN.left):
        for j in (0, 2):
            tail = uploads.raw[i, j, 1:]
            column = recover_column(PLAN, tail[0], tail[1], uploads.right.words[j, 0], secret)
            assert np.abs(column - uploads.a[:, i]).max() < 1e-6


def test_with_concealment_the_same_attack_finds_nothing(
    uploads: Uploads, evaluator: CkksEvaluator, secret: np.ndarray
) -> None:
    result = evaluator.gram(uploads.left, uploads.right)
    for i in range(PLAN.left):
        tail = result.tail[i, 0]
        column = recover_column(PLAN, tail[0], tail[1], uploads.right.words[0, 0], secret)
        true = uploads.a[:, i]
        assert np.abs(column - true).min() > 1e-3
        assert np.median(np.abs(column)) > 1e3
        assert abs(np.corrcoef(column, true)[0, 1]) < 5 / PLAN.inner**0.5


def test_a_wrong_secret_makes_the_attack_fail(uploads: Uploads) -> None:
    """The attack needs the key, so the node by itself cannot mount it."""
    nothing = np.zeros(DEGREE, dtype=np.int64)
    tail = uploads.raw[0, 0, 1:]
    column = recover_column(PLAN, tail[0], tail[1], uploads.right.words[0, 0], nothing)
    assert np.median(np.abs(column - uploads.a[:, 0])) > 1e3


def determinants(matrices: np.ndarray, prime: int) -> np.ndarray:
    """Determinants modulo a prime of (3, 3, N) matrices."""

    def minor(r: int, s: int, c: int, d: int) -> np.ndarray:
        product = matrices[r, c] * matrices[s, d] % prime
        return (product - matrices[r, d] * matrices[s, c] % prime) % prime

    total = matrices[0, 0] * minor(1, 2, 1, 2) % prime
    total -= matrices[0, 1] * minor(1, 2, 0, 2) % prime
    return (total + matrices[0, 2] * minor(1, 2, 0, 1) % prime) % prime


def test_concealment_removes_the_rank_structure_of_the_second_component(
    uploads: Uploads, evaluator: CkksEvaluator, secret_values: np.ndarray
) -> None:
    """``c_1 + 2 s c_2 = a M' + N b'`` has rank 2 at every position, without anybody's upload."""
    result = evaluator.gram(uploads.left, uploads.right)
    for index, prime in enumerate(PRIMES):
        for tail, structured in ((uploads.raw[:, :, 1:], True), (result.tail, False)):
            c_1 = tail[:, :, 0, index].astype(np.int64)
            c_2 = tail[:, :, 1, index].astype(np.int64)
            t = (c_1 + 2 * secret_values[index] * c_2) % prime
            zeros = np.mean(determinants(t, prime) == 0)
            assert zeros == 1 if structured else zeros < 0.01
    # What is left, as the decision record says: c_2 has rank 1, of uniform halves only.
    assert np.array_equal(result.tail[:, :, 1], uploads.raw[:, :, 2])


def unused_coefficients(plan: ProductPlan, constant: np.ndarray, tail: np.ndarray) -> np.ndarray:
    """Residues (results, L, unused) that a key holder decrypts beside the agreed positions.

    `constant` are NTT values of c_0 (G, H, L, N), zero-filled where they were not sent.
    """
    secret, _ = keys_for(plan.parameters)
    decryptor = SealContext(plan.parameters).decryptor(secret.expose())
    unused = np.setdiff1d(np.arange(DEGREE), plan.packing.positions)
    out = []
    for i, j in np.ndindex(constant.shape[:2]):
        words = np.concatenate([constant[i, j][np.newaxis], tail[i, j]]).astype(np.uint32)
        out.append(coefficients(decryptor.decrypt(words).astype(np.int64))[:, unused])
    return np.array(out)


def zero_filled(product: EncryptedProduct) -> np.ndarray:
    """NTT values of c_0 with zeros for everything that the result does not contain."""
    plan = product.plan
    out = np.zeros((*plan.constant_shape[:3], DEGREE))
    for index, prime in enumerate(plan.primes):
        words = product.constant[:, :, index].astype(np.float64)
        out[:, :, index, plan.packing.positions] = words - prime * (words > prime // 2)
    values = ntt.forward(plan.primes, out)
    for index, prime in enumerate(plan.primes):
        values[:, :, index] %= prime
    return values


def uniformity(residues: np.ndarray, prime: int, buckets: int = 64) -> float:
    """P-value of a chi-square test that residues are uniform modulo a prime."""
    observed = np.bincount(residues.ravel() * buckets // prime, minlength=buckets)
    edges = -(-np.arange(buckets + 1) * prime // buckets)
    expected = np.diff(edges) / prime * residues.size
    return float(stats.chisquare(observed, expected).pvalue)


def test_unused_coefficients_of_a_gram_are_uniform_to_the_key_holder(
    uploads: Uploads, encryptor: CkksEncryptor, evaluator: CkksEvaluator
) -> None:
    result = evaluator.gram(uploads.left, uploads.right)
    concealed = unused_coefficients(PLAN, zero_filled(result), result.tail)
    assert concealed.shape == (9, len(PRIMES), DEGREE - 1)
    # Positive control: what the kernel leaves there of two zero matrices is small noise.
    nothing = [
        encryptor.encrypt(encryptor.encode(PLAN, side, np.zeros((PLAN.inner, 3))))
        for side in (LEFT, RIGHT)
    ]
    raw = kernels.multiply(nothing[0].words, nothing[1].words, PRIMES)
    plain = unused_coefficients(PLAN, raw[:, :, 0], raw[:, :, 1:])
    silent = evaluator.gram(*nothing)
    hidden = unused_coefficients(PLAN, zero_filled(silent), silent.tail)
    for index, prime in enumerate(PRIMES):
        assert uniformity(concealed[:, index], prime) > 1e-6
        assert uniformity(hidden[:, index], prime) > 1e-6
        assert uniformity(plain[:, index], prime) < 1e-100


def test_unused_coefficients_of_scores_are_uniform_to_the_key_holder(
    encryptor: CkksEncryptor, evaluator: CkksEvaluator
) -> None:
    plan = score_plan()
    part = np.zeros((plan.inner, plan.left))
    operands = [encryptor.encrypt(encryptor.encode(plan, LEFT, part)) for _ in range(2)]
    shoppers = evaluator.add(operands)
    items, _ = unit_item_model(np.random.default_rng(12), plan.inner, plan.right)
    result = evaluator.score(shoppers, items, np.zeros(plan.right))
    concealed = unused_coefficients(plan, zero_filled(result), result.tail)
    for index, prime in enumerate(plan.primes):
        assert uniformity(concealed[:, index], prime) > 1e-6


def test_the_whole_first_component_would_reveal_the_inputs(
    uploads: Uploads, evaluator: CkksEvaluator
) -> None:
    """Re-randomising alone is not enough: unused coefficients are correlations of the columns."""
    prime = (1 << 31) - 1
    left = PLAN.packing.pack_left(np.rint(uploads.a * 2**10).astype(np.int64))
    right = PLAN.packing.pack_right(np.rint(uploads.b * 2**10).astype(np.int64))
    true = negacyclic(left[0, 0], right[0, 0], prime)
    true = np.where(true > prime // 2, true - prime, true) * 2.0**-20
    unused = np.setdiff1d(np.arange(DEGREE), PLAN.packing.positions)
    result = evaluator.gram(uploads.left, uploads.right)

    def opened(constant: np.ndarray, tail: np.ndarray) -> np.ndarray:
        residues = unused_coefficients(PLAN, constant[:1, :1], tail[:1, :1])[0]
        return digits_to_float(recombine(residues, PRIMES), PRIMES, PLAN.scale)

    raw = opened(uploads.raw[:, :, 0], uploads.raw[:, :, 1:])
    assert np.abs(raw - true[unused]).max() < 0.01
    assert np.corrcoef(raw, true[unused])[0, 1] > 0.999
    concealed = opened(zero_filled(result), result.tail)
    assert abs(np.corrcoef(concealed, true[unused])[0, 1]) < 5 / DEGREE**0.5


def test_a_concealed_result_holds_the_agreed_coefficients_only(
    uploads: Uploads, evaluator: CkksEvaluator, decryptor: CkksDecryptor
) -> None:
    result = evaluator.gram(uploads.left, uploads.right)
    assert result.constant.shape == (3, 3, len(PRIMES), 1)
    # Useful all the same.
    error = np.abs(decryptor.decrypt(result).unwrap() - uploads.a.T @ uploads.b).max()
    assert error <= PLAN.error_bound
    # And different from what the kernel computed, in both components that are concealed.
    raw = np.array([coefficients(row.astype(np.int64)) for row in uploads.raw[0, :, 0]])
    assert np.mean(result.constant[0, :, :, 0] == raw[:, :, PLAN.packing.positions[0]]) < 0.2
    assert np.mean(result.tail[:, :, 0] == uploads.raw[:, :, 1]) < 1e-3


def test_the_nodes_encryptions_of_zero_are_fresh_and_within_their_bound(
    evaluator: CkksEvaluator, secret_values: np.ndarray
) -> None:
    words = evaluator._zeros.draw_undivided(4, len(PRIMES))
    first, second = words[:, 0], words[:, 1]
    noise = []
    for i in range(4):
        values = np.empty((len(PRIMES), DEGREE), dtype=np.int64)
        for index, prime in enumerate(PRIMES):
            c_1 = second[i, index].astype(np.int64)
            values[index] = (first[i, index].astype(np.int64) + c_1 * secret_values[index]) % prime
        noise.append(digits_to_float(recombine(coefficients(values), PRIMES), PRIMES, 1.0))
    assert np.abs(noise).max() <= PARAMETERS.zero_noise_bound
    # e u + e_1 + e_2 s: two sums of N products of a ternary and a binomial of variance 10.5.
    expected = (2 * DEGREE * 2 / 3 * 10.5) ** 0.5
    assert abs(np.std(noise) / expected - 1) < 0.1
    assert not np.array_equal(noise[0], noise[1])
    # One u for two results would leave the small e_2 - e_2' in their difference, so that
    # differences of results would not be concealed.
    for index, prime in enumerate(PRIMES):
        for i, j in ((0, 1), (2, 3), (0, 3)):
            difference = second[i].astype(np.int64) - second[j]
            assert uniformity(coefficients(difference)[index], prime) > 1e-6
        # Positive control: that difference.
        small = np.random.default_rng(13).binomial(42, 0.5, DEGREE) - 21
        assert uniformity(small % prime, prime) < 1e-100


@pytest.mark.parametrize("count", [1, 15, 16, 17, 33])
def test_batches_of_any_length_are_concealed(evaluator: CkksEvaluator, count: int) -> None:
    """Every result of a batch gets randomness of its own, the last of a short batch included."""
    zeros = np.zeros((1, count, 2, len(PRIMES), DEGREE), dtype=np.uint32)
    _, tail = evaluator._conceal(PLAN, zeros)
    rows = tail.reshape(count, -1)
    assert tail.shape == (1, count, 1, len(PRIMES), DEGREE)
    assert all(np.mean(row == 0) < 1e-3 for row in rows)
    assert len({row.tobytes() for row in rows}) == count


def test_the_audit_of_a_plan_finds_the_attack_alive_and_stopped() -> None:
    outcome = experiment(gram_plan(), secrets.token_bytes)
    assert outcome.alive
    assert outcome.unprotected > 0.99
    assert not outcome.succeeded
    assert outcome.protected < 0.01
