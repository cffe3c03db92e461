"""The secret key from one decrypted result (Li and Micciancio, EUROCRYPT 2021, section 3).

A ciphertext is ``c_0 + c_1 s = v``, so whoever saw it and learns the exact polynomial ``v`` solves
``s = (v - c_0) / c_1``. With one row of the inner dimension a polynomial no coefficient is
unused, and the values of a score are the whole polynomial: the worst case for the key.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from hecf.he.blinding import MaskSeed
from hecf.he.ckks import CkksDecryptor, CkksEncryptor, generate_keys
from hecf.he.evaluator import CkksEvaluator
from hecf.he.matrices import EncryptedProduct
from hecf.he.modular import Float, digits_to_integers
from hecf.he.plan import LEFT
from hecf.he.product.packing import ProductPacking
from hecf.he.product.plan import ProductPlan
from hecf.he.sampling import RandomBytes
from hecf.he.seal import SealContext
from hecf.privacy.attacks.outcome import Outcome
from hecf.privacy.attacks.polynomials import Residues, coefficients, inverses, transformed
from hecf.privacy.policy import ReleasePolicy
from hecf.privacy.release import ReleaseGate

SUCCESS = 0.9


def recover_key(product: EncryptedProduct, plaintext: list[int], index: int) -> Residues:
    """Solve for the secret key modulo one prime.

    Parameters
    ----------
    product : EncryptedProduct
        Of one polynomial, with a plan that leaves no coefficient unused.
    plaintext : list of int
        What its coefficients are believed to be, scaled, in the order of the positions.
    index : int
        Which prime of the plan.

    Returns
    -------
    int64 array, shape (N,)
        The key's coefficients -1, 0 and 1, if every coefficient was exactly right; uniform
        residues otherwise.
    """
    plan, prime = product.plan, product.plan.primes[index]
    degree, positions = plan.parameters.ring_degree, plan.packing.positions
    difference = np.zeros(degree, dtype=np.int64)
    difference[positions] = [value % prime for value in plaintext]
    difference[positions] -= product.constant[0, 0, index]
    tail = product.tail[0, 0, 0, index].astype(np.int64)
    return coefficients(transformed(difference, prime) * inverses(tail, prime) % prime, prime)


def as_integers(plan: ProductPlan, values: Float) -> list[int]:
    """Return values of a result as the integers under encryption that they stand for."""
    scale = 2 ** (plan.left_scale_bits + plan.right_scale_bits)
    return [round(Fraction(value) * scale) for value in values.ravel().tolist()]


def whole_polynomial(plan: ProductPlan) -> ProductPlan:
    """Return the plan of scores under the same key that fill one polynomial without a gap."""
    degree = plan.parameters.ring_degree
    packing = ProductPacking(degree, 1, 1)
    return replace(plan, scheme="ckks", left=degree, right=1, packing=packing)


def experiment(plan: ProductPlan, random: RandomBytes, *, blinded: bool = False) -> Outcome:
    """Attack a fresh key of a coalition's parameters through an exact and a released result.

    Parameters
    ----------
    plan : ProductPlan
        Of the coalition's scores.
    random : callable
        Source of cryptographically secure bytes.
    blinded : bool
        Whether scores are released under a mask, which this recipient has.
    """
    whole = whole_polynomial(plan)
    secret, public = generate_keys(whole.parameters)
    encryptor, decryptor = CkksEncryptor(public), CkksDecryptor(secret)
    zeros = np.zeros(whole.matrix_shape(LEFT))
    operands = [
        encryptor.encrypt(encryptor.encode(whole, LEFT, zeros)) for _ in range(whole.summands)
    ]
    evaluator = CkksEvaluator(public, random)
    items = np.full((whole.inner, 1), 1 / whole.inner)
    product = evaluator.score(evaluator.add(operands), items, np.zeros(1))
    while not product.tail.all():
        # The attacker divides by these; a zero among them is rare and costs one more result.
        product = evaluator.score(evaluator.add(operands), items, np.zeros(1))
    exact = digits_to_integers(decryptor.decrypt_digits(product), whole.primes)
    gate = ReleaseGate(
        ReleasePolicy(
            2,
            1,
            statistical_bits=plan.statistical_bits,
            releases=plan.releases,
            blinded=blinded,
        ),
        random,
    )
    if blinded:
        seed = MaskSeed.draw(random)
        opened = gate.blinded(decryptor.decrypt_blinded(evaluator.blind(product, seed)))
        released = digits_to_integers(opened.digits(seed), whole.primes)
    else:
        released = as_integers(whole, gate.top_scores(decryptor.decrypt(product)).scores)
    key = SealContext(whole.parameters).secret_polynomial(secret.expose())

    def share(plaintext: list[int]) -> float:
        return float(np.mean(recover_key(product, plaintext, 0) == key))

    return Outcome(
        attack="key-recovery",
        attacker="a recipient of scores that saw the ciphertext at the node",
        measure="share of the secret key's coefficients",
        threshold=SUCCESS,
        unprotected=share(exact),
        protected=share(released),
        protection=f"flooding of 2^{np.log2(whole.flooding):.0f} at the release gate",
    )
