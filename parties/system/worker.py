"""One worker process for heavy or dangerous work, so that a crash fails one job (control C09).

Jobs and answers are a line of JSON and plain bytes. What comes back from a worker is treated as
bytes of a stranger: it may have been taken over by what it was given, and nothing of it is
unpickled, evaluated or trusted in its length.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import MappingProxyType
from typing import Any, Self

from hecf.errors import (
    ConfigurationError,
    HecfError,
    InternalFailure,
    MalformedMessage,
    Unavailable,
)
from hecf.kits.kit import Kit
from hecf.rpc.status import error_of, public_error, reason_of
from hecf.rpc.waiting import Active, always
from hecf.threads import limit_threads
from parties.system.lifetime import die_with_parent, leave_signals_to_parent

DIED = "a worker process died; the job failed"
TOO_LONG = "a worker process took too long; the job failed"
_LOOK_UP_SECONDS = 0.1
_LONGEST_HEADER = 1 << 20

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """What a worker is asked, or answers: fields that JSON can hold, and bytes.

    Parameters
    ----------
    fields : mapping of str to anything that JSON can hold
    data : bytes
    parts : iterable of bytes
        More of a job, which follows piece by piece while the worker is at it; an answer has none.
    """

    fields: Fields
    data: bytes = b""
    parts: Iterable[bytes] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))


Handler = Callable[[Job], Job]


@dataclass(frozen=True)
class WorkerLimits:
    """Caps of a worker.

    Parameters
    ----------
    memory_bytes : int
        Address space of the process.
    job_seconds : float
        Longest job by the clock; on all its cores together a job gets as much processor time.
    answer_bytes : int
        Largest answer.
    threads : int, optional
        Most threads of arithmetic in the process; as many as its parent has unless given.

    Raises
    ------
    ConfigurationError
        If a cap is not positive.
    """

    memory_bytes: int
    job_seconds: float
    answer_bytes: int
    threads: int | None = None

    @classmethod
    def of(cls, kit: Kit) -> Self:
        """Caps that a kit sets."""
        limits = kit.configuration.limits
        return cls(
            memory_bytes=limits.worker_memory_bytes,
            job_seconds=limits.job_seconds,
            answer_bytes=limits.upload_bytes,
            threads=limits.threads,
        )

    def __post_init__(self) -> None:
        if min(cap for cap in vars(self).values() if cap is not None) <= 0:
            raise ConfigurationError(
                "a limit of the workers is out of range", expected="more than 0"
            )


class Worker:
    """A process that does one job at a time and is replaced when it dies.

    Parameters
    ----------
    make : callable
        Called in the worker with `arguments`; returns what does the jobs. A function of a module,
        because the worker imports it.
    arguments : tuple of str
    limits : WorkerLimits
    """

    def __init__(
        self, make: Callable[..., Handler], arguments: tuple[str, ...], limits: WorkerLimits
    ) -> None:
        self._make = make
        self._arguments = arguments
        self._limits = limits
        self._turn = threading.Lock()
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._closed = False
        self._waiting = 0
        self._count = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many jobs wait or run."""
        return self._waiting

    def start(self) -> None:
        """Start the process before its first job, which is then faster."""
        with self._turn:
            self._connected()

    def run(self, job: Job, active: Active = always) -> Job:
        """Do a job.

        Parameters
        ----------
        job : Job
        active : callable
            Asked again and again; once it says False, the process is killed and the job with it.

        Raises
        ------
        HecfError
            Whatever deliberate error the handler raised.
        InternalFailure
            If the process died, took too long or failed otherwise; the next job gets a new one.
        Unavailable
            If nobody waits for the job any more.
        """
        with self._count:
            self._waiting += 1
        try:
            with self._turn:
                if not active():
                    raise Unavailable("the caller has gone")
                return self._answered(job, active)
        finally:
            with self._count:
                self._waiting -= 1

    def close(self) -> None:
        """End the process, in the middle of a job if it has one."""
        self._closed = True
        with self._turn:
            self._end()

    def _answered(self, job: Job, active: Active) -> Job:
        connection, process = self._connected()
        watch = _Watch(process, lambda: not self._closed and active(), self._limits.job_seconds)
        ended = False
        try:
            with watch:
                _send(connection, job)
                for part in job.parts:
                    if not part:
                        raise MalformedMessage("a part of a job is empty")
                    if connection.poll():
                        break
                    connection.send_bytes(part)
                connection.send_bytes(b"")
                answer = _receive(connection, self._limits.answer_bytes)
            # Killed in its last moment, the process has answered all the same.
            ended = watch.reason is None
        except HecfError:
            # What becomes of the parts on their way, such as a party that is missing.
            raise
        except (EOFError, OSError, ValueError, TypeError, RecursionError):
            raise watch.reason or InternalFailure(DIED) from None
        finally:
            # After anything but a whole answer nobody knows what the process does.
            if not ended:
                self._end()
        if "error" in answer.fields:
            if answer.fields.get("restart"):
                self._end()
            raise error_of(str(answer.fields["error"]), str(answer.fields.get("text"))[:1000])
        return answer

    def _connected(self) -> tuple[Connection, SpawnProcess]:
        if self._closed:
            raise Unavailable("this party is stopping")
        if self._connection is not None and self._process is not None and self._process.is_alive():
            return self._connection, self._process
        self._end()
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(theirs, self._make, self._arguments, self._limits), daemon=True
        )
        process.start()
        theirs.close()
        self._connection, self._process = mine, process
        return mine, process

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._connection = self._process = None


class _Watch:
    """Kills a process when its job lasts too long or nobody waits for it.

    The kill ends whatever waits for the process: also a write to one that has stopped reading.
    """

    def __init__(self, process: SpawnProcess, wanted: Active, seconds: float) -> None:
        self.reason: HecfError | None = None
        self._process = process
        self._wanted = wanted
        self._deadline = time.monotonic() + seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="job", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._done.set()
        # Not before it is sure that it kills nothing any more: the process may get another job.
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_LOOK_UP_SECONDS):
            if time.monotonic() > self._deadline:
                self.reason = InternalFailure(TOO_LONG)
            elif not self._wanted():
                self.reason = Unavailable("the caller has gone or the party is stopping")
            if self.reason is not None:
                self._process.kill()
                return


def _serve(
    connection: Connection,
    make: Callable[..., Handler],
    arguments: tuple[str, ...],
    limits: WorkerLimits,
) -> None:
    """Do jobs until the parent closes the connection."""
    die_with_parent()
    leave_signals_to_parent()
    # No core file: it would hold keys and decryptions in the clear.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    if limits.threads is not None:
        limit_threads(limits.threads)
    handle = make(*arguments)
    while True:
        # A parent that was killed has closed the connection; the kernel ends this process as well,
        # and until then there is nobody to tell.
        try:
            job = _receive(connection, None)
            parts = iter(partial(connection.recv_bytes, None), b"")
            _limit_processor_time(limits)
            _send(connection, _done(handle, Job(job.fields, job.data, parts)))
            # A job that ended early leaves parts behind; the last one is empty.
            deque(parts, maxlen=0)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


def _done(handle: Handler, job: Job) -> Job:
    try:
        return handle(job)
    except MemoryError:
        return Job({"error": reason_of(InternalFailure), "text": DIED, "restart": True})
    except Exception as error:  # whatever it is, the parent goes on
        public, _ = public_error(error)
        return Job({"error": reason_of(type(public)), "text": str(public)[:1000]})


def _limit_processor_time(limits: WorkerLimits) -> None:
    """Let the kernel end a job that uses up its processor time; a job before it does not count."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = limits.job_seconds * (os.cpu_count() or 1)
    most = math.ceil(used.ru_utime + used.ru_stime + seconds) + 1
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))


def _send(connection: Connection, job: Job) -> None:
    connection.send_bytes(json.dumps(dict(job.fields)).encode())
    connection.send_bytes(job.data)


def _receive(connection: Connection, longest: int | None) -> Job:
    fields = json.loads(connection.recv_bytes(_LONGEST_HEADER))
    data = connection.recv_bytes(longest)
    if not isinstance(fields, dict):
        raise TypeError("not a table")
    return Job(fields, data)
