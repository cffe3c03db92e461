"""Encrypted similarity ``A B'``: against one SEAL multiplication a pair, and against NumPy.

Both jobs are own-key: a querier encrypts both matrices, the node multiplies, the querier decrypts.
What concealment would add, where the key holder is somebody else, stands in the details.
"""

from __future__ import annotations

import secrets
import statistics
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import tenseal.sealapi as sealapi
from numpy.typing import NDArray

from benchmarks.harness import Job, Result, Timing, Work, rng, seconds
from hecf.he.ckks import generate_keys
from hecf.he.plan import LEFT, RIGHT
from hecf.he.similarity.decryptor import SimilarityDecryptor
from hecf.he.similarity.encryptor import SecretRowEncryptor
from hecf.he.similarity.evaluator import SimilarityEvaluator
from hecf.he.similarity.matrices import EncryptedRows, EncryptedTile
from hecf.he.similarity.plan import SimilarityPlan, normalise_rows
from hecf.he.similarity.planner import plan_similarity
from hecf.he.similarity.scores import Panel, TopSimilar, top_similar

INNER = 256
PRECISION = 2e-4
BEST = 10
KEY_HOLDER_MARK = 10.0
SEAL_DEGREE, SEAL_PRIMES = 4096, (24, 24, 56)
SEAL_SAMPLE = 4000
SEAL_PACKED = SEAL_DEGREE // INNER

_Times = NDArray[np.float64]


class _Case:
    """Two matrices, their plan, keys and ciphertexts."""

    def __init__(self, rows: int) -> None:
        random = rng()
        self.left, self.right = (
            normalise_rows(random.standard_normal((rows, INNER))) for _ in range(2)
        )
        self.plan = plan_similarity(
            scheme="ckks", inner=INNER, left=rows, right=rows, precision=PRECISION
        )
        self.secret, self.public = generate_keys(self.plan.parameters)
        encryptor = SecretRowEncryptor(self.secret, secrets.token_bytes)
        self.operands: list[EncryptedRows] = []

        def encrypt() -> None:
            for side, matrix in ((LEFT, self.left), (RIGHT, self.right)):
                self.operands.append(encryptor.encrypt(self.plan, side, matrix))

        self.encrypt_seconds = seconds(encrypt)

    def node(self) -> None:
        """Evaluate, and drop every tile."""
        for _ in SimilarityEvaluator().evaluate(*self.operands):
            pass

    def concealment(self) -> float:
        """Cost of a concealed panel over that of a raw one."""
        rows = min(self.plan.left, self.plan.parameters.ring_degree)
        raw = replace(self.plan, left=rows, right=rows)
        # One bit less on one side makes room for the noise of concealment, at the same cost.
        hidden = replace(raw, concealed=True, left_scale_bits=raw.left_scale_bits - 1)
        times = {}
        for plan in (raw, hidden):
            operands = []
            for side in (LEFT, RIGHT):
                words = np.zeros(plan.operand_shape(side), dtype=np.uint32)
                operands.append(EncryptedRows(plan, side, words))
            node = SimilarityEvaluator(self.public, secrets.token_bytes)
            times[plan.concealed] = statistics.median(
                seconds(lambda node=node, pair=operands: list(node.evaluate(*pair)))  # type: ignore[misc]
                for _ in range(3)
            )
        return times[True] / times[False]

    def key_holder(self) -> _KeyHolder:
        """Decrypt and select the best while the node evaluates."""
        elsewhere: list[_Times] = []
        errors: list[float] = []
        degree = self.plan.parameters.ring_degree

        def checked(panels: Iterable[Panel]) -> Iterator[Panel]:
            for panel in panels:
                start = _now()
                row, column = panel.row_block * degree, panel.column_block * degree
                exact = self.left[row : row + degree] @ self.right[column : column + degree].T
                exact -= panel.values
                errors.append(float(np.abs(exact, out=exact).max()))
                del exact
                elsewhere.append(_now() - start)
                yield panel

        tiles = _timed(SimilarityEvaluator().evaluate(*self.operands), elsewhere)
        decryptor = SimilarityDecryptor(self.secret)

        def run() -> TopSimilar:
            return top_similar(self.plan, checked(decryptor.panels(self.plan, tiles)), BEST)

        tracemalloc.start()
        start = _now()
        run()
        own = _now() - start - np.sum(elsewhere, axis=0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return _KeyHolder(float(own[0]), float(own[1]), max(errors), peak)


@dataclass(frozen=True)
class _KeyHolder:
    """Seconds, processor seconds of all threads, largest error, peak bytes of both sides."""

    seconds: float
    processor_seconds: float
    error: float
    peak: int


def _now() -> _Times:
    return np.array([time.perf_counter(), time.process_time()])


def _timed(tiles: Iterator[EncryptedTile], spent: list[_Times]) -> Iterator[EncryptedTile]:
    while True:
        start = _now()
        tile = next(tiles, None)
        spent.append(_now() - start)
        if tile is None:
            return
        yield tile


def _against_seal(quick: bool) -> Result:
    rows = 200 if quick else 1000
    sample = 200 if quick else SEAL_SAMPLE
    case = _Case(rows)
    multiply = _seal_multiplication()

    def baseline() -> None:
        for _ in range(sample):
            multiply()

    case.node()
    mine: list[float] = []
    theirs: list[float] = []
    for _ in range(3 if quick else 9):
        mine.append(seconds(case.node))
        theirs.append(seconds(baseline))
    ours = Timing(tuple(mine), warm_ups=1)
    seal = Timing(tuple(theirs)).scaled(rows * rows / sample)
    holder = case.key_holder()
    return Result(
        job="similarity-1k",
        timing=ours,
        baseline="one SEAL multiplication of ciphertexts a pair of rows, from Python, ring degree "
        f"{SEAL_DEGREE}, primes {list(SEAL_PRIMES)}, scaled from {sample}",
        baseline_timing=seal,
        ratio=ours.median / seal.median,
        mark=1 / 150,
        bytes=_bytes(case.plan),
        up=case.plan.operand_bytes(LEFT) + case.plan.operand_bytes(RIGHT),
        down=case.plan.result_bytes,
        error=holder.error,
        parameters=_parameters(case.plan),
        split=_split(case, holder, ours),
        details={
            "speedup": seal.median / ours.median,
            "speedup_if_seal_packed_16_pairs": seal.median / SEAL_PACKED / ours.median,
            "seal_microseconds_a_pair": seal.median / rows / rows * 1e6,
            **_details(case, holder),
        },
    )


def _against_numpy(quick: bool) -> Result:
    rows = 1200 if quick else 10_000
    case = _Case(rows)
    holder = case.key_holder()
    left, right = (matrix.astype(np.float32) for matrix in (case.left, case.right))
    columns = np.ascontiguousarray(right.T)
    out = np.empty((rows, rows), dtype=np.float32)

    def baseline() -> None:
        np.matmul(left, columns, out=out)

    baseline()
    mine: list[float] = []
    theirs: list[float] = []
    for _ in range(3):
        mine.append(seconds(case.node))
        theirs.extend(seconds(baseline) for _ in range(3))
    # The key holder's pass above has run the node once.
    ours, plain = Timing(tuple(mine), warm_ups=1), Timing(tuple(theirs), warm_ups=1)
    return Result(
        job="similarity-10k",
        timing=ours,
        baseline="NumPy float32 A @ B.T",
        baseline_timing=plain,
        ratio=ours.median / plain.median,
        mark=25.0,
        bytes=_bytes(case.plan),
        up=case.plan.operand_bytes(LEFT) + case.plan.operand_bytes(RIGHT),
        down=case.plan.result_bytes,
        error=holder.error,
        parameters=_parameters(case.plan),
        split=_split(case, holder, ours),
        details={
            "key_holder_mark": KEY_HOLDER_MARK,
            "key_holder_met": holder.seconds <= KEY_HOLDER_MARK,
            **_details(case, holder),
        },
    )


def _split(case: _Case, holder: _KeyHolder, node: Timing) -> dict[str, float]:
    """Encrypting encodes, and decrypting takes the best."""
    return {
        "encrypt": case.encrypt_seconds,
        "compute": node.median,
        "decrypt": holder.seconds,
    }


def _details(case: _Case, holder: _KeyHolder) -> dict[str, object]:
    return {
        "key_holder_processor_seconds": holder.processor_seconds,
        "peak_bytes_beside_operands": holder.peak,
        "concealment_factor_of_node_seconds": case.concealment(),
        "worst_case_error": case.plan.error_bound,
    }


def _bytes(plan: SimilarityPlan) -> dict[str, int]:
    return {
        "left": plan.operand_bytes(LEFT),
        "right": plan.operand_bytes(RIGHT),
        "result": plan.result_bytes,
    }


def _parameters(plan: SimilarityPlan) -> dict[str, object]:
    return {
        "rows": plan.left,
        "inner": plan.inner,
        "ring_degree": plan.parameters.ring_degree,
        "primes": plan.primes,
        "scale_bits": (plan.left_scale_bits, plan.right_scale_bits),
    }


def _seal_multiplication() -> Work:
    """Return a multiplication of two fresh SEAL ciphertexts; one pair stands for all."""
    literal = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.CKKS)
    literal.set_poly_modulus_degree(SEAL_DEGREE)
    literal.set_coeff_modulus(sealapi.CoeffModulus.Create(SEAL_DEGREE, list(SEAL_PRIMES)))
    context = sealapi.SEALContext(literal, True, sealapi.SEC_LEVEL_TYPE.TC128)
    generator = sealapi.KeyGenerator(context)
    public = sealapi.PublicKey()
    generator.create_public_key(public)
    encryptor = sealapi.Encryptor(context, public)
    left, right, out = (sealapi.Ciphertext() for _ in range(3))
    for ciphertext in (left, right):
        encryptor.encrypt_zero(ciphertext)
        ciphertext.scale = 2.0**20
    evaluator = sealapi.Evaluator(context)
    return lambda: evaluator.multiply(left, right, out)


JOBS = [
    Job("similarity-1k", _against_seal),
    Job("similarity-10k", _against_numpy),
]
