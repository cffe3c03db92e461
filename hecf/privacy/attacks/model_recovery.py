"""A retailer's item model from the coefficients of an answer that nobody asked for.

A score is one coefficient of a product of polynomials, and the product has others. A party that
asks about a shopper of one factor and reads the whole polynomial finds all item factors there,
although the scores tell it one factor only.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hecf.he import kernels, ntt
from hecf.he.ckks import CkksEncryptor, generate_keys
from hecf.he.evaluator import CkksEvaluator
from hecf.he.keys import SecretKey
from hecf.he.modular import Float, Words, digits_to_float, recombine, residues, to_words
from hecf.he.plan import LEFT
from hecf.he.product.packing import ProductPacking
from hecf.he.product.plan import ProductPlan
from hecf.he.sampling import RandomBytes, gaussian
from hecf.he.seal import SealContext
from hecf.privacy.attacks.outcome import Outcome
from hecf.privacy.attacks.polynomials import coefficients

SUCCESS = 0.5
CLOSE = 0.02
"""A weight counts as found when it is this close, relative to the typical weight."""


def one_item_row(plan: ProductPlan) -> ProductPlan:
    """Return the plan of one shopper's scores under the same key, all factors in a polynomial."""
    degree = plan.parameters.ring_degree
    inner = 1 << max(1, (plan.inner - 1).bit_length())
    packing = ProductPacking(1, inner, degree // inner)
    return replace(plan, scheme="ckks", left=1, right=packing.right, summands=1, packing=packing)


def open_polynomial(plan: ProductPlan, secret: SecretKey, constant: Words, tail: Words) -> Float:
    """Decrypt every coefficient of a result, float64 of shape (N,).

    Parameters
    ----------
    constant : uint32 array, shape (L, N)
        NTT values of c_0.
    tail : uint32 array, shape (x - 1, L, N)
        NTT values of the other components.
    """
    decryptor = SealContext(plan.parameters).decryptor(secret.expose())
    plain = decryptor.decrypt(np.concatenate([constant[np.newaxis], tail])).astype(np.int64)
    words = np.stack([coefficients(plain[i], p) for i, p in enumerate(plan.primes)])
    return digits_to_float(recombine(words, plan.primes), plan.primes, plan.scale)


def zero_filled(plan: ProductPlan, constant: Words) -> Words:
    """NTT values (L, N) of agreed coefficients (L, m n), with zeros for what was not sent."""
    out = np.zeros((len(plan.primes), plan.parameters.ring_degree), dtype=np.int64)
    out[:, plan.packing.positions] = constant
    return np.stack(
        [
            to_words(ntt.forward((p,), residues(out[i], (p,)))[0], p)
            for i, p in enumerate(plan.primes)
        ]
    )


def share_found(plan: ProductPlan, polynomial: Float, items: Float) -> float:
    """Share of the item factors after the first that a polynomial shows.

    The shopper is the first unit vector, so the polynomial is the item polynomial: factor k of
    item j stands at ``j u + u - 1 - k`` (:mod:`hecf.he.product.packing`).
    """
    grid = polynomial.reshape(plan.packing.right, plan.packing.inner)[:, ::-1]
    guessed = grid[:, 1 : plan.inner].T
    scale = float(np.abs(items).mean())
    return float(np.mean(np.abs(guessed - items[1:]) < CLOSE * scale))


def experiment(plan: ProductPlan, random: RandomBytes) -> Outcome:
    """Read an item model out of one answer, as it leaves the kernel and as it leaves the node.

    Parameters
    ----------
    plan : ProductPlan
        Of the coalition's scores, with two factors or more.
    random : callable
        Source of cryptographically secure bytes.
    """
    single = one_item_row(plan)
    secret, public = generate_keys(single.parameters)
    encryptor, evaluator = CkksEncryptor(public), CkksEvaluator(public, random)
    items = gaussian((single.inner, single.right), random)
    items /= np.abs(items).sum(axis=0)
    shopper = np.zeros((single.inner, 1))
    shopper[0] = 1
    query = encryptor.encrypt(encryptor.encode(single, LEFT, shopper))
    integers = np.rint(np.ldexp(items, single.right_scale_bits)).astype(np.int64)
    packed = single.packing.pack_right(integers)
    values = ntt.forward(single.primes, residues(packed, single.primes))
    words = [to_words(values[:, :, i].copy(), p) for i, p in enumerate(single.primes)]
    raw = kernels.multiply(query.words, np.stack(words, axis=2)[:, :, np.newaxis], single.primes)
    answer = evaluator.score(query, items, np.zeros(single.right))
    concealed = zero_filled(single, answer.constant[0, 0])
    return Outcome(
        attack="model-recovery",
        attacker="the key holder, or a retailer that scores under its own key",
        measure="share of the item factors that were not asked for",
        threshold=SUCCESS,
        unprotected=share_found(
            single, open_polynomial(single, secret, raw[0, 0, 0], raw[0, 0, 1:]), items
        ),
        protected=share_found(
            single, open_polynomial(single, secret, concealed, answer.tail[0, 0]), items
        ),
        protection="agreed coefficients only, and a fresh encryption of zero",
    )
