"""Jobs at the sizes of published work, beside the published figure where there is one.

The published figures were made on other machines and, but for Apple's, by systems that do more or
less than the job here; each says so. The ratio of a job is to a baseline in the same run, as ever.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from phe import paillier as phe

from benchmarks.harness import Job, Result, alternate, rng, seconds, split, stopwatch
from benchmarks.published import FEDMF, FETCH_1K, FETCH_50K, Published
from benchmarks.score import beside_tenseal, score_apple
from benchmarks.trips import Trip, ckks_side, round_trip
from hecf.he.ckks import generate_keys
from hecf.he.plan import LEFT, RIGHT
from hecf.he.scheme import scheme_by_name
from hecf.he.similarity.decryptor import SimilarityDecryptor
from hecf.he.similarity.encryptor import SecretRowEncryptor
from hecf.he.similarity.evaluator import SimilarityEvaluator
from hecf.he.similarity.plan import normalise_rows
from hecf.he.similarity.planner import plan_similarity

DIMENSIONS = 128
KEY_BITS, SAMPLE = 1024, 10


def fedmf(quick: bool) -> Result:
    """Sum the gradients of 40 items x 100 factors of 7 users, there and back."""
    users, items, factors = (3, 5, 4) if quick else (7, 40, 100)
    gradients = rng().uniform(-1, 1, (users, items * factors))
    sample = gradients[:, : 1 if quick else SAMPLE].tolist()
    plan = scheme_by_name("ckks").plan_sum(
        values=items * factors, summands=users, value_bound=1.0, precision=1e-5
    )
    side = ckks_side(plan)
    trips: list[Trip] = []

    def ours() -> None:
        trip = round_trip(
            side,
            plan,
            [(LEFT, each) for each in gradients],
            lambda evaluator, uploads: evaluator.sum(uploads),
            lambda decryptor, answer: decryptor.decrypt_sum(
                plan, side.scheme.operand(plan, LEFT, answer)
            ),
            lambda decrypted: decrypted.unwrap(),
        )
        trips.append(trip)

    public, private = phe.generate_paillier_keypair(n_length=KEY_BITS)

    def baseline() -> list[float]:
        uploads = [[public.encrypt(x, precision=1e-5) for x in each] for each in sample]
        totals = [sum(column[1:], column[0]) for column in zip(*uploads, strict=True)]
        return [private.decrypt(total) for total in totals]

    mine, theirs = alternate(ours, baseline, 1 if quick else 5)
    theirs = theirs.scaled(items * factors / len(sample[0]))
    last = trips[-1]
    return Result(
        job="fedmf-round",
        timing=mine,
        baseline=f"phe value by value, {KEY_BITS} bits, all users, from {len(sample[0])} values",
        baseline_timing=theirs,
        ratio=mine.median / theirs.median,
        mark=None,
        bytes=last.bytes,
        up=last.bytes["uploads"],
        down=last.bytes["result"],
        error=float(np.abs(last.released - gradients.sum(axis=0)).max()),
        parameters={
            "users": users,
            "items": items,
            "factors": factors,
            "ring_degree": plan.parameters.ring_degree,
            "value_precision": 1e-5,
        },
        split=split(last.watch),
    )


def fetch(job: str, rows: int, quick: bool) -> Result:
    """Score an encrypted query on an encrypted database of unit vectors."""
    rows = 300 if quick else rows
    query, database = (
        normalise_rows(rng(seed).standard_normal((count, DIMENSIONS)))
        for seed, count in enumerate((1, rows))
    )
    plan = plan_similarity(scheme="ckks", inner=DIMENSIONS, left=1, right=rows, precision=2e-4)
    secret, _ = generate_keys(plan.parameters)
    encryptor = SecretRowEncryptor(secret, secrets.token_bytes)
    watch = stopwatch()
    loading = seconds(lambda: encryptor.encrypt(plan, RIGHT, database))
    right = encryptor.encrypt(plan, RIGHT, database)
    with watch.stage("encrypt"):
        left = encryptor.encrypt(plan, LEFT, query)
    plain, vector = database.astype(np.float32), query[0].astype(np.float32)
    mine, theirs = alternate(
        lambda: list(SimilarityEvaluator().evaluate(left, right)),
        lambda: plain @ vector,
        1 if quick else 3,
    )
    with watch.stage("compute"):
        tiles = list(SimilarityEvaluator().evaluate(left, right))
    with watch.stage("decrypt"):
        panels = list(SimilarityDecryptor(secret).panels(plan, iter(tiles)))
    scores = np.concatenate([panel.values for panel in panels], axis=1)
    return Result(
        job=job,
        timing=mine,
        baseline="NumPy float32 mat-vec, warm",
        baseline_timing=theirs,
        ratio=mine.median / theirs.median,
        mark=None,
        bytes={
            "query": plan.operand_bytes(LEFT),
            "database": plan.operand_bytes(RIGHT),
            "answer": plan.result_bytes,
        },
        up=plan.operand_bytes(LEFT),
        down=plan.result_bytes,
        error=float(np.abs(scores - query @ database.T).max()),
        parameters={
            "rows": rows,
            "dimensions": DIMENSIONS,
            "ring_degree": plan.parameters.ring_degree,
            "primes": plan.primes,
        },
        split=split(watch),
        details={"seconds_encrypt_the_database": loading},
    )


def fhe_recommender(quick: bool) -> Result:
    """Score one shopper on 512 items; the number of factors is a choice of ours."""
    items, factors = (64, 8) if quick else (512, 64)
    return beside_tenseal("fhe-recommender", items, factors, quick)


def _beside(published: Published | None, run: Callable[[bool], Result]) -> Callable[[bool], Result]:
    """Put the published figure into the details of a job's result."""
    shown = {"figure": "no published figure"} if published is None else published.to_json()

    def both(quick: bool) -> Result:
        result = run(quick)
        return replace(result, details={**result.details, "published": shown})

    return both


PRESETS: Mapping[str, tuple[Job, ...]] = MappingProxyType(
    {
        "apple": (Job("score-apple", score_apple),),
        "fedmf": (Job("fedmf-round", _beside(FEDMF, fedmf)),),
        "fetch-by-similarity": (
            Job("fetch-1k", _beside(FETCH_1K, lambda quick: fetch("fetch-1k", 1_000, quick))),
            Job("fetch-50k", _beside(FETCH_50K, lambda quick: fetch("fetch-50k", 50_000, quick))),
        ),
        "fhe-recommender": (
            Job(
                "fhe-recommender",
                _beside(None, fhe_recommender),
            ),
        ),
    }
)
"""Jobs by the name of the work whose sizes they have."""
