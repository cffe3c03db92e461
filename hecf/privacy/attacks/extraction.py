"""An item model out of the scores that were asked for.

Scores are ``e V + b``, and nobody can see which e is asked about. A question of zeros gives b, and
every further one gives **two** rows of V: weights at the node are whole numbers of a known unit,
so one factor is asked for in full, and another so much smaller that its share lies below that unit.
The numbers of a question may also be larger than those of any embedding. This is what queries cost
the owner of a catalogue, however well an answer is concealed.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hecf.he.ckks import generate_keys
from hecf.he.evaluator import CkksEvaluator
from hecf.he.matrices import EncryptedMatrix
from hecf.he.modular import Float
from hecf.he.own_key.public_key import QuerierKey
from hecf.he.own_key.querier import CkksQuerier
from hecf.he.product.plan import ProductPlan
from hecf.he.sampling import RandomBytes, gaussian
from hecf.privacy.attacks.outcome import Outcome

SUCCESS = 0.5
CLOSE = 0.02
"""A weight counts as found when it is this close, relative to the typical weight."""


ENLARGED = 64
"""How much larger than agreed the numbers of a question are; a score stays below the modulus."""


def questions(plan: ProductPlan) -> Float:
    """Shape questions for as many item factors as possible, float64 of shape (left, inner).

    Parameters
    ----------
    plan : ProductPlan
        Of a query; shoppers that it allows beyond what is needed are asked about in vain.
    """
    shaped = np.zeros((plan.left, plan.inner))
    for number, factor in enumerate(range(0, plan.inner, 2), start=1):
        if number < plan.left:
            shaped[number, factor] = 1
            shaped[number, factor + 1 : factor + 2] = _below_the_unit(plan)
    return shaped


def extract(plan: ProductPlan, scores: Float) -> Float:
    """Read item factors, float64 of shape (inner, right), off answers to enlarged questions.

    Parameters
    ----------
    plan : ProductPlan
    scores : float64 array, shape (left, right)
        Factors that no question was allowed for stay zero.
    """
    unit = math.ldexp(1, -plan.right_scale_bits)
    found = np.zeros((plan.inner, plan.right))
    for number, factor in enumerate(range(0, plan.inner, 2), start=1):
        if number < plan.left:
            sums = (scores[number] - scores[0]) / ENLARGED
            found[factor] = np.round(sums / unit) * unit
            found[factor + 1 : factor + 2] = (sums - found[factor]) / _below_the_unit(plan)
    return found


def share_found(guessed: Float, items: Float) -> float:
    """Share of the item factors that a guess is close to."""
    return float(np.mean(np.abs(guessed - items) < CLOSE * np.abs(items).mean()))


def experiment(plan: ProductPlan, random: RandomBytes) -> Outcome:
    """Ask about made-up shoppers under a fresh key, and solve for the item model.

    Parameters
    ----------
    plan : ProductPlan
        Of a query.
    random : callable
        Source of cryptographically secure bytes.
    """
    querier = CkksQuerier(generate_keys(plan.parameters)[0], random)
    key = QuerierKey.from_bytes(plan.parameters, querier.public_key())
    answerer = CkksEvaluator(key.expanded, random)
    items = gaussian((plan.inner, plan.right), random)
    items /= np.abs(items).sum(axis=0).max()
    bias = np.clip(gaussian((plan.right,), random) / 4, -1, 1)
    unit = math.ldexp(1, -plan.right_scale_bits)
    quantised = np.round(items / unit) * unit
    asked = questions(plan)
    query = _enlarged(querier.encrypt(plan, np.ascontiguousarray(asked.T)))
    answer = querier.decrypt(answerer.drown(answerer.score(query, items, bias)))
    unlimited = replace(plan, left=plan.inner // 2 + 2)
    exact = ENLARGED * questions(unlimited) @ quantised + bias
    return Outcome(
        attack="extraction",
        attacker="a retailer that shapes its questions and keeps the scores",
        measure="share of the owner's item factors",
        threshold=SUCCESS,
        unprotected=share_found(extract(unlimited, exact), items),
        protected=share_found(extract(plan, answer), items),
        protection=f"only {plan.left} questions, of which each but the first gives two factors of "
        f"{plan.inner}",
    )


def _enlarged(query: EncryptedMatrix) -> EncryptedMatrix:
    primes = np.array(query.plan.primes, dtype=np.uint64)[:, np.newaxis]
    words = query.words.astype(np.uint64) * ENLARGED % primes
    return replace(query, words=words.astype(np.uint32))


def _below_the_unit(plan: ProductPlan) -> float:
    """How small a factor is asked for, so that its share of a score is less than half a unit."""
    return math.ldexp(1, -plan.right_scale_bits - 1)
