"""What an operation costs every party, through the bytes that travel, beside the plan's promise.

Each party does its part as the running processes do: it parses what it gets, block by block, and
writes what it sends. A plan promises its own bytes, and the seconds of a calibration.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.harness import rng
from hecf.he.messages import HEADER_BYTES
from hecf.he.modular import Float
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.plan import ProductPlan
from hecf.he.product.planner import plan_gram, plan_score
from hecf.he.scheme import StreamingEncryptor, streaming_scheme
from hecf.he.streams import written
from hecf.he.summation.plan import SumPlan
from hecf.he.summation.planner import plan_sum
from hecf.he.work import Calibration
from hecf.measure import Measurements

PARTIES = ("encrypt", "node", "key_holder")
"""Who works, as a calibration names them; all that encrypt count together."""

FLOODING: dict[str, Any] = {"statistical_bits": 30, "releases": 4096}
PRECISION = 2.0**-16
SCHEME = streaming_scheme("ckks")


@dataclass
class Cost:
    """What was measured of an operation.

    Parameters
    ----------
    watch : Measurements
        Seconds of every party.
    up, down : int
        Bytes of all contributions, and of all results.
    error : float
        Largest absolute error against NumPy.
    """

    watch: Measurements = field(default_factory=lambda: Measurements(PARTIES))
    up: int = 0
    down: int = 0
    error: float = 0.0


@dataclass(frozen=True)
class Promise:
    """What the planner expects of an operation, which may follow its plan several times.

    Parameters
    ----------
    plan : ProductPlan or SumPlan
    encrypted : int
        How often everything that the plan encrypts is encrypted.
    computed : int
        How often its result is computed and decrypted.
    """

    plan: ProductPlan | SumPlan
    encrypted: int = 1
    computed: int = 1

    def seconds(self, calibration: Calibration) -> dict[str, float]:
        """Seconds of every party."""
        once = calibration.seconds(self.plan)
        times = {"encrypt": self.encrypted}
        return {name: times.get(name, self.computed) * once[name] for name in PARTIES}

    @property
    def up(self) -> int:
        """Bytes of all contributions."""
        sides = self.plan.encrypted_sides
        operands = sum(HEADER_BYTES + self.plan.operand_bytes(side) for side in sides)
        return self.encrypted * self.plan.summands * operands

    @property
    def down(self) -> int:
        """Bytes of all results."""
        return self.computed * (HEADER_BYTES + self.plan.result_bytes)


class Operation(Protocol):
    """An operation at one size, with its data and a fresh key."""

    promise: Promise

    def run(self, folder: Path) -> Cost:
        """Do it once; contributions lie in a folder."""
        ...


class _Keys:
    """The parties of a plan, under a fresh key."""

    def __init__(self, plan: ProductPlan | SumPlan) -> None:
        secret, public = SCHEME.generate_keys(plan.parameters)
        self.encryptor = SCHEME.encryptor(plan.parameters, public)
        self.evaluator = SCHEME.evaluator(plan.parameters, public, secrets.token_bytes)
        self.decryptor = SCHEME.decryptor(secret)


class Training:
    """Gram blocks of every pair of retailers.

    Parameters
    ----------
    shoppers, factors, retailers : int
    """

    def __init__(self, *, shoppers: int, factors: int, retailers: int) -> None:
        self._plan = plan_gram(
            scheme="ckks",
            rows=shoppers,
            left=factors,
            right=factors,
            precision=PRECISION,
            **FLOODING,
        )
        self._keys = _Keys(self._plan)
        self._embeddings = [_unit_columns(shoppers, factors, seed) for seed in range(retailers)]
        pairs = retailers * (retailers - 1) // 2
        # Who is first of every pair encrypts for the left side only, who is last for the right.
        self.promise = Promise(self._plan, retailers - 1, pairs)

    def run(self, folder: Path) -> Cost:
        """Encrypt into files, multiply pair by pair, decrypt."""
        cost = Cost()
        last = len(self._embeddings) - 1
        for number, embedding in enumerate(self._embeddings):
            sides = ([LEFT] if number < last else []) + ([RIGHT] if number else [])
            with cost.watch.stage("encrypt"):
                for side in sides:
                    self._encrypt(folder / f"{number}-{side}", side, embedding)
        cost.up = sum(path.stat().st_size for path in folder.iterdir())
        for left, right in combinations(range(last + 1), 2):
            with cost.watch.stage("node"):
                result = self._multiply(folder / f"{left}-{LEFT}", folder / f"{right}-{RIGHT}")
            with cost.watch.stage("key_holder"):
                product = SCHEME.product(self._plan, result)
                block = self._keys.decryptor.decrypt(product).unwrap()
            cost.down += len(result)
            exact = self._embeddings[left].T @ self._embeddings[right]
            cost.error = max(cost.error, float(np.abs(block - exact).max()))
        return cost

    def _encrypt(self, path: Path, side: str, embedding: Float) -> None:
        blocks = self._keys.encryptor.encrypt_blocks(self._plan, side, [embedding])
        with path.open("wb") as file:
            for chunk in written(blocks):
                file.write(chunk)

    def _multiply(self, left: Path, right: Path) -> bytes:
        accumulator = self._keys.evaluator.gram_accumulator(self._plan)
        with ExitStack() as stack:
            readers = [
                SCHEME.blocks(self._plan, side, stack.enter_context(path.open("rb")))
                for side, path in ((LEFT, left), (RIGHT, right))
            ]
            for pair in zip(*readers, strict=True):
                accumulator.add(*pair)
        data: bytes = accumulator.finish().to_bytes()
        return data


class Scoring:
    """Scores of a few shoppers from the shares of several retailers.

    Parameters
    ----------
    items, shoppers, factors, retailers : int
    """

    def __init__(self, *, items: int, shoppers: int, factors: int, retailers: int) -> None:
        self._plan = plan_score(
            scheme="ckks",
            factors=factors,
            shoppers=shoppers,
            items=items,
            retailers=retailers,
            operand_bound=1.0,
            precision=PRECISION,
            **FLOODING,
        )
        self._keys = _Keys(self._plan)
        random = rng()
        shares = (self._plan.summands, factors, shoppers)
        self._shares = random.uniform(-1, 1, shares) / self._plan.summands
        self._items = random.standard_normal((factors, items))
        self._items /= np.abs(self._items).sum(axis=0)
        self._bias = random.uniform(-0.5, 0.5, items)
        self.promise = Promise(self._plan)

    def run(self, folder: Path) -> Cost:
        """Encrypt every share, add and score, decrypt."""
        cost = Cost()
        uploads = _uploads(cost, self._keys.encryptor, self._plan, self._shares)
        with cost.watch.stage("node"):
            operands = [SCHEME.operand(self._plan, LEFT, data) for data in uploads]
            evaluator = self._keys.evaluator
            scored = evaluator.score(evaluator.add(operands), self._items, self._bias)
            result = scored.to_bytes()
        cost.down = len(result)
        with cost.watch.stage("key_holder"):
            product = SCHEME.product(self._plan, result)
            scores = self._keys.decryptor.decrypt(product).unwrap()
        exact = self._shares.sum(axis=0).T @ self._items + self._bias
        cost.error = float(np.abs(scores - exact).max())
        return cost


class Summing:
    """The sum of a vector of every retailer.

    Parameters
    ----------
    values, retailers : int
    """

    def __init__(self, *, values: int, retailers: int) -> None:
        self._plan = plan_sum(
            scheme="ckks", values=values, summands=retailers, value_bound=1.0, precision=PRECISION
        )
        self._keys = _Keys(self._plan)
        self._vectors = rng().uniform(-1, 1, (retailers, values))
        self.promise = Promise(self._plan)

    def run(self, folder: Path) -> Cost:
        """Encrypt every vector, add, decrypt."""
        cost = Cost()
        uploads = _uploads(cost, self._keys.encryptor, self._plan, self._vectors)
        with cost.watch.stage("node"):
            operands = [SCHEME.operand(self._plan, LEFT, data) for data in uploads]
            result = self._keys.evaluator.sum(operands).to_bytes()
        cost.down = len(result)
        with cost.watch.stage("key_holder"):
            total = SCHEME.operand(self._plan, LEFT, result)
            values = self._keys.decryptor.decrypt_sum(self._plan, total).unwrap()
        cost.error = float(np.abs(values - self._vectors.sum(axis=0)).max())
        return cost


def _uploads(
    cost: Cost, encryptor: StreamingEncryptor, plan: ProductPlan | SumPlan, operands: Float
) -> list[bytes]:
    with cost.watch.stage("encrypt"):
        uploads = [
            encryptor.encrypt(encryptor.encode(plan, LEFT, operand)).to_bytes()
            for operand in operands
        ]
    cost.up = sum(map(len, uploads))
    return uploads


def _unit_columns(rows: int, columns: int, seed: int) -> Float:
    matrix = rng(seed).standard_normal((rows, columns))
    lengths: Float = np.linalg.norm(matrix, axis=0)
    return matrix / lengths
