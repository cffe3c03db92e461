"""Encryptions of zero in worker processes, a core each.

The workers get the public key and nothing else: the messages, which are a retailer's secrets, are
added to the encryptions of zero in the party's own process.
"""

from __future__ import annotations

import json
import secrets
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hecf.errors import ConfigurationError, InternalFailure
from hecf.he.matrices import PublicKey
from hecf.he.messages import check_residues, pack_words, unpack_words
from hecf.he.modular import Words
from hecf.he.parameters import ParameterSet
from hecf.he.plan import WORD_BYTES
from hecf.he.zeros import PublicZeros
from parties.system.worker import Handler, Job, Worker, WorkerLimits


class EncryptionPool:
    """Draws encryptions of zero in several processes; see :class:`hecf.he.zeros.ZeroEncryptions`.

    Parameters
    ----------
    public_key : PublicKey
    processes : int
    limits : WorkerLimits
        Of each process.

    Raises
    ------
    ConfigurationError
        If there is no process.
    """

    def __init__(self, public_key: PublicKey, processes: int, limits: WorkerLimits) -> None:
        if processes < 1:
            raise ConfigurationError(
                "encryption has no process", got=processes, expected="at least 1"
            )
        self._parameters = public_key.parameters
        arguments = (_described(public_key.parameters), public_key.to_bytes().hex())
        self._workers = [Worker(_drawing, arguments, limits) for _ in range(processes)]
        # The kernel ends a worker with the thread that started it, so the threads stay.
        self._threads = ThreadPoolExecutor(processes)

    def start(self) -> None:
        """Start the processes before their first job."""
        list(self._threads.map(Worker.start, self._workers))

    def draw(self, count: int, level: int) -> Words:
        """Encrypt zero `count` times: uint32 NTT values (count, 2, level, N).

        Raises
        ------
        InternalFailure
            If a process died, took too long or answered something else.
        MalformedMessage
            If a residue is not below its prime.
        """
        share, more = divmod(count, len(self._workers))
        counts = [share + (index < more) for index in range(min(count, len(self._workers)))]
        parts = self._threads.map(
            lambda worker, part: self._drawn(worker, part, level), self._workers, counts
        )
        return np.concatenate(list(parts))

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.close()
        self._threads.shutdown()

    def _drawn(self, worker: Worker, count: int, level: int) -> Words:
        answer = worker.run(Job({"count": count, "level": level}))
        shape = (count, 2, level, self._parameters.ring_degree)
        if len(answer.data) != WORD_BYTES * np.prod(shape):
            raise InternalFailure("a worker process answered something else")
        words = unpack_words(memoryview(answer.data), shape)
        check_residues(words, self._parameters.primes[:level])
        return words


def _described(parameters: ParameterSet) -> str:
    return json.dumps([parameters.ring_degree, parameters.primes, parameters.special_prime])


def _drawing(described: str, public_key: str) -> Handler:
    degree, primes, special = json.loads(described)
    parameters = ParameterSet(degree, tuple(primes), special)
    key = PublicKey.from_bytes(parameters, bytes.fromhex(public_key))
    zeros = PublicZeros(key, secrets.token_bytes)

    def handle(job: Job) -> Job:
        return Job({}, pack_words(zeros.draw(job.fields["count"], job.fields["level"])))

    return handle
