"""Measure this machine once, so that plans can say how long they will take."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hecf.he import kernels
from hecf.he.explain import Calibration, work
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.planner import plan_gram
from hecf.he.scheme import scheme_by_name
from parties.files import read_limited, write_public

_LARGEST_FILE = 1 << 16
_SHOPPERS, _FACTORS = 4096, 8
_PRECISION = 2.0**-16

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
        return Calibration(**json.loads(read_limited(path(), _LARGEST_FILE)))
    except (ValueError, TypeError):
        return None


def store(calibration: Calibration) -> None:
    """Keep a calibration for later plans."""
    path().parent.mkdir(parents=True, exist_ok=True)
    write_public(path(), json.dumps(asdict(calibration)).encode())


def measure() -> Calibration:
    """Time each kind of work on one encrypted product with a key of full size."""
    plan = plan_gram(
        scheme="ckks",
        rows=_SHOPPERS,
        left=_FACTORS,
        right=_FACTORS,
        precision=_PRECISION,
        statistical_bits=30,
        releases=1024,
    )
    scheme = scheme_by_name("ckks")
    secret, public = scheme.generate_keys(plan.parameters)
    encryptor = scheme.encryptor(plan.parameters, public)
    evaluator = scheme.evaluator(plan.parameters, public, secrets.token_bytes)
    decryptor = scheme.decryptor(secret)
    matrix = np.zeros((_SHOPPERS, _FACTORS))
    units = work(plan)

    def encrypt() -> list[Any]:
        return [encryptor.encrypt(encryptor.encode(plan, side, matrix)) for side in (LEFT, RIGHT)]

    encrypt()
    seconds, operands = _timed(encrypt)
    left, right = operands
    evaluator.gram(left, right)
    multiplied, _ = _timed(lambda: kernels.multiply(left.words, right.words, plan.primes))
    evaluated, product = _timed(lambda: evaluator.gram(left, right))
    decrypted, _ = _timed(lambda: decryptor.decrypt(product))
    return Calibration(
        encrypt=1e6 * seconds / units["encrypt"],
        multiply=1e6 * multiplied / units["multiply"],
        conceal=1e6 * max(evaluated - multiplied, 0.0) / units["conceal"],
        decrypt=1e6 * decrypted / units["decrypt"],
    )


def _timed(job: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = job()
    return time.perf_counter() - start, result
