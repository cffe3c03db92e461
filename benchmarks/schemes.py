"""Every operation under Paillier and under CKKS, from clear operands to released values.

Paillier is what is timed here, and the baseline is hecf's own CKKS; both encrypt with a public key
and release through the gate. The two do not promise the same: with Paillier the right operand of a
product is in clear at the evaluator's own site, with CKKS both are encrypted (but for a score).
"""

from __future__ import annotations

import os
import secrets
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.sparse import coo_array, random_array

from benchmarks.harness import Job, Result, rng, split
from benchmarks.trips import Side, Trip, ckks_side, round_trip
from hecf.he.modular import Float
from hecf.he.paillier.decryptor import PaillierDecryptor
from hecf.he.paillier.encryptor import PaillierEncryptor
from hecf.he.paillier.evaluator import PaillierEvaluator
from hecf.he.paillier.keys import PaillierSecretKey, generate_keys
from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.paillier.planner import plan_paillier_product
from hecf.he.paillier.pool import BATCH, BlindingPool
from hecf.he.paillier.randomness import FixedBaseTable, Randomiser
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.planner import plan_gram, plan_score
from hecf.he.scheme import Decryptor, scheme_by_name, streaming_scheme
from hecf.he.similarity.plan import PUBLIC_KEY, normalise_rows
from hecf.he.similarity.planner import plan_similarity
from hecf.privacy.policy import ReleasePolicy
from hecf.privacy.release import ReleaseGate

PRECISION = 2.0**-16
FLOODING: dict[str, Any] = {"statistical_bits": 30, "releases": 1024}
GATE = ReleaseGate(ReleasePolicy(minimum_shoppers=2, top_k=10, **FLOODING), secrets.token_bytes)


@lru_cache(maxsize=2)
def _key(quick: bool) -> tuple[PaillierSecretKey, FixedBaseTable]:
    parameters = PaillierParameters.insecure_for_tests(512) if quick else PaillierParameters()
    secret, public = generate_keys(parameters, secrets.token_bytes)
    return secret, FixedBaseTable.build(public)


class PaillierCores:
    """A Paillier key whose random factors all cores compute while they are used up."""

    def __init__(self, quick: bool) -> None:
        secret, table = _key(quick)
        public, workers = secret.public_key, os.cpu_count() or 1
        self.parameters = public.parameters
        self._pool: BlindingPool | None = None
        if not quick:
            self._pool = BlindingPool(public, workers=workers, capacity=BATCH, table=table)
            # The workers have started once all have delivered.
            self._pool.take(2 * BATCH * workers)
        blinder = self._pool or Randomiser(public, secrets.token_bytes, table)
        self.side = Side(
            scheme_by_name("paillier"),
            PaillierEncryptor(public, blinder),
            PaillierEvaluator(public, blinder, secrets.token_bytes),
            PaillierDecryptor(secret),
        )

    def __enter__(self) -> PaillierCores:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.close()


def compare_sum(quick: bool) -> Result:
    """Sum three franchises' vectors of whole numbers."""
    parties, values = (2, 300) if quick else (3, 65_536)
    vectors = [rng(i).integers(0, 1000, values).astype(np.float64) for i in range(parties)]
    request: dict[str, Any] = {
        "values": values,
        "summands": parties,
        "value_bound": 1000.0,
        "precision": 0.5,
    }
    exact = np.sum(vectors, axis=0)
    trips = []
    with PaillierCores(quick) as paillier:
        planned = paillier.side.scheme.plan_sum(**request, parameters=paillier.parameters)
        other = scheme_by_name("ckks").plan_sum(**request)
        for side, plan in ((paillier.side, planned), (ckks_side(other), other)):

            def decrypt(
                decryptor: Decryptor, answer: bytes, side: Side = side, plan: Any = plan
            ) -> Any:
                return decryptor.decrypt_sum(plan, side.scheme.operand(plan, LEFT, answer))

            operands = [(LEFT, vector) for vector in vectors]
            trips.append(
                round_trip(
                    side, plan, operands, lambda e, uploads: e.sum(uploads), decrypt, GATE.total
                )
            )
    for trip in trips:
        trip.error = float(np.abs(trip.released - exact).max())
    return _result("compare-sum", trips, {"sizes": (parties, values), "precision": "exact"})


def compare_gram(quick: bool) -> Result:
    """Multiply two retailers' embeddings of the shoppers of the demonstration."""
    shoppers, factors = (40, 3) if quick else (2467, 32)
    left, right = (np.linalg.qr(rng(i).standard_normal((shoppers, factors)))[0] for i in (1, 2))
    norm = float(np.abs(right).sum(axis=0).max())
    ckks = plan_gram(
        scheme="ckks", rows=shoppers, left=factors, right=factors, precision=PRECISION, **FLOODING
    )
    with PaillierCores(quick) as paillier:
        plan = plan_paillier_product(
            "gram",
            inner=shoppers,
            left=factors,
            right=factors,
            precision=PRECISION,
            column_norm=norm,
            parameters=paillier.parameters,
        )
        trips = [
            round_trip(
                paillier.side,
                plan,
                [(LEFT, left)],
                lambda evaluator, uploads: evaluator.gram(uploads[0], right),
                lambda decryptor, answer: decryptor.decrypt(
                    paillier.side.scheme.product(plan, answer)
                ),
                GATE.gram,
            )
        ]
    trips.append(_ckks_gram(ckks, left, right))
    for trip in trips:
        trip.error = float(np.abs(trip.released - left.T @ right).max())
    return _result("compare-gram", trips, {"sizes": (shoppers, factors, factors)})


def compare_counts(quick: bool) -> Result:
    """Count how often shoppers bought one retailer's item and another's: sparse whole numbers."""
    shoppers, items = (40, 5) if quick else (2467, 120)
    left, right = (_purchases(shoppers, items, seed) for seed in (3, 4))
    exact = (left.T @ right).toarray()
    norm = float(right.sum(axis=0).max())
    # CKKS takes columns of norm 1, so its error is in units of the largest norms.
    lengths = [float(np.sqrt(matrix.sum(axis=0).max())) for matrix in (left, right)]
    ckks = plan_gram(
        scheme="ckks",
        rows=shoppers,
        left=items,
        right=items,
        precision=0.1 / (lengths[0] * lengths[1]),
        **FLOODING,
    )
    with PaillierCores(quick) as paillier:
        plan = plan_paillier_product(
            "gram",
            inner=shoppers,
            left=items,
            right=items,
            column_norm=norm,
            nonzeros=right.nnz,
            parameters=paillier.parameters,
        )
        trips = [
            round_trip(
                paillier.side,
                plan,
                [(LEFT, left.toarray())],
                lambda evaluator, uploads: evaluator.gram(uploads[0], right),
                lambda decryptor, answer: decryptor.decrypt(
                    paillier.side.scheme.product(plan, answer)
                ),
                GATE.gram,
            )
        ]
    trips.append(_ckks_gram(ckks, left.toarray() / lengths[0], right.toarray() / lengths[1]))
    trips[1].released = trips[1].released * lengths[0] * lengths[1]
    for trip in trips:
        trip.error = float(np.abs(trip.released - exact).max())
    return _result("compare-counts", trips, {"sizes": (shoppers, items, items)})


def compare_score(quick: bool) -> Result:
    """Score eight shoppers on a small catalogue."""
    factors, shoppers, items = (4, 2, 15) if quick else (32, 8, 500)
    embeddings = rng(5).uniform(-1, 1, (factors, shoppers))
    model = rng(6).standard_normal((factors, items))
    model /= np.abs(model).sum(axis=0)
    bias = rng(7).uniform(-0.5, 0.5, items)
    exact = -np.sort(-(embeddings.T @ model + bias), axis=1)[:, :10]
    ckks = plan_score(
        scheme="ckks",
        factors=factors,
        shoppers=shoppers,
        items=items,
        retailers=1,
        operand_bound=1.0,
        precision=PRECISION,
        **FLOODING,
    )
    with PaillierCores(quick) as paillier:
        plan = plan_paillier_product(
            "score",
            inner=factors,
            left=shoppers,
            right=items,
            precision=PRECISION,
            parameters=paillier.parameters,
        )
        trips = []
        for side, planned in ((paillier.side, plan), (ckks_side(ckks), ckks)):

            def decrypt(
                decryptor: Decryptor, answer: bytes, side: Side = side, planned: Any = planned
            ) -> Any:
                return decryptor.decrypt(side.scheme.product(planned, answer))

            trips.append(
                round_trip(
                    side,
                    planned,
                    [(LEFT, embeddings)],
                    lambda evaluator, uploads: evaluator.score(evaluator.add(uploads), model, bias),
                    decrypt,
                    lambda decrypted: GATE.top_scores(decrypted).scores,
                )
            )
    for trip in trips:
        trip.error = float(np.abs(trip.released - exact).max())
    return _result("compare-score", trips, {"sizes": (factors, shoppers, items)})


def compare_similarity(quick: bool) -> Result:
    """Cosine of a hundred items of one retailer with a hundred of another."""
    inner, rows = (8, 20) if quick else (64, 100)
    left, right = (normalise_rows(rng(i).standard_normal((rows, inner))) for i in (8, 9))
    exact = left @ right.T
    with PaillierCores(quick) as paillier:
        plan = plan_paillier_product(
            "similarity",
            inner=inner,
            left=rows,
            right=rows,
            precision=PRECISION,
            column_norm=float(np.abs(right).sum(axis=1).max()),
            parameters=paillier.parameters,
        )
        trips = [
            round_trip(
                paillier.side,
                plan,
                [(LEFT, np.ascontiguousarray(left.T))],
                lambda evaluator, uploads: evaluator.similarity(uploads[0], right.T),  # type: ignore[attr-defined]
                lambda decryptor, answer: decryptor.decrypt(
                    paillier.side.scheme.product(plan, answer)
                ),
                lambda decrypted: GATE.top_scores(decrypted).scores,
            )
        ]
    # The smallest ring holds a quick run only with less flooding noise.
    flooding = {"statistical_bits": 10, "releases": 1} if quick else FLOODING
    trips.append(_ckks_similarity(left, right, 2.0**-8 if quick else PRECISION, flooding))
    best = -np.sort(-exact, axis=1)[:, :10]
    for trip in trips:
        trip.error = float(np.abs(trip.released - best[:, : trip.released.shape[1]]).max())
    return _result("compare-similarity", trips, {"sizes": (rows, inner, rows)})


def _purchases(shoppers: int, items: int, seed: int) -> coo_array[np.float64]:
    """One for every item that a shopper bought: one in twelve."""
    return random_array(
        (shoppers, items), density=1 / 12, rng=seed, data_sampler=lambda size: np.ones(size)
    )


def _ckks_gram(plan: Any, left: Float, right: Float) -> Trip:
    side = ckks_side(plan)
    return round_trip(
        side,
        plan,
        [(LEFT, left), (RIGHT, right)],
        lambda evaluator, uploads: evaluator.gram(*uploads),
        lambda decryptor, answer: decryptor.decrypt(side.scheme.product(plan, answer)),
        GATE.gram,
    )


def _ckks_similarity(left: Float, right: Float, precision: float, flooding: dict[str, Any]) -> Trip:
    policy = ReleasePolicy(minimum_shoppers=2, top_k=10, **flooding)
    gate = ReleaseGate(policy, secrets.token_bytes)
    plan = plan_similarity(
        scheme="ckks",
        inner=left.shape[1],
        left=len(left),
        right=len(right),
        precision=precision,
        encryption=PUBLIC_KEY,
        **flooding,
    )
    scheme = streaming_scheme("ckks")
    secret, public = scheme.generate_keys(plan.parameters)
    encryptor = scheme.encryptor(plan.parameters, public)
    evaluator = scheme.evaluator(plan.parameters, public, secrets.token_bytes)
    decryptor = scheme.decryptor(secret)
    trip = Trip()
    sides = ((LEFT, left), (RIGHT, right))
    encoded = trip.step("encode", lambda: [encryptor.encode(plan, *side) for side in sides])
    rows = trip.step("encrypt", lambda: [encryptor.encrypt(each) for each in encoded])
    tiles = trip.step("compute", lambda: list(evaluator.similarity(*rows)))
    # Panels are released as they are decrypted, so the two stages cannot be told apart.
    trip.released = trip.step(
        "decrypt", lambda: gate.most_similar(plan, decryptor.panels(plan, tiles), 10).scores
    )
    trip.bytes = {
        "uploads": sum(len(operand.to_bytes()) for operand in rows),
        "result": sum(len(tile.to_bytes()) for tile in tiles),
    }
    return trip


def _result(job: str, trips: list[Trip], parameters: dict[str, object]) -> Result:
    ours, theirs = trips
    return Result(
        job=job,
        timing=ours.timing,
        baseline="CKKS of hecf, right operand encrypted too where there is one",
        baseline_timing=theirs.timing,
        ratio=ours.timing.median / theirs.timing.median,
        mark=None,
        bytes={**ours.bytes, **{f"baseline_{name}": n for name, n in theirs.bytes.items()}},
        up=ours.bytes["uploads"],
        down=ours.bytes["result"],
        error=ours.error,
        parameters={"value_precision": PRECISION, **parameters},
        split=split(ours.watch),
        details={
            "baseline_split": split(theirs.watch),
            "baseline_error": theirs.error,
        },
    )


JOBS = [
    Job("compare-sum", compare_sum),
    Job("compare-gram", compare_gram),
    Job("compare-counts", compare_counts),
    Job("compare-similarity", compare_similarity),
    Job("compare-score", compare_score),
]
