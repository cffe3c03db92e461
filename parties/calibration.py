"""Measure this machine once, so that plans can say how long they will take."""

from __future__ import annotations

import json
import os
import secrets
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hecf.errors import HecfError
from hecf.he import kernels
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.planner import plan_gram, plan_score
from hecf.he.product.tiles import encoded_items
from hecf.he.scheme import (
    StreamingDecryptor,
    StreamingEncryptor,
    StreamingEvaluator,
    streaming_scheme,
)
from hecf.he.similarity.plan import PUBLIC_KEY
from hecf.he.similarity.planner import plan_similarity
from hecf.he.summation.planner import plan_sum
from hecf.he.work import Calibration, Plan, Work, work
from hecf.kits.files import read_limited, write_public

_LARGEST_FILE = 1 << 16
_SHOPPERS, _FACTORS = 4096, 8
_PRECISION = 2.0**-16
_INNER, _ROWS = 32, 512
_ROUGH_PRECISION = 2.0**-6
_VALUES = 65_536
_ITEMS = 8192
_NOISE: Any = {"statistical_bits": 30, "releases": 1024}
_REPETITIONS = 3

T = TypeVar("T")


def path() -> Path:
    """File that holds the calibration, below the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hecf" / "calibration.json"


def load() -> Calibration | None:
    """Return the stored calibration, or None if there is none that can be read."""
    if not path().exists():
        return None
    try:
        stored = json.loads(read_limited(path(), _LARGEST_FILE))
        return Calibration(**{name: Work(**rates) for name, rates in stored.items()})
    except (AttributeError, HecfError, TypeError, ValueError):
        return None


def store(calibration: Calibration) -> None:
    """Keep a calibration for later plans."""
    path().parent.mkdir(parents=True, exist_ok=True)
    write_public(path(), json.dumps(asdict(calibration)).encode())


def measure() -> Calibration:
    """Time each kind of work with keys of full size: a Gram block, a similarity and a sum."""
    return Calibration(
        product=_measure_product(), similarity=_measure_similarity(), summation=_measure_sum()
    )


def _measure_product() -> Work:
    plan = plan_gram(
        scheme="ckks", rows=_SHOPPERS, left=_FACTORS, right=_FACTORS, precision=_PRECISION, **_NOISE
    )
    encryptor, evaluator, decryptor = _parties(plan)
    seconds, (left, right) = _encrypted(plan, encryptor)
    multiplied, _ = _timed(lambda: kernels.multiply(left.words, right.words, plan.primes))
    evaluated, product = _timed(lambda: evaluator.gram(left, right))
    decrypted, _ = _timed(lambda: decryptor.decrypt(product))
    rates = _rates(plan, seconds, multiplied, evaluated - multiplied, decrypted)
    return replace(rates, prepare=_measure_items())


def _measure_items() -> float:
    plan = plan_score(
        scheme="ckks",
        factors=_FACTORS,
        shoppers=_FACTORS,
        items=_ITEMS,
        retailers=2,
        operand_bound=1.0,
        precision=_PRECISION,
        **_NOISE,
    )
    items = np.full((_FACTORS, _ITEMS), 1.0 / _FACTORS)
    prepared, _ = _timed(lambda: encoded_items(plan, items))
    return 1e6 * prepared / work(plan).prepare


def _measure_similarity() -> Work:
    plan = plan_similarity(
        scheme="ckks",
        inner=_INNER,
        left=_ROWS,
        right=_ROWS,
        precision=_ROUGH_PRECISION,
        encryption=PUBLIC_KEY,
        concealed=True,
    )
    # Without concealment the same products take as long; the difference is that of the masks.
    bare = replace(plan, concealed=False)
    encryptor, evaluator, decryptor = _parties(plan)
    _, operands = _encrypted(bare, encryptor)
    multiplied, _ = _timed(lambda: _count(evaluator.similarity(*operands)))
    seconds, concealed = _encrypted(plan, encryptor)
    evaluated, tiles = _timed(lambda: list(evaluator.similarity(*concealed)))
    decrypted, _ = _timed(lambda: _count(decryptor.panels(plan, tiles)))
    return _rates(plan, seconds, multiplied, evaluated - multiplied, decrypted)


def _measure_sum() -> Work:
    plan = plan_sum(
        scheme="ckks", values=_VALUES, summands=2, value_bound=1.0, precision=_PRECISION
    )
    scheme = streaming_scheme(plan.scheme)
    encryptor, evaluator, decryptor = _parties(plan)
    seconds, operands = _encrypted(plan, encryptor)
    uploads = [operand.to_bytes() for operand in operands]
    # To read a vector takes longer than to add it.
    added, total = _timed(
        lambda: evaluator.sum([scheme.operand(plan, LEFT, upload) for upload in uploads])
    )
    decrypted, _ = _timed(lambda: decryptor.decrypt_sum(plan, total))
    return _rates(plan, seconds, added, 0.0, decrypted)


def _parties(plan: Plan) -> tuple[StreamingEncryptor, StreamingEvaluator, StreamingDecryptor]:
    scheme = streaming_scheme(plan.scheme)
    secret, public = scheme.generate_keys(plan.parameters)
    return (
        scheme.encryptor(plan.parameters, public),
        scheme.evaluator(plan.parameters, public, secrets.token_bytes),
        scheme.decryptor(secret),
    )


def _encrypted(plan: Plan, encryptor: StreamingEncryptor) -> tuple[float, list[Any]]:
    """Time the encryption of both operands, or of two summands."""
    sides = (LEFT, RIGHT) if RIGHT in plan.encrypted_sides else (LEFT, LEFT)

    def encrypt() -> list[Any]:
        zeros = [np.zeros(plan.matrix_shape(side)) for side in sides]
        pairs = zip(sides, zeros, strict=True)
        return [encryptor.encrypt(encryptor.encode(plan, side, zero)) for side, zero in pairs]

    return _timed(encrypt)


def _rates(
    plan: Plan, encrypted: float, multiplied: float, concealed: float, decrypted: float
) -> Work:
    units = work(plan)
    return Work(
        encrypt=1e6 * encrypted / units.encrypt,
        prepare=0.0,
        multiply=1e6 * multiplied / units.multiply,
        conceal=1e6 * max(concealed, 0.0) / max(units.conceal, 1),
        decrypt=1e6 * decrypted / units.decrypt,
    )


def _count(results: Iterable[object]) -> int:
    return sum(1 for _ in results)


def _timed(job: Callable[[], T]) -> tuple[float, T]:
    """Return the median seconds of some runs after one that warms up, and the last result."""
    result = job()
    spent = []
    for _ in range(_REPETITIONS):
        start = time.perf_counter()
        result = job()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent), result
