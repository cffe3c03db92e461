"""An item model out of the scores that were asked for.

Scores are ``e V + b``, and who asks about shoppers of its own knows every e. So as many shoppers as
there are factors, and one more for the bias, give V and b by least squares: that is what a query
costs its owner, however well an answer is concealed.
"""

from __future__ import annotations

import numpy as np

from hecf.he.ckks import generate_keys
from hecf.he.evaluator import CkksEvaluator
from hecf.he.modular import Float
from hecf.he.own_key.public_key import QuerierKey
from hecf.he.own_key.querier import CkksQuerier
from hecf.he.product.plan import ProductPlan
from hecf.he.sampling import RandomBytes, gaussian
from hecf.privacy.attacks.outcome import Outcome

SUCCESS = 0.5
CLOSE = 0.02
"""A weight counts as found when it is this close, relative to the typical weight."""


def extract(shoppers: Float, scores: Float) -> Float:
    """Solve for item factors, float64 of shape (factors, items).

    Parameters
    ----------
    shoppers : float64 array, shape (shoppers, factors)
        What was asked about.
    scores : float64 array, shape (shoppers, items)
    """
    known = np.column_stack([shoppers, np.ones(len(shoppers))])
    return np.linalg.lstsq(known, scores, rcond=None)[0][:-1].astype(np.float64)


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
    shoppers = np.clip(gaussian((plan.left, plan.inner), random) / 4, -1, 1)
    items = gaussian((plan.inner, plan.right), random)
    items /= np.abs(items).sum(axis=0).max()
    bias = np.clip(gaussian((plan.right,), random) / 4, -1, 1)
    query = querier.encrypt(plan, np.ascontiguousarray(shoppers.T))
    answer = querier.decrypt(answerer.drown(answerer.score(query, items, bias)))
    unlimited = np.clip(gaussian((plan.inner + 1, plan.inner), random) / 4, -1, 1)
    return Outcome(
        attack="extraction",
        attacker="a retailer that asks about shoppers of its own and keeps the scores",
        measure="share of the owner's item factors",
        threshold=SUCCESS,
        unprotected=share_found(extract(unlimited, unlimited @ items + bias), items),
        protected=share_found(extract(shoppers, answer), items),
        protection=f"none: {plan.left} shoppers are as good as {plan.inner + 1} and more"
        if plan.left > plan.inner
        else f"that only {plan.left} shoppers may be asked about",
    )
