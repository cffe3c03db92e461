"""A worker process: what comes back, what it may not take, and that its death costs one job (C09).

The handlers below run in the worker, which imports this module.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from processes import alive, until

from hecf.errors import (
    ConfigurationError,
    InternalFailure,
    MalformedMessage,
    PartyMissing,
    Unavailable,
)
from parties.system.worker import DIED, TOO_LONG, Handler, Job, Worker, WorkerLimits

LIMITS = WorkerLimits(memory_bytes=1 << 31, job_seconds=60.0, answer_bytes=1 << 20)
SECRET = "secret path /etc/x of shopper 4711"


def handler(greeting: str) -> Handler:
    def handle(job: Job) -> Job:
        what = job.fields["what"]
        if what == "greet":
            return Job({"text": greeting, "pid": os.getpid()}, job.data[::-1])
        if what == "refuse":
            raise MalformedMessage("bytes of another form", got=1, expected=2)
        if what == "fail":
            raise RuntimeError(SECRET)
        if what == "fault":
            ctypes.string_at(0)
        if what == "allocate":
            np.ones(10 << 30, dtype=np.uint8)
        if what == "hoard":
            # As C code does that does not look at what malloc returns.
            libc = ctypes.CDLL(None)
            libc.malloc.restype = ctypes.c_void_p
            ctypes.memset(libc.malloc(ctypes.c_size_t(10 << 30)) or 0, 1, 8)
        if what == "sleep":
            time.sleep(600)
        if what == "spin":
            while True:
                pass
        if what == "add up":
            return Job({"lengths": [len(part) for part in job.parts]})
        if what == "stop early":
            next(iter(job.parts))
            raise MalformedMessage("the first part has another form")
        if what == "boast":
            return Job({}, bytes(LIMITS.answer_bytes + 1))
        if what == "leave":
            os._exit(0)
        return Job({})

    return handle


def babbler() -> Handler:
    """A worker that was taken over and answers what it likes."""

    def handle(job: Job) -> Job:
        connection = next(
            value
            for value in worker_frames()
            if type(value).__name__ == "Connection" and value.writable
        )
        connection.send_bytes(job.data)
        connection.send_bytes(b"")
        os._exit(0)

    return handle


def worker_frames() -> Iterator[object]:
    import sys

    frame = sys._getframe()
    while frame is not None:
        yield from frame.f_locals.values()
        frame = frame.f_back  # type: ignore[assignment]


@pytest.fixture(scope="module")
def shared() -> Iterator[Worker]:
    made = Worker(handler, ("good day",), LIMITS)
    yield made
    made.close()


def pid_of(made: Worker) -> int:
    return int(made.run(Job({"what": "greet"})).fields["pid"])


def test_fields_and_bytes_come_back_from_another_process(shared: Worker) -> None:
    answer = shared.run(Job({"what": "greet"}, b"abc"))
    assert answer.fields["text"] == "good day"
    assert answer.data == b"cba"
    assert answer.fields["pid"] != os.getpid()
    assert pid_of(shared) == answer.fields["pid"]


def test_a_deliberate_error_comes_back_and_another_tells_nothing(shared: Worker) -> None:
    pid = pid_of(shared)
    with pytest.raises(MalformedMessage, match=r"^bytes of another form: got 1, expected 2$"):
        shared.run(Job({"what": "refuse"}))
    with pytest.raises(InternalFailure) as got:
        shared.run(Job({"what": "fail"}))
    assert "secret" not in str(got.value)
    assert pid_of(shared) == pid


@pytest.mark.parametrize("what", ["fault", "allocate", "hoard", "boast"])
def test_whatever_kills_a_worker_costs_one_job(shared: Worker, what: str) -> None:
    pid = pid_of(shared)
    with pytest.raises(InternalFailure) as got:
        shared.run(Job({"what": what}))
    assert str(got.value) == DIED
    assert pid_of(shared) != pid
    until(lambda: not alive(pid), "the end of the worker", 5)


def test_a_worker_that_is_killed_in_the_middle_costs_one_job(shared: Worker) -> None:
    pid = pid_of(shared)
    threading.Timer(0.3, os.kill, (pid, signal.SIGSEGV)).start()
    with pytest.raises(InternalFailure, match=DIED):
        shared.run(Job({"what": "sleep"}))
    assert pid_of(shared) != pid


def test_a_job_that_takes_too_long_is_killed() -> None:
    made = Worker(handler, ("",), WorkerLimits(1 << 31, 0.5, 1 << 20))
    try:
        made.start()
        pid = made._connected()[1].pid
        assert pid is not None
        # It cannot even read the whole job while it is halted.
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(InternalFailure, match=TOO_LONG):
            made.run(Job({"what": "greet"}, bytes(1 << 22)))
        until(lambda: not alive(pid), "the end of the worker", 5)
    finally:
        made.close()


def test_a_job_whose_caller_goes_stops_within_two_seconds(shared: Worker) -> None:
    pid, gone = pid_of(shared), threading.Event()
    threading.Timer(0.3, gone.set).start()
    with pytest.raises(Unavailable):
        shared.run(Job({"what": "spin"}), lambda: not gone.is_set())
    until(lambda: not alive(pid), "the end of the work", 2)
    # The next in turn is not harmed, and one whose caller has gone already does not begin.
    pid = pid_of(shared)
    with pytest.raises(Unavailable):
        shared.run(Job({"what": "leave"}), lambda: False)
    assert pid_of(shared) == pid


def test_jobs_at_once_take_turns(shared: Worker) -> None:
    answers: list[bytes] = []
    threads = [
        threading.Thread(
            target=lambda n=n: answers.append(shared.run(Job({"what": "greet"}, b"%d" % n)).data)
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [b"%d" % n for n in range(8)]
    assert shared.waiting == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"[]",
        b"\x80\x04cposix\nsystem\n",
        b"[" * 100_000,
        b'{"error": "SYSTEM_EXIT", "text": "x"}',
    ],
)
def test_an_answer_of_another_form_is_a_dead_worker(answer: bytes) -> None:
    made = Worker(babbler, (), LIMITS)
    try:
        with pytest.raises(InternalFailure):
            made.run(Job({}, answer))
    finally:
        made.close()


def test_a_closed_worker_starts_nothing() -> None:
    made = Worker(handler, ("",), LIMITS)
    made.close()
    made.close()
    with pytest.raises(Unavailable):
        made.run(Job({"what": "greet"}))
    with pytest.raises(ConfigurationError):
        WorkerLimits(0, 1.0, 1)


def test_parts_of_a_job_follow_one_by_one(shared: Worker) -> None:
    large = bytes(1 << 20)
    taken: list[int] = []

    def parts() -> Iterator[bytes]:
        for number in range(5):
            taken.append(number)
            yield large[: 1 << (4 * number)]

    answer = shared.run(Job({"what": "add up"}, parts=parts()))
    assert answer.fields["lengths"] == [1, 16, 256, 4096, 65536]
    assert taken == [0, 1, 2, 3, 4]
    # The next job is not disturbed by parts, and has none.
    assert shared.run(Job({"what": "add up"})).fields["lengths"] == []
    assert shared.run(Job({"what": "greet"}, b"abc")).data == b"cba"


def test_a_job_that_ends_before_its_parts_costs_nothing_else(shared: Worker) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 20)

    with pytest.raises(MalformedMessage, match="the first part"):
        shared.run(Job({"what": "stop early"}, parts=endless()))
    assert shared.run(Job({"what": "greet"}, b"abc")).data == b"cba"


def test_parts_that_do_not_come_fail_their_job_by_name(shared: Worker) -> None:
    def missing() -> Iterator[bytes]:
        yield b"first"
        raise PartyMissing("alder did not act")

    with pytest.raises(PartyMissing, match="alder"):
        shared.run(Job({"what": "add up"}, parts=missing()))
    with pytest.raises(MalformedMessage, match="empty"):
        shared.run(Job({"what": "add up"}, parts=[b"first", b"", b"last"]))
    assert shared.run(Job({"what": "greet"}, b"abc")).data == b"cba"
