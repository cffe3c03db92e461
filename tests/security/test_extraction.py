"""An owner's item model out of the answers to queries under an asker's own key."""

from __future__ import annotations

import secrets

import numpy as np
from coalitions import make_terms

from hecf.privacy.attacks.extraction import ENLARGED, experiment, extract, questions, share_found
from hecf.protocol.tasks import QueryTask


def task(shoppers: int) -> QueryTask:
    terms = make_terms(scheme="ckks", factors=8, topology="own-key")
    return QueryTask(terms, "alder", "birch", shoppers, 40)


def test_every_question_but_the_first_gives_two_factors() -> None:
    # Five questions for eight factors: fewer than the equations that honest shoppers would take.
    outcome = experiment(task(5).plan, secrets.token_bytes)
    assert outcome.alive
    assert outcome.succeeded
    assert outcome.protected > 0.95


def test_few_questions_give_few_factors() -> None:
    outcome = experiment(task(2).plan, secrets.token_bytes)
    assert outcome.alive
    assert not outcome.succeeded
    assert 0.1 < outcome.protected < 0.3
    assert outcome.protection.startswith("only 2 questions")


def test_answers_are_read_right_where_nothing_is_hidden() -> None:
    plan, random = task(5).plan, np.random.default_rng(5)
    unit = 2.0**-plan.right_scale_bits
    items = np.round(random.uniform(-0.1, 0.1, (plan.inner, plan.right)) / unit) * unit
    bias = random.uniform(-0.5, 0.5, plan.right)
    scores = ENLARGED * questions(plan) @ items + bias
    assert share_found(extract(plan, scores), items) == 1
    assert share_found(extract(plan, random.permutation(scores)), items) < 0.5
