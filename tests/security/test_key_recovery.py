"""Control C12: an exact CKKS decryption gives the secret key away, a released one does not.

Li and Micciancio (EUROCRYPT 2021): a ciphertext is ``c_0 + c_1 s = v``, so whoever knows the
ciphertext and the exact decrypted polynomial ``v`` solves ``s = (v - c_0) / c_1``. The packing with
one row of the inner dimension a polynomial leaves no coefficient unused, so the values of a score
are the whole polynomial: the worst case for the key.
"""

from __future__ import annotations

import secrets
from functools import lru_cache

import numpy as np
import pytest
from encryption import PARAMETERS, keys_for, score_plan, unit_item_model

from hecf.he.ckks import CkksDecryptor, CkksEncryptor
from hecf.he.evaluator import CkksEvaluator
from hecf.he.keys import Decrypted
from hecf.he.matrices import EncryptedProduct
from hecf.he.modular import digits_to_integers
from hecf.he.plan import LEFT
from hecf.he.product.packing import ProductPacking
from hecf.he.product.plan import ProductPlan
from hecf.he.seal import SealContext, _body
from hecf.privacy.attacks.key_recovery import as_integers, experiment, recover_key
from hecf.privacy.attacks.polynomials import centred, coefficients, transformed
from hecf.privacy.policy import ReleasePolicy
from hecf.privacy.release import ReleaseGate

DEGREE = PARAMETERS.ring_degree
PLAN = score_plan(left=64, right=64, packing=ProductPacking(64, 1, 64))


@lru_cache(maxsize=1)
def true_secret() -> np.ndarray:
    """The ternary secret, read from SEAL's own bytes of it: the oracle of the attack."""
    secret, _ = keys_for(PARAMETERS)
    body = _body(secret.expose())
    count = len(PARAMETERS.chain) * DEGREE
    words = np.frombuffer(body, "<u8", offset=len(body) - 8 * count).reshape(-1, DEGREE)
    ordered = SealContext(PARAMETERS)._from_seal(words)
    return coefficients(ordered[0].astype(np.int64), PARAMETERS.primes[0])


@pytest.fixture(scope="module")
def product(encryptor: CkksEncryptor, evaluator: CkksEvaluator) -> EncryptedProduct:
    return scores(PLAN, encryptor, evaluator)


def scores(
    plan: ProductPlan, encryptor: CkksEncryptor, evaluator: CkksEvaluator
) -> EncryptedProduct:
    random = np.random.default_rng(1)
    parts = [random.uniform(-1, 1, (plan.inner, plan.left)) for _ in range(plan.summands)]
    operands = [encryptor.encrypt(encryptor.encode(plan, LEFT, part)) for part in parts]
    items, bias = unit_item_model(random, plan.inner, plan.right)
    while True:
        result = evaluator.score(evaluator.add(operands), items, bias)
        # The attack divides by c_1; a zero among its values happens once in 1,365 results.
        if result.tail.all():
            return result


def test_an_exact_decryption_reveals_the_secret_key(
    product: EncryptedProduct, decryptor: CkksDecryptor
) -> None:
    digits = decryptor.decrypt_digits(product)
    plaintext = digits_to_integers(digits, PLAN.primes)
    assert len(plaintext) == DEGREE
    for index in range(len(PARAMETERS.primes)):
        recovered = recover_key(product, plaintext, index)
        assert set(np.unique(recovered)) == {-1, 0, 1}
        assert np.array_equal(recovered, true_secret())


def test_the_recovered_key_decrypts_other_ciphertexts(
    product: EncryptedProduct, encryptor: CkksEncryptor, decryptor: CkksDecryptor
) -> None:
    """Why this matters: with the secret the attacker reads a retailer's upload."""
    recovered = recover_key(
        product, digits_to_integers(decryptor.decrypt_digits(product), PLAN.primes), 0
    )
    secret_values = np.random.default_rng(2).uniform(-1, 1, (PLAN.inner, PLAN.left))
    upload = encryptor.encrypt(encryptor.encode(PLAN, LEFT, secret_values))
    # A block of the upload holds one factor of all shoppers; its scale exceeds one prime, so
    # the residues modulo the first prime are compared.
    words = upload.words[0, 0, :, 0].astype(np.int64)
    prime = PARAMETERS.primes[0]
    opened = (words[0] + words[1] * transformed(recovered, prime)) % prime
    read = coefficients(opened, prime)[:: PLAN.packing.right]
    expected = [round(v * 2**PLAN.left_scale_bits) % prime for v in secret_values[0].tolist()]
    errors = centred(read - np.array(expected), prime)
    assert np.abs(errors).max() <= PARAMETERS.fresh_noise_bound


def test_an_error_of_one_in_one_coefficient_stops_the_recover_key(
    product: EncryptedProduct, decryptor: CkksDecryptor
) -> None:
    """The attack needs every coefficient: the check of the next test is not satisfied by luck."""
    plaintext = digits_to_integers(decryptor.decrypt_digits(product), PLAN.primes)
    plaintext[5] += 1
    recovered = recover_key(product, plaintext, 0)
    assert np.abs(recovered).max() > 1000


def test_float_values_before_the_gate_are_no_protection(
    encryptor: CkksEncryptor, evaluator: CkksEvaluator, decryptor: CkksDecryptor
) -> None:
    """What a decryption to 53 bits loses is smaller than the scale, so rounding restores it."""
    plan = score_plan(
        left=64,
        right=64,
        packing=ProductPacking(64, 1, 64),
        left_scale_bits=20,
        right_scale_bits=22,
    )
    result = scores(plan, encryptor, evaluator)
    plaintext = as_integers(plan, decryptor.decrypt(result).unwrap())
    assert np.array_equal(recover_key(result, plaintext, 0), true_secret())


@pytest.mark.parametrize("index", range(len(PARAMETERS.primes)))
def test_released_values_do_not_reveal_the_secret_key(
    product: EncryptedProduct, decryptor: CkksDecryptor, index: int
) -> None:
    """All scores are released, more than any policy would: the flooding alone has to protect."""
    gate = ReleaseGate(ReleasePolicy(2, PLAN.right), secrets.token_bytes)
    exact = decryptor.decrypt(product)
    top = gate.top_scores(exact)
    released = np.empty((PLAN.left, PLAN.right))
    np.put_along_axis(released, top.items.astype(np.int64), top.scores, axis=1)
    # Rounding alone stops this attack too, and only this one, so the noise itself is checked.
    assert abs(np.std(released - exact.unwrap()) / PLAN.flooding - 1) < 0.1
    recovered = recover_key(product, as_integers(PLAN, released), index)
    secret = true_secret()
    prime = PARAMETERS.primes[index]
    # Not ternary: a uniform vector has 3 N / p such coefficients, less than one in a thousand.
    assert np.mean(np.abs(recovered) <= 1) < 0.005
    # No better than chance, whether by value, by sign or by thirds of the range.
    guess = np.sign(recovered) * (np.abs(recovered) > prime / 6)
    matches = float(np.mean(guess == secret))
    assert abs(matches - 1 / 3) < 5 * (2 / 9 / DEGREE) ** 0.5
    assert abs(np.corrcoef(recovered, secret)[0, 1]) < 5 / DEGREE**0.5


def test_averaging_the_planned_number_of_releases_does_not_reveal_it_either(
    product: EncryptedProduct, decryptor: CkksDecryptor
) -> None:
    """Fresh noise on one result averages out; the planned number of releases leaves enough."""
    gate = ReleaseGate(ReleasePolicy(2, PLAN.right), secrets.token_bytes)
    exact = decryptor.decrypt(product)
    total = np.zeros((PLAN.left, PLAN.right))
    for _ in range(PLAN.releases):
        top = gate.top_scores(Decrypted(PLAN, exact.unwrap()))
        one = np.empty_like(total)
        np.put_along_axis(one, top.items.astype(np.int64), top.scores, axis=1)
        total += one
    recovered = recover_key(product, as_integers(PLAN, total / PLAN.releases), 0)
    assert np.mean(np.abs(recovered) <= 1) < 0.005


@pytest.mark.parametrize("blinded", [False, True])
def test_the_audit_of_a_plan_finds_the_attack_alive_and_stopped(blinded: bool) -> None:
    plan = score_plan(left_scale_bits=40)
    outcome = experiment(plan, secrets.token_bytes, blinded=blinded)
    assert outcome.alive
    assert outcome.unprotected == 1.0
    assert not outcome.succeeded
    assert outcome.protected < 0.4
