"""Decrypt in a worker process, so that a crash in the HE library fails one job only.

The worker opens the secret key itself. What it returns has passed the release gate; neither the
key nor an exact decryption crosses back.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from hecf.api.v1 import tasks_pb2
from hecf.errors import PermissionDenied
from hecf.he.modular import Float
from hecf.he.similarity.scores import TopSimilar
from hecf.kits.kit import Kit
from hecf.measure import Measurements
from hecf.protocol.released import (
    ReleasedBlindedSum,
    ReleasedScores,
    ReleasedSum,
    scores_from_bytes,
    scores_to_bytes,
    similar_from_bytes,
    similar_to_bytes,
    sum_from_bytes,
)
from hecf.protocol.tasks import GramTask, QueryTask, ScoreTask, SimilarityTask, SumTask, Task
from hecf.rpc.key_holder import LocalReleaser
from hecf.rpc.waiting import Active, always
from hecf.wire import messages
from parties.custody.key_epochs import key_store
from parties.system.worker import Handler, Job, Worker, WorkerLimits

_STAGES = ("decrypt", "release")
_SHARE = 2
"""The part of its address space that a worker's panel may fill; libraries and tiles need more."""


class WorkerReleaser:
    """A releaser that decrypts in one worker process; see :class:`hecf.rpc.key_holder.Releaser`.

    The process is killed, and with it what it has decrypted, when nobody waits any more.

    Parameters
    ----------
    path : Path
        The key holder's ``party.toml``, which the worker reads for itself.
    limits : WorkerLimits
    measurements : Measurements
        Receives the worker's seconds.
    """

    def __init__(self, path: Path, limits: WorkerLimits, measurements: Measurements) -> None:
        memory = str(limits.memory_bytes // _SHARE)
        self._worker = Worker(_releasing, (str(path), memory), limits)
        self._measurements = measurements

    @property
    def waiting(self) -> int:
        """How many decryptions wait or run."""
        return self._worker.waiting

    def start(self) -> None:
        """Start the worker before its first job."""
        self._worker.start()

    def gram(self, task: GramTask, product: bytes, active: Active = always) -> Float:
        """Decrypt and release one Gram block."""
        size = task.terms.factors
        data = self._run(task, product, active)
        return np.frombuffer(data, dtype="<f8").astype(np.float64).reshape(size, size)

    def scores(self, task: ScoreTask, product: bytes, active: Active = always) -> ReleasedScores:
        """Decrypt scores and release the best, or all of them as they are masked."""
        return scores_from_bytes(task, self._run(task, product, active))

    def sum(
        self,
        task: SumTask,
        total: bytes,
        contributors: tuple[str, ...],
        active: Active = always,
    ) -> ReleasedSum | ReleasedBlindedSum:
        """Decrypt a sum and release it."""
        return sum_from_bytes(task, self._run(task, total, active, contributors=contributors))

    def similar(
        self, task: SimilarityTask, tiles: Iterable[bytes], active: Active = always
    ) -> TopSimilar:
        """Decrypt tiles as they arrive, and release the best rows of every row."""
        return similar_from_bytes(task, self._run(task, b"", active, tiles))

    def close(self) -> None:
        """End the worker."""
        self._worker.close()

    def _run(
        self,
        task: Task,
        data: bytes,
        active: Active,
        parts: Iterable[bytes] = (),
        **more: Any,
    ) -> bytes:
        message = messages.task_message(task).SerializeToString().hex()
        answer = self._worker.run(Job({"task": message, **more}, data, parts), active)
        for stage in _STAGES:
            seconds = answer.fields.get(stage)
            if isinstance(seconds, float):
                self._measurements.add_seconds(stage, seconds)
        return answer.data


def _releasing(path: str, memory: str) -> Handler:
    kit = Kit.load(Path(path))
    secret = key_store(kit).secret()
    releaser = LocalReleaser(kit.terms, secret, secrets.token_bytes, memory=int(memory))

    def handle(job: Job) -> Job:
        message = tasks_pb2.Task.FromString(bytes.fromhex(job.fields["task"]))
        before = releaser.measurements.seconds
        data = _released(releaser, messages.task(message, kit.terms), job)
        after = releaser.measurements.seconds
        return Job({stage: after[stage] - before.get(stage, 0.0) for stage in after}, data)

    return handle


def _released(releaser: LocalReleaser, task: Task, job: Job) -> bytes:
    if isinstance(task, GramTask):
        return releaser.gram(task, job.data).astype("<f8").tobytes()
    if isinstance(task, ScoreTask):
        return scores_to_bytes(task, releaser.scores(task, job.data))
    if isinstance(task, QueryTask):
        raise PermissionDenied("who asks under its own key decrypts the answer itself")
    if isinstance(task, SimilarityTask):
        return similar_to_bytes(task, releaser.similar(task, job.parts))
    return releaser.sum(task, job.data, tuple(job.fields["contributors"])).to_bytes(task)
