"""Decrypt in a worker process, so that a crash in the HE library fails one job only.

The worker opens the secret key itself. What it returns has passed the release gate; neither the
key nor an exact decryption crosses back.
"""

from __future__ import annotations

import multiprocessing
import secrets
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

from hecf.api.v1 import tasks_pb2
from hecf.errors import HecfError, InternalFailure
from hecf.he.modular import Float
from hecf.measure import Measurements
from hecf.privacy.release import TopScores
from hecf.protocol.released import ReleasedSum, top_scores_from_bytes, top_scores_to_bytes
from hecf.protocol.tasks import GramTask, ScoreTask, SumTask, Task
from hecf.rpc.key_holder import LocalReleaser
from hecf.wire import messages
from parties.keystore import KeyStore
from parties.kit import Kit
from parties.ledger import LedgerFile
from parties.lifetime import die_with_parent, leave_signals_to_parent

_releaser: LocalReleaser | None = None
_kit: Kit | None = None

Job = tuple[bytes, dict[str, float], HecfError | None]


def key_store(kit: Kit) -> KeyStore:
    """Return the key store of a key holder's kit."""
    storage_key = kit.configuration.files.storage_key
    if storage_key is None:
        raise InternalFailure("the kit has no storage key")
    return KeyStore(kit.state, storage_key, kit.terms)


def ledger_file(kit: Kit) -> LedgerFile:
    """Return the ledger of a key holder's kit."""
    witness = kit.configuration.files.ledger_witness
    if witness is None:
        raise InternalFailure("the kit has no witness of its ledger")
    return LedgerFile(kit.state, witness, kit.terms)


class WorkerReleaser:
    """A releaser that decrypts in one worker process; see :class:`hecf.rpc.key_holder.Releaser`.

    Parameters
    ----------
    path : Path
        The key holder's ``party.toml``, which the worker reads for itself.
    measurements : Measurements
        Receives the worker's seconds.
    """

    def __init__(self, path: Path, measurements: Measurements) -> None:
        self._path = path
        self._measurements = measurements
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def gram(self, task: GramTask, product: bytes) -> Float:
        """Decrypt and release one Gram block."""
        data = self._run(_release_gram, product)
        size = task.terms.factors
        return np.frombuffer(data, dtype="<f8").astype(np.float64).reshape(size, size)

    def scores(self, task: ScoreTask, product: bytes) -> TopScores:
        """Decrypt scores and release the best."""
        return top_scores_from_bytes(task, self._run(_release_scores, _sent(task), product))

    def sum(self, task: SumTask, total: bytes, contributors: tuple[str, ...]) -> ReleasedSum:
        """Decrypt a sum and release it."""
        data = self._run(_release_sum, _sent(task), total, contributors)
        return ReleasedSum.from_bytes(task, data)

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(wait=True, cancel_futures=True)
                self._pool = None

    def _run(self, job: Any, *arguments: Any) -> bytes:
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    max_workers=1,
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_start,
                    initargs=(str(self._path),),
                )
            pool = self._pool
        try:
            data, seconds, error = pool.submit(job, *arguments).result()
        except BrokenProcessPool:
            with self._lock:
                if self._pool is pool:
                    self._pool = None
            raise InternalFailure("the decryption worker died; the job failed") from None
        for stage, value in seconds.items():
            self._measurements.add_seconds(stage, value)
        if error is not None:
            raise error
        return bytes(data)


def _start(path: str) -> None:
    global _kit, _releaser
    die_with_parent()
    leave_signals_to_parent()
    _kit = Kit.load(Path(path))
    _releaser = LocalReleaser(_kit.terms, key_store(_kit).secret(), secrets.token_bytes)


def _release_gram(product: bytes) -> Job:
    kit, releaser = _ready()
    return _measured(
        releaser,
        lambda: releaser.gram(GramTask(kit.terms), product).astype("<f8").tobytes(),
    )


def _release_scores(message: bytes, product: bytes) -> Job:
    kit, releaser = _ready()
    task = _received(message, kit)
    if not isinstance(task, ScoreTask):
        raise InternalFailure("the task is of another kind")
    return _measured(releaser, lambda: top_scores_to_bytes(task, releaser.scores(task, product)))


def _release_sum(message: bytes, total: bytes, contributors: tuple[str, ...]) -> Job:
    kit, releaser = _ready()
    task = _received(message, kit)
    if not isinstance(task, SumTask):
        raise InternalFailure("the task is of another kind")
    return _measured(releaser, lambda: releaser.sum(task, total, contributors).to_bytes(task))


def _sent(task: Task) -> bytes:
    return messages.task_message(task).SerializeToString()


def _received(message: bytes, kit: Kit) -> Task:
    return messages.task(tasks_pb2.Task.FromString(message), kit.terms)


def _measured(releaser: LocalReleaser, job: Any) -> Job:
    before = releaser.measurements.seconds
    data, error = b"", None
    try:
        data = job()
    except HecfError as refused:
        error = refused
    after = releaser.measurements.seconds
    return data, {stage: after[stage] - before[stage] for stage in after}, error


def _ready() -> tuple[Kit, LocalReleaser]:
    if _kit is None or _releaser is None:
        raise InternalFailure("the decryption worker has not started")
    return _kit, _releaser
