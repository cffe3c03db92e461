"""Encrypted sums: 16 parties with 65,536 values each, against TenSEAL vectors.

The baseline is TenSEAL's CKKSVector at the parameters that NVFlare uses, and like NVFlare it gives
all parties one context with the secret key; hecf's parties hold the public key only.
"""

from __future__ import annotations

import secrets

import numpy as np
import tenseal

from benchmarks.harness import Job, Result, alternate, rng, split, stopwatch
from hecf.he.plan import LEFT
from hecf.he.scheme import scheme_by_name
from hecf.he.summation.planner import plan_sum
from hecf.measure import Measurements

PARTIES, VALUES = 16, 65_536
PRECISION = 2.0**-20
BASELINE = "TenSEAL CKKSVector, ring degree 8192, primes [60, 40, 40], scale 2^40"
SLOTS = 4096
REPETITIONS = 5


def _run(quick: bool, *, by_bytes: bool) -> Result:
    parties, values = (4, 8192) if quick else (PARTIES, VALUES)
    vectors = rng().uniform(-1, 1, (parties, values))
    plan = plan_sum(
        scheme="ckks", values=values, summands=parties, value_bound=1.0, precision=PRECISION
    )
    scheme = scheme_by_name("ckks")
    secret, public = scheme.generate_keys(plan.parameters)
    encryptor = scheme.encryptor(plan.parameters, public)
    evaluator = scheme.evaluator(plan.parameters, public, secrets.token_bytes)
    decryptor = scheme.decryptor(secret)
    sums: dict[str, np.ndarray] = {}
    sent: dict[str, int] = {}

    watches: list[Measurements] = []

    def ours() -> None:
        watch = stopwatch()
        watches.append(watch)
        uploads = []
        for vector in vectors:
            with watch.stage("encode"):
                encoded = encryptor.encode(plan, LEFT, vector)
            with watch.stage("encrypt"):
                encrypted = encryptor.encrypt(encoded)
            with watch.stage("serialise"):
                uploads.append(encrypted.to_bytes())
        with watch.stage("serialise"):
            operands = [scheme.operand(plan, LEFT, upload) for upload in uploads]
        with watch.stage("compute"):
            total = evaluator.sum(operands)
        with watch.stage("serialise"):
            answer = total.to_bytes()
            operand = scheme.operand(plan, LEFT, answer)
        with watch.stage("decrypt"):
            sums["hecf"] = decryptor.decrypt_sum(plan, operand).unwrap()
        sent["hecf"], sent["answer"] = len(uploads[0]), len(answer)

    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40])
    context.global_scale = 2**40

    def baseline() -> None:
        uploads = [
            [
                tenseal.ckks_vector(context, vector[start : start + SLOTS]).serialize()
                for start in range(0, values, SLOTS)
            ]
            for vector in vectors
        ]
        totals = [tenseal.ckks_vector_from(context, data) for data in uploads[0]]
        for upload in uploads[1:]:
            for total, data in zip(totals, upload, strict=True):
                total += tenseal.ckks_vector_from(context, data)
        answers = [total.serialize() for total in totals]
        decrypted = [tenseal.ckks_vector_from(context, data).decrypt() for data in answers]
        sums["tenseal"] = np.concatenate(decrypted)
        sent["tenseal"] = sum(map(len, uploads[0]))

    mine, theirs = alternate(ours, baseline, 1 if quick else REPETITIONS)
    exact = vectors.sum(axis=0)
    ratio = sent["hecf"] / sent["tenseal"] if by_bytes else mine.median / theirs.median
    return Result(
        job="sum-bytes" if by_bytes else "sum-seconds",
        timing=mine,
        baseline=BASELINE,
        baseline_timing=theirs,
        ratio=ratio,
        mark=1 / 7 if by_bytes else 1 / 2,
        bytes={"upload": sent["hecf"], "baseline_upload": sent["tenseal"]},
        up=parties * sent["hecf"],
        down=sent["answer"],
        error=float(np.abs(sums["hecf"] - exact).max()),
        parameters={
            "parties": parties,
            "values": values,
            "ring_degree": plan.parameters.ring_degree,
            "primes": plan.level,
            "modulus_bits": plan.parameters.modulus_bits,
            "values_per_coefficient": plan.digits,
            "value_precision": PRECISION,
        },
        split=split(watches[-1]),
        details={
            "bytes_per_value": sent["hecf"] / values,
            "microseconds_per_value_and_party": 1e6 * mine.median / parties / values,
            "baseline_error": float(np.abs(sums["tenseal"] - exact).max()),
        },
    )


JOBS = [
    Job("sum-seconds", lambda quick: _run(quick, by_bytes=False)),
    Job("sum-bytes", lambda quick: _run(quick, by_bytes=True)),
]
