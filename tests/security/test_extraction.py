"""An owner's item model out of the answers to queries under an asker's own key."""

from __future__ import annotations

import secrets

import numpy as np
from coalitions import make_terms

from hecf.privacy.attacks.extraction import experiment, extract, share_found
from hecf.protocol.tasks import QueryTask


def task(shoppers: int) -> QueryTask:
    terms = make_terms(scheme="ckks", factors=8, topology="own-key")
    return QueryTask(terms, "alder", "birch", shoppers, 40)


def test_answers_about_more_shoppers_than_factors_give_the_model() -> None:
    outcome = experiment(task(20).plan, secrets.token_bytes)
    assert outcome.alive
    assert outcome.succeeded
    assert outcome.protected > 0.99
    assert outcome.protection.startswith("none")


def test_an_owner_that_allows_no_more_shoppers_than_factors_keeps_it() -> None:
    outcome = experiment(task(8).plan, secrets.token_bytes)
    assert not outcome.succeeded
    assert outcome.protection == "that only 8 shoppers may be asked about"


def test_one_shopper_decides_whether_the_equations_suffice() -> None:
    random = np.random.default_rng(5)
    items, bias = random.standard_normal((8, 30)), random.standard_normal(30)
    for count, found in ((9, True), (8, False)):
        shoppers = random.standard_normal((count, 8))
        share = share_found(extract(shoppers, shoppers @ items + bias), items)
        assert (share > 0.99) == found
