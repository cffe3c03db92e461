"""A retailer's columns from the rank of what a key holder receives beside the agreed numbers.

With uploads ``(N - a s, a)`` and ``(M - b s, b)`` a product has ``c_2 = a b`` and
``c_1 + 2 s c_2 = a M + N b`` at every position of the transform. A key holder that also has the
second upload, because it is that retailer or colludes with it, solves both for the first retailer's
column N (docs/decisions/0001-conceal-every-component.md).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hecf.he import kernels
from hecf.he.ckks import CkksEncryptor, generate_keys
from hecf.he.evaluator import CkksEvaluator
from hecf.he.modular import Float, Words, digits_to_float, recombine
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.packing import ProductPacking
from hecf.he.product.plan import ProductPlan
from hecf.he.sampling import RandomBytes, gaussian
from hecf.he.seal import SealContext
from hecf.privacy.attacks.outcome import Outcome
from hecf.privacy.attacks.polynomials import Residues, coefficients, inverses, transformed

SUCCESS = 0.5
CLOSE = 0.01
"""An entry counts as found when it is this close, relative to the typical entry."""


def one_column(plan: ProductPlan) -> ProductPlan:
    """Return the plan of one number under the same key, each column in polynomials of its own."""
    degree = plan.parameters.ring_degree
    packing = ProductPacking(1, degree, 1)
    rows = min(plan.inner, degree)
    return replace(plan, scheme="ckks", inner=rows, left=1, right=1, packing=packing)


def recover_column(
    plan: ProductPlan, first: Words, second: Words, upload: Words, secret: Residues
) -> Float:
    """Column of the first retailer, from one result and one upload of the second.

    Parameters
    ----------
    plan : ProductPlan
        Of a Gram block with one column a polynomial and all rows in one block.
    first, second : uint32 array, shape (L, N)
        Components c_1 and c_2 of the result.
    upload : uint32 array, shape (2, L, N)
        The second retailer's upload of the column that the result is about.
    secret : int64 array, shape (N,)
        Coefficients of the secret key, which the key holder has.

    Returns
    -------
    float64 array, shape (plan.inner,)
    """
    plain = np.empty((len(plan.primes), plan.parameters.ring_degree), dtype=np.int64)
    for index, prime in enumerate(plan.primes):
        s = transformed(secret, prime)
        c_1, c_2 = first[index].astype(np.int64), second[index].astype(np.int64)
        b = upload[1, index].astype(np.int64)
        m = (upload[0, index].astype(np.int64) + b * s) % prime
        b_inverse = inverses(b, prime)
        a = c_2 * b_inverse % prime
        t = (c_1 + 2 * s * c_2 % prime) % prime
        plain[index] = coefficients((t - a * m % prime) % prime * b_inverse % prime, prime)
    digits = recombine(plain, plan.primes)
    return digits_to_float(digits, plan.primes, 2.0**plan.left_scale_bits)[: plan.inner]


def experiment(plan: ProductPlan, random: RandomBytes) -> Outcome:
    """Read one retailer's column out of a result, as it leaves the kernel and the node.

    Parameters
    ----------
    plan : ProductPlan
        Of the coalition's Gram blocks.
    random : callable
        Source of cryptographically secure bytes.
    """
    single = one_column(plan)
    secret, public = generate_keys(single.parameters)
    encryptor, evaluator = CkksEncryptor(public), CkksEvaluator(public, random)
    key = SealContext(single.parameters).secret_polynomial(secret.expose()).astype(np.int64)
    columns = [gaussian((single.inner, 1), random) for _ in range(2)]
    columns = [column / np.linalg.norm(column) for column in columns]
    left = encryptor.encrypt(encryptor.encode(single, LEFT, columns[0]))
    right = encryptor.encrypt(encryptor.encode(single, RIGHT, columns[1]))
    while not right.words[:, :, 1].all():
        # The attacker divides by these; a zero among them is rare and costs one more upload.
        right = encryptor.encrypt(encryptor.encode(single, RIGHT, columns[1]))
    raw = kernels.multiply(left.words, right.words, single.primes)[0, 0, 1:]
    concealed = evaluator.gram(left, right).tail[0, 0]

    def share(tail: Words) -> float:
        found = recover_column(single, tail[0], tail[1], right.words[0, 0], key)
        close = np.abs(found - columns[0][:, 0]) < CLOSE * np.abs(columns[0]).mean()
        return float(np.mean(close))

    return Outcome(
        attack="concealment",
        attacker="a key holder that is, or colludes with, one of the retailers",
        measure="share of another retailer's column",
        threshold=SUCCESS,
        unprotected=share(raw),
        protected=share(concealed),
        protection="a fresh encryption of zero on every component",
    )
