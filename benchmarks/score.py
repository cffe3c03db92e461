"""Scores under a retailer's own key: a batch, one query on many items, and Apple's preset."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Job, Result, Work, alternate, rng, seconds, split, stopwatch
from benchmarks.published import APPLE
from hecf.he import loops
from hecf.he.ckks import generate_keys
from hecf.he.own_key.client import OwnKeyClient
from hecf.he.own_key.messages import OwnKeyAnswer, OwnKeyQuery
from hecf.he.own_key.node import OwnKeyNode
from hecf.he.own_key.plan import OwnKeyPlan
from hecf.he.own_key.planner import plan_batch, plan_query

Float = NDArray[np.float64]

MARK_SECONDS = 0.012
"""The whole round trip of score-apple; as a ratio it is this over the baseline's seconds."""


def score_batch(quick: bool) -> Result:
    """Score 2,048 shoppers on 16,384 items."""
    shoppers, items, factors = (300, 500, 16) if quick else (2048, 16_384, 64)
    plan = plan_batch(factors=factors, shoppers=shoppers, items=items)
    return _beside_numpy("score-batch", plan, "X @ V.T", 8.0, 1 if quick else 4)


def score_single(quick: bool) -> Result:
    """Score one shopper on a million items whose words are loaded."""
    items, factors = (20_000, 16) if quick else (1_000_000, 64)
    plan = plan_query(factors=factors, items=items, compact=False)
    return _beside_numpy("score-single", plan, "mat-vec", 5.0, 1 if quick else 5)


def _beside_numpy(
    job: str, plan: OwnKeyPlan, product: str, mark: float, repetitions: int
) -> Result:
    """Time the node beside the product in clear; the round trip is checked and split."""
    embeddings, matrix = _data(plan)
    client, node = _parties(plan, matrix)
    query = client.encrypt(plan, embeddings)
    baseline = _product_in_clear(embeddings, matrix)
    ours, theirs = alternate(lambda: node.evaluate(query), baseline, repetitions, burst=repetitions)
    scores, spent = _round_trip(client, node, plan, embeddings)
    return Result(
        job=job,
        timing=ours,
        baseline=f"NumPy float32 {product}, warm, into an existing array",
        baseline_timing=theirs,
        ratio=ours.median / theirs.median,
        mark=mark,
        bytes={"query": plan.query_bytes, "answer": plan.answer_bytes},
        up=plan.query_bytes,
        down=plan.answer_bytes,
        error=float(np.abs(scores - embeddings.T @ matrix).max()),
        parameters=_parameters(plan),
        split=spent,
        details={
            "scores_a_second": plan.shoppers * plan.items / ours.median,
            "loops": loops.available(),
        },
    )


def _product_in_clear(embeddings: Float, matrix: Float) -> Work:
    """Make the same scores in float32, in the layout that BLAS is fastest with."""
    items = matrix.shape[1]
    if embeddings.shape[1] == 1:
        rows = np.ascontiguousarray(matrix.T, dtype=np.float32)
        vector = np.ascontiguousarray(embeddings[:, 0], dtype=np.float32)
        scores = np.empty(items, dtype=np.float32)
        return lambda: np.matmul(rows, vector, out=scores)
    left = np.ascontiguousarray(embeddings.T, dtype=np.float32)
    right = matrix.astype(np.float32)
    out = np.empty((len(left), items), dtype=np.float32)
    return lambda: np.matmul(left, right, out=out)


def score_apple(quick: bool) -> Result:
    """Score one shopper on 4,096 items of 128 factors, there and back, in one process."""
    items, factors = (256, 16) if quick else (4096, 128)
    result = beside_tenseal("score-apple", items, factors, quick, MARK_SECONDS)
    return replace(result, details={**result.details, "published": APPLE.to_json()})


def beside_tenseal(
    job: str, items: int, factors: int, quick: bool, mark_seconds: float | None = None
) -> Result:
    """Score one shopper, there and back, beside TenSEAL; a mark is of seconds."""
    plan = plan_query(factors=factors, items=items)
    embeddings, matrix = _data(plan)
    client, node = _parties(plan, matrix)

    def ours() -> Float:
        return _round_trip(client, node, plan, embeddings)[0]

    tenseal = _TenSeal(factors)
    theirs_bytes = tenseal.bytes(embeddings[:, 0], matrix)
    ours()
    best = min(seconds(ours) for _ in range(1 if quick else 25))
    mine, theirs = alternate(
        ours, lambda: tenseal.scores(embeddings[:, 0], matrix), 1 if quick else 3
    )
    scores, spent = _round_trip(client, node, plan, embeddings)
    return Result(
        job=job,
        timing=mine,
        baseline="TenSEAL CKKSVector.matmul with Galois keys, 8192 [60, 40, 40, 60]",
        baseline_timing=theirs,
        ratio=mine.median / theirs.median,
        mark=None if mark_seconds is None else mark_seconds / theirs.median,
        bytes={"query": plan.query_bytes, "answer": plan.answer_bytes, **theirs_bytes},
        up=plan.query_bytes,
        down=plan.answer_bytes,
        error=float(np.abs(scores - embeddings.T @ matrix).max()),
        parameters=_parameters(plan),
        split=spent,
        details={
            "mark_seconds": mark_seconds,
            "seconds_best": best,
            "loops": loops.available(),
        },
    )


def _round_trip(
    client: OwnKeyClient, node: OwnKeyNode, plan: OwnKeyPlan, embeddings: Float
) -> tuple[Float, dict[str, float]]:
    """Scores through the bytes that would travel, and seconds by stage."""
    watch = stopwatch()
    with watch.stage("encrypt"):
        query = client.encrypt(plan, embeddings)
    with watch.stage("serialise"):
        query = OwnKeyQuery.from_bytes(plan, query.to_bytes())
    with watch.stage("compute"):
        answer = node.evaluate(query)
    with watch.stage("serialise"):
        answer = OwnKeyAnswer.from_bytes(plan, answer.to_bytes())
    with watch.stage("decrypt"):
        scores = client.decrypt(answer)
    return scores, split(watch)


class _TenSeal:
    """The same scores by TenSEAL's vector times matrix, which is its best layout for this."""

    def __init__(self, factors: int) -> None:
        # The one place outside hecf.he.seal: this is the competitor.
        import tenseal

        self._tenseal = tenseal
        self._context: Any = tenseal.context(
            tenseal.SCHEME_TYPE.CKKS,
            poly_modulus_degree=8192,
            coeff_mod_bit_sizes=[60, 40, 40, 60],
        )
        self._context.global_scale = 2.0**40
        self._context.generate_galois_keys()
        self._factors = factors

    def scores(self, vector: Float, matrix: Float) -> Float:
        encrypted = self._tenseal.ckks_vector(self._context, vector.tolist())
        sent = self._tenseal.ckks_vector_from(self._context, encrypted.serialize())
        answer = sent.matmul(matrix.tolist())
        back = self._tenseal.ckks_vector_from(self._context, answer.serialize())
        return np.array(back.decrypt())

    def bytes(self, vector: Float, matrix: Float) -> dict[str, int]:
        encrypted = self._tenseal.ckks_vector(self._context, vector.tolist())
        answer = encrypted.matmul(matrix.tolist())
        return {
            "tenseal_query": len(encrypted.serialize()),
            "tenseal_answer": len(answer.serialize()),
        }


def _data(plan: OwnKeyPlan) -> tuple[Float, Float]:
    """Random embeddings within the bound, and item columns of 1-norm 1."""
    random = rng()
    embeddings = random.uniform(-1, 1, (plan.factors, plan.shoppers)) * plan.operand_bound
    matrix = random.standard_normal((plan.factors, plan.items))
    return embeddings, matrix / np.abs(matrix).sum(axis=0)


def _parties(plan: OwnKeyPlan, matrix: Float) -> tuple[OwnKeyClient, OwnKeyNode]:
    secret, _ = generate_keys(plan.parameters)
    return OwnKeyClient(secret, secrets.token_bytes), OwnKeyNode(plan, matrix)


def _parameters(plan: OwnKeyPlan) -> dict[str, object]:
    return {
        "layout": plan.layout,
        "ring_degree": plan.parameters.ring_degree,
        "primes": plan.parameters.primes,
        "inner": plan.inner,
        "shopper_scale_bits": plan.shopper_scale_bits,
        "item_scale_bits": plan.item_scale_bits,
        "answer_level": plan.answer_level,
        "error_bound": plan.error_bound,
        "sizes": (plan.factors, plan.shoppers, plan.items),
    }


JOBS = [
    Job("score-batch", score_batch),
    Job("score-single", score_single),
    Job("score-apple", score_apple),
]
