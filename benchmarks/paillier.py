"""Paillier at 3072 bits: encryption and sums of packed values, against ``phe`` value by value.

The randomness of every ciphertext is computed within the time that is measured, on all cores. What
the pool had in stock at the start it has again at the end, so nothing was done beforehand. The
baseline is measured on a sample and scaled. HEU's ZPaillier (``sf-heu``) is a second baseline where
it is installed.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import statistics
import time
from functools import lru_cache

import numpy as np
from phe import paillier as phe

from benchmarks.harness import Job, Result, alternate, rng, seconds, split, stopwatch
from hecf.he.modular import Float
from hecf.he.paillier.decryptor import PaillierDecryptor
from hecf.he.paillier.encryptor import PaillierEncryptor
from hecf.he.paillier.evaluator import PaillierEvaluator
from hecf.he.paillier.keys import PaillierSecretKey, generate_keys
from hecf.he.paillier.matrices import PaillierMatrix
from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.paillier.phe_bridge import export_secret_key
from hecf.he.paillier.plan import PaillierSumPlan, plan_paillier_sum
from hecf.he.paillier.pool import BATCH, BlindingPool
from hecf.he.paillier.randomness import FixedBaseTable, Randomiser
from hecf.he.plan import LEFT
from hecf.measure import Measurements

PARTIES, VALUES = 16, 65_536
PRECISION = 2.0**-20
SAMPLE = 16
REPETITIONS = 3
WAIT_SECONDS = 0.001


@lru_cache(maxsize=2)
def _secret(quick: bool) -> PaillierSecretKey:
    parameters = PaillierParameters.insecure_for_tests(512) if quick else PaillierParameters()
    return generate_keys(parameters, secrets.token_bytes)[0]


class _Work:
    """A key, a plan, a pool that is full, and what it cost to get there."""

    def __init__(self, quick: bool, parties: int, values: int) -> None:
        self.secret = _secret(quick)
        public = self.secret.public_key
        self.plan = plan_paillier_sum(
            values=values,
            summands=parties,
            value_bound=1.0,
            precision=PRECISION,
            parameters=public.parameters,
        )
        start = time.perf_counter()
        self.table = FixedBaseTable.build(public)
        self.table_seconds = time.perf_counter() - start
        workers = 1 if quick else os.cpu_count() or 1
        self.stock = BATCH * workers
        self.pool = BlindingPool(public, workers=workers, capacity=self.stock, table=self.table)
        self.encryptor = PaillierEncryptor(public, self.pool)
        self.phe = export_secret_key(self.secret)
        self.refill()

    def refill(self) -> None:
        """Wait until the pool has in stock what it had at the start."""
        while self.pool.stock < self.stock:
            time.sleep(WAIT_SECONDS)

    def encrypt(self, vector: Float, watch: Measurements) -> bytes:
        """Encode, encrypt and serialise a vector."""
        with watch.stage("encode"):
            encoded = self.encryptor.encode(self.plan, LEFT, vector)
        with watch.stage("encrypt"):
            encrypted = self.encryptor.encrypt(encoded)
        with watch.stage("serialise"):
            return encrypted.to_bytes()

    def parameters(self, parties: int) -> dict[str, object]:
        """Describe the run, for its result."""
        return {
            "parties": parties,
            "values": self.plan.values,
            "modulus_bits": self.plan.parameters.modulus_bits,
            "randomness": self.plan.parameters.randomness,
            "slots": self.plan.packing.slots,
            "slot_bits": self.plan.packing.slot_bits,
            "ciphertexts": self.plan.ciphertexts,
            "value_precision": PRECISION,
            "workers": os.cpu_count(),
        }


def encrypt(quick: bool) -> Result:
    """Encrypt one party's vector of a sum of 16."""
    values = 400 if quick else VALUES
    vector = rng().uniform(-1, 1, values)
    sample = vector[: 2 if quick else SAMPLE]
    work = _Work(quick, PARTIES, values)
    public = work.secret.public_key
    with work.pool:
        watches: list[Measurements] = []

        def ours() -> None:
            watches.append(stopwatch())
            work.encrypt(vector, watches[-1])
            with watches[-1].stage("encrypt"):
                work.refill()

        def baseline() -> list[phe.EncryptedNumber]:
            return [work.phe.public_key.encrypt(x, precision=PRECISION) for x in sample.tolist()]

        took, theirs = alternate(ours, baseline, 1 if quick else REPETITIONS)
        per_value, per_value_theirs = took.median / values, theirs.median / len(sample)
        online = _online(work, vector)
        batch = PaillierMatrix.from_bytes(work.plan, work.encrypt(vector, stopwatch()))
    single = _single_core(work, quick)
    one = plan_paillier_sum(
        values=values,
        summands=1,
        value_bound=1.0,
        precision=PRECISION,
        parameters=work.plan.parameters,
    )
    opened = _opened(work, one, vector)
    heu = None if quick else _heu_seconds(sample)
    return Result(
        job="paillier-encrypt",
        timing=took,
        baseline=f"phe value by value, {public.parameters.modulus_bits} bits, from {len(sample)}",
        baseline_timing=theirs.scaled(values / len(sample)),
        ratio=per_value / per_value_theirs,
        mark=1 / 2000,
        bytes={
            "upload": len(batch.to_bytes()),
            "baseline_upload": values * work.plan.parameters.ciphertext_bytes,
        },
        up=len(batch.to_bytes()),
        down=0,
        error=float(np.abs(opened - vector).max()),
        parameters=work.parameters(PARTIES),
        split=split(watches[-1]),
        details={
            "microseconds_per_value": 1e6 * per_value,
            "microseconds_per_value_one_core": 1e6 * single / work.plan.packing.slots,
            "microseconds_per_value_online": 1e6 * online,
            "milliseconds_per_factor_one_core": 1e3 * single,
            "baseline_milliseconds_per_value": 1e3 * per_value_theirs,
            "heu_milliseconds_per_value": None if heu is None else 1e3 * heu,
            "heu_ratio": None if heu is None else per_value / heu,
            "table_seconds": work.table_seconds,
            "table_bytes": work.table.memory_bytes,
            "bytes_per_value": len(batch.to_bytes()) / values,
        },
    )


def add(quick: bool) -> Result:
    """Sum the vectors of 16 parties, from clear values to the clear sum."""
    parties, values = (3, 200) if quick else (PARTIES, VALUES)
    vectors = rng().uniform(-1, 1, (parties, values))
    columns = 2 if quick else SAMPLE // 2
    work = _Work(quick, parties, values)
    evaluator = PaillierEvaluator(work.secret.public_key, work.pool, secrets.token_bytes)
    decryptor = PaillierDecryptor(work.secret)
    watches: list[Measurements] = []
    found: dict[str, Float] = {}
    with work.pool:

        def ours() -> None:
            watch = stopwatch()
            watches.append(watch)
            uploads = [work.encrypt(vector, watch) for vector in vectors]
            with watch.stage("serialise"):
                operands = [PaillierMatrix.from_bytes(work.plan, upload) for upload in uploads]
            with watch.stage("compute"):
                total = evaluator.sum(operands)
            with watch.stage("serialise"):
                total = PaillierMatrix.from_bytes(work.plan, total.to_bytes())
            with watch.stage("decrypt"):
                found["hecf"] = decryptor.decrypt_sum(work.plan, total).unwrap()
            with watch.stage("encrypt"):
                work.refill()

        def baseline() -> None:
            encrypt_one, lists = work.phe.public_key.encrypt, vectors[:, :columns].tolist()
            uploads = [[encrypt_one(x, precision=PRECISION) for x in values] for values in lists]
            totals = uploads[0]
            for upload in uploads[1:]:
                totals = [a + b for a, b in zip(totals, upload, strict=True)]
            found["phe"] = np.array([work.phe.decrypt(total) for total in totals])

        took, theirs = alternate(ours, baseline, 1 if quick else REPETITIONS)
    exact = vectors.sum(axis=0)
    scaled = theirs.scaled(values / columns)
    width = work.plan.parameters.ciphertext_bytes
    return Result(
        job="paillier-sum",
        timing=took,
        baseline=f"phe lists, {work.plan.parameters.modulus_bits} bits, from {columns} values",
        baseline_timing=scaled,
        ratio=took.median / scaled.median,
        mark=1 / 1000,
        bytes={
            "upload": work.plan.operand_bytes(LEFT),
            "result": work.plan.result_bytes,
            "baseline_upload": values * width,
        },
        up=parties * work.plan.operand_bytes(LEFT),
        down=work.plan.result_bytes,
        error=float(np.abs(found["hecf"] - exact).max()),
        parameters=work.parameters(parties),
        split=split(watches[-1]),
        details={
            "microseconds_per_value_and_party": 1e6 * took.median / parties / values,
            "baseline_error": float(np.abs(found["phe"] - exact[:columns]).max()),
        },
    )


def _single_core(work: _Work, quick: bool) -> float:
    """Seconds of one random factor in this process."""
    randomiser = Randomiser(work.secret.public_key, secrets.token_bytes, work.table)
    count = 5 if quick else 50
    return seconds(lambda: randomiser.take(count)) / count


def _online(work: _Work, vector: Float) -> float:
    """Seconds for a value when the factors lie ready: packing, two products, serialising."""
    plan = plan_paillier_sum(
        values=min(len(vector), work.plan.packing.slots * work.stock),
        summands=PARTIES,
        value_bound=1.0,
        precision=PRECISION,
        parameters=work.plan.parameters,
    )

    def run() -> None:
        encoded = work.encryptor.encode(plan, LEFT, vector[: plan.values])
        work.encryptor.encrypt(encoded).to_bytes()

    found = []
    for _ in range(REPETITIONS):
        work.refill()
        found.append(seconds(run))
    return statistics.median(found) / plan.values


def _opened(work: _Work, plan: PaillierSumPlan, vector: Float) -> Float:
    """Encrypt and decrypt a vector on its own, as the error to report."""
    randomiser = Randomiser(work.secret.public_key, secrets.token_bytes, work.table)
    encryptor = PaillierEncryptor(work.secret.public_key, randomiser)
    batch = encryptor.encrypt(encryptor.encode(plan, LEFT, vector))
    return PaillierDecryptor(work.secret).decrypt_sum(plan, batch).unwrap()


def _heu_seconds(sample: Float) -> float | None:
    """Seconds of HEU's ZPaillier for one value at 3072 bits, if it is installed."""
    if importlib.util.find_spec("heu") is None:
        return None
    from heu import numpy as heu_numpy
    from heu import phe as heu_phe

    kit = heu_numpy.setup(heu_phe.SchemaType.ZPaillier, 3072)
    values = kit.array(np.rint(sample / PRECISION).astype(np.int64).tolist())
    encryptor = kit.encryptor()
    encryptor.encrypt(values)
    return seconds(lambda: encryptor.encrypt(values)) / len(sample)


JOBS = [Job("paillier-encrypt", encrypt), Job("paillier-sum", add)]
