"""Compute in a worker process, so that what contributions can break is one job (control C09).

The worker reads the blocks it is named from the node's store and writes its result there: neither
crosses the pipe. It gets the terms, the store's folder and the public key, and has no certificate.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from hecf.api.v1 import tasks_pb2
from hecf.errors import InternalFailure
from hecf.protocol.computation import computed_with
from hecf.protocol.tasks import Part, Task
from hecf.protocol.terms import Terms
from hecf.rpc.computing import LocalComputer
from hecf.rpc.store import BlockStore
from hecf.rpc.waiting import Active, always
from hecf.wire import messages
from parties.system.worker import Handler, Job, Worker, WorkerLimits

_DIGEST = re.compile(r"[0-9a-f]{64}")
BLOCK_SHARE = 16
"""Part of a worker's memory that blocks of contributions may take; results take the most."""
_TILE_SHARE = 2
"""Part of it that the tiles of a similarity and their concealment may take."""


class WorkerComputer:
    """A computer in one worker process; see :class:`hecf.rpc.computing.Computer`.

    Parameters
    ----------
    terms : Terms
    blocks : Path
        Folder of the node's store.
    limits : WorkerLimits
    """

    def __init__(self, terms: Terms, blocks: Path, limits: WorkerLimits) -> None:
        shares = (limits.memory_bytes // share for share in (BLOCK_SHARE, _TILE_SHARE))
        self._worker = Worker(_computing, (terms.to_json(), str(blocks), *map(str, shares)), limits)

    @property
    def waiting(self) -> int:
        """How many computations wait or run."""
        return self._worker.waiting

    def start(self) -> None:
        """Start the worker before its first job."""
        self._worker.start()

    def compute(
        self,
        task: Task,
        result: str,
        parts: Mapping[Part, str],
        public_key: bytes,
        active: Active = always,
    ) -> Mapping[str, str]:
        """Compute a result; the worker is killed when nobody waits for it any more."""
        fields = {
            "task": messages.task_message(task).SerializeToString().hex(),
            "result": result,
            "parts": [[name, side, digest] for (name, side), digest in parts.items()],
        }
        digests = self._worker.run(Job(fields, public_key), active).fields.get("digests")
        if not _fits(digests, computed_with(task, result)):
            raise InternalFailure("a worker process answered something else")
        return dict(digests)

    def close(self) -> None:
        """End the worker, in the middle of a job if it has one."""
        self._worker.close()


def _fits(digests: Any, results: Collection[str]) -> TypeGuard[dict[str, str]]:
    """Whether a worker's answer is a digest for each of some results, and nothing else."""
    return (
        isinstance(digests, dict)
        and set(digests) == set(results)
        and all(isinstance(each, str) and _DIGEST.fullmatch(each) for each in digests.values())
    )


def _computing(terms_json: str, blocks: str, memory: str, tile_memory: str) -> Handler:
    terms = Terms.from_json(terms_json)
    store = BlockStore(Path(blocks))
    computer = LocalComputer(
        terms, store, secrets.token_bytes, memory=int(memory), tile_memory=int(tile_memory)
    )

    def handle(job: Job) -> Job:
        task = messages.task(tasks_pb2.Task.FromString(bytes.fromhex(job.fields["task"])), terms)
        parts = {(name, side): digest for name, side, digest in job.fields["parts"]}
        digests = computer.compute(task, job.fields["result"], parts, job.data)
        return Job({"digests": dict(digests)})

    return handle
