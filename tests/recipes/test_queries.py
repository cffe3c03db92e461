"""Queries under one's own key: right scores, over both transports, and nobody else reads them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from coalitions import TRANSPORTS, Coalition, GrpcCoalition, embeddings, make_terms
from scipy.sparse import csr_array

from hecf.errors import (
    Conflict,
    InvalidInput,
    MalformedMessage,
    PermissionDenied,
    Replayed,
    UnknownTask,
)
from hecf.he.plan import LEFT
from hecf.he.scheme import streaming_scheme
from hecf.measure import Measurements
from hecf.models import CrossRetailerRidge, LocalEmbedding
from hecf.protocol.contribution import bound
from hecf.protocol.tasks import KEY, MODEL, SCORES, QueryTask, ScoreTask
from hecf.protocol.terms import OWN_KEY
from hecf.recipes.own_key import OwnKeyRetailer
from hecf.recipes.vertical import Recommendations
from hecf.rpc.identity import KEY_HOLDER

TERMS = make_terms(topology=OWN_KEY)
SHOPPERS = 12
ROWS = {"alder": (5, 3, 77), "birch": tuple(range(20, 40)), "cedar": (149,)}


@pytest.fixture(params=sorted(TRANSPORTS))
def coalition(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Coalition]:
    made = TRANSPORTS[request.param](TERMS, tmp_path)
    yield made
    made.close()


def retailer(coalition: Coalition, name: str, **kept: dict[str, str]) -> OwnKeyRetailer:
    return OwnKeyRetailer(
        coalition.terms,
        name,
        coalition.node(name),
        coalition.key_holder(name),
        Measurements(),
        secrets.token_bytes,
        **kept,
    )


def run(
    coalition: Coalition, fitted: dict[str, LocalEmbedding]
) -> dict[str, dict[str, Recommendations]]:
    with ThreadPoolExecutor(3) as pool:
        running = {
            name: pool.submit(retailer(coalition, name).run, fitted[name], ROWS[name], SHOPPERS)
            for name in coalition.terms.retailers
        }
        return {name: future.result() for name, future in running.items()}


def in_clear(fitted: dict[str, LocalEmbedding], asker: str, owner: str) -> np.ndarray:
    """The scores of an asker's shoppers, by a regression on its embedding alone."""
    pair = tuple(name for name in TERMS.retailers if name in (asker, owner))
    block = fitted[pair[0]].shoppers.T @ fitted[pair[1]].shoppers
    ridge = CrossRetailerRidge.fit({pair: block}, pair, ridge=TERMS.ridge, decay=TERMS.decay)
    rows = list(ROWS[asker][:SHOPPERS])
    share = fitted[asker].shoppers[rows] @ ridge.maps[asker, owner]
    return np.clip(share, -1, 1) @ fitted[owner].items + fitted[owner].mean


def check(fitted: dict[str, LocalEmbedding], found: dict[str, dict[str, Recommendations]]) -> None:
    for asker, owners in found.items():
        assert set(owners) == set(TERMS.retailers) - {asker}
        for owner, got in owners.items():
            expected = in_clear(fitted, asker, owner)
            assert got.rows == ROWS[asker][:SHOPPERS]
            best = np.take_along_axis(expected, got.items.astype(np.int64), axis=1)
            ideal = np.sort(expected, axis=1)[:, ::-1][:, : TERMS.top_k]
            np.testing.assert_allclose(best, ideal, atol=1e-4)
            # The unit of the scores is the owner's secret; everything else is there.
            unit = best.ravel() @ got.scores.ravel() / (got.scores.ravel() @ got.scores.ravel())
            np.testing.assert_allclose(got.scores * unit, best, atol=1e-4)


def test_every_retailer_scores_its_own_shoppers_on_the_catalogues_of_others(
    coalition: Coalition,
) -> None:
    fitted = embeddings(TERMS)
    check(fitted, run(coalition, fitted))
    # The key holder released the Gram blocks and nothing else.
    assert len(coalition.debits) == 1


def test_scores_under_encryption_are_those_in_clear(tmp_path: Path) -> None:
    encrypted = Coalition(make_terms(topology=OWN_KEY, scheme="ckks"), tmp_path)
    fitted = embeddings(TERMS)
    check(fitted, run(encrypted, fitted))


def test_only_the_asker_gets_the_answer(coalition: Coalition) -> None:
    fitted = embeddings(TERMS)
    run(coalition, fitted)
    task = QueryTask(TERMS, "birch", "alder", SHOPPERS, fitted["birch"].items.shape[1])
    assert coalition.node("alder").fetch(task, SCORES).data
    for name in ("birch", "cedar", KEY_HOLDER):
        with pytest.raises(UnknownTask):
            coalition.node(name).fetch(task, SCORES)
    with pytest.raises(PermissionDenied, match="decrypts the answer itself"):
        coalition.key_holder("alder").release_scores(task)


def test_an_asker_that_died_after_its_upload_reads_the_answer_with_the_key_it_kept(
    tmp_path: Path,
) -> None:
    coalition = Coalition(make_terms(topology=OWN_KEY, scheme="ckks"), tmp_path, patience=5.0)
    fitted = embeddings(TERMS)
    owner, blocks = retailer(coalition, "birch"), {("alder", "birch"): np.eye(TERMS.factors) / 2}
    items = fitted["birch"].items.shape[1]
    owner.offer(QueryTask(coalition.terms, "birch", "alder", SHOPPERS, items), fitted["birch"])
    journal: dict[str, str] = {}
    keys: dict[str, str] = {}
    question = ("birch", fitted["alder"], ROWS["alder"], blocks)
    first = retailer(coalition, "alder", journal=journal, keys=keys).ask(*question)
    again = retailer(coalition, "alder", journal=dict(journal), keys=dict(keys)).ask(*question)
    np.testing.assert_array_equal(first.items, again.items)
    np.testing.assert_array_equal(first.scores, again.scores)
    # A key that was changed would decrypt to nonsense; it is noticed, and so is another task's.
    [(place, kept)] = keys.items()
    flipped = kept[:-1] + ("0" if kept[-1] != "0" else "1")
    for changed in ("", "zz", flipped, kept.replace(" ", ""), kept + "00"):
        with pytest.raises(InvalidInput, match="key of a query was changed"):
            retailer(coalition, "alder", journal=dict(journal), keys={place: changed}).ask(
                *question
            )
    # Without the journal it would send another query under the same task, and is refused.
    with pytest.raises(Conflict):
        retailer(coalition, "alder", keys=dict(keys)).ask(*question)


def test_what_does_not_suit_the_terms_is_refused_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    coalition = Coalition(TERMS, tmp_path)
    fitted = embeddings(TERMS)
    for rows, shoppers in (((), 5), ((150,), 5), ((1,), 0), ((1,), 151)):
        with pytest.raises(InvalidInput):
            retailer(coalition, "alder").run(fitted["alder"], rows, shoppers)
    few = LocalEmbedding.fit(csr_array(np.eye(150, 20)), 3)
    with pytest.raises(InvalidInput, match="does not fit the terms"):
        retailer(coalition, "alder").run(few, (1,), 5)
    assert coalition.stored() == 0


def test_a_secret_key_in_place_of_the_public_one_is_refused_and_not_stored(
    tmp_path: Path,
) -> None:
    coalition = Coalition(make_terms(topology=OWN_KEY, scheme="ckks"), tmp_path)
    task = QueryTask(coalition.terms, "birch", "alder", SHOPPERS, 30)
    coalition.node("birch").declare(task)
    secret, _ = streaming_scheme("ckks").generate_keys(task.plan.parameters)
    with pytest.raises(InvalidInput, match="secret key"):
        coalition.node("alder").contribute(task, KEY, bound(task, KEY, secret.expose(), ""))
    with pytest.raises(InvalidInput, match="no such part"):
        coalition.node("birch").contribute(task, KEY, bound(task, KEY, b"x" * 64, ""))
    assert coalition.stored() == 0


def test_hostile_keys_and_roles_get_nothing(tmp_path: Path) -> None:
    coalition = GrpcCoalition(make_terms(topology=OWN_KEY, scheme="ckks"), tmp_path, patience=5.0)
    task = QueryTask(coalition.terms, "birch", "alder", SHOPPERS, 30)
    for name in ("alder", "cedar", KEY_HOLDER):
        with pytest.raises(PermissionDenied):
            coalition.node(name).declare(task)
    coalition.node("birch").declare(task)
    with pytest.raises(Conflict):
        coalition.node("birch").declare(replace(task, shoppers=150))
    scheme = streaming_scheme("ckks")
    secret, public = scheme.generate_keys(task.plan.parameters)
    querier = scheme.querier(secret, secrets.token_bytes)
    key = querier.public_key()
    query = querier.encrypt(task.plan, np.zeros((TERMS.factors, SHOPPERS))).to_bytes()
    # Of another kind, cut short, too long, and with residues above their primes.
    for hostile in (query, public, key[:-1], key + b"0", key[:-3] + b"\xff" * 3):
        with pytest.raises(MalformedMessage):
            coalition.node("alder").contribute(task, KEY, bound(task, KEY, hostile, ""))
    for name, what in (("cedar", KEY), ("birch", KEY), ("alder", MODEL), (KEY_HOLDER, LEFT)):
        with pytest.raises((InvalidInput, PermissionDenied, UnknownTask)):
            coalition.node(name).contribute(task, what, bound(task, what, key, ""))
    assert coalition.stored() == 0
    coalition.node("alder").contribute(task, KEY, bound(task, KEY, key, ""))
    again = querier.public_key()
    with pytest.raises(Conflict):
        coalition.node("alder").contribute(task, KEY, bound(task, KEY, again, ""))
    other = QueryTask(coalition.terms, "cedar", "alder", SHOPPERS, 30)
    coalition.node("cedar").declare(other)
    with pytest.raises(Replayed):
        coalition.node("alder").contribute(other, KEY, bound(other, KEY, key, ""))
    for name in ("alder", "cedar"):
        with pytest.raises((PermissionDenied, UnknownTask)):
            coalition.node(name).abort_task(task)
    coalition.close()


@pytest.mark.parametrize(
    ("topology", "owner", "asker", "message"),
    [
        ("coalition-key", "birch", "alder", "do not agree on queries"),
        (OWN_KEY, "birch", "birch", "its own catalogue"),
        (OWN_KEY, "birch", "dogwood", "unknown retailer"),
    ],
)
def test_a_query_follows_the_terms(topology: str, owner: str, asker: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        QueryTask(make_terms(topology=topology), owner, asker, 10, 30)


def test_a_score_task_is_none_of_this_topology() -> None:
    with pytest.raises(InvalidInput, match="queries instead of scores"):
        ScoreTask(TERMS, "alder", (1, 2), 30)
