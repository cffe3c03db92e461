"""Change inputs in many ways, hand them to parsers, and hold the parsers to their promises.

A parser either raises a deliberate error, or returns something that passes a check which does not
use it and that is written back as the same input. It does not crash, take two seconds or grow.
"""

from __future__ import annotations

import base64
import faulthandler
import json
import random
import resource
import signal
import sys
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samples import mutate as mutate_message
from subjects import Subject

from hecf.errors import HecfError

CORPUS = Path(__file__).parent / "corpus.jsonl"
_LONGEST_KEPT = 4000
LONGEST_SECONDS = 2.0
LARGEST_GROWTH = 64 << 20
_SHORTEST_FOR_HEADERS = 200
_TOKENS = (
    b"",
    b"\0",
    b"\xff" * 8,
    b"-1",
    b"1e999",
    b"NaN",
    b"9" * 400,
    b"[" * 2000,
    b'{"a":' * 500,
    b"\r\n",
    b"\xf0\x9f\x98\x80",
    b"\xed\xa0\x80",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"true",
    b"null",
)


class Broken(AssertionError):
    """A parser broke a promise; the message says which and on what."""


@dataclass(frozen=True)
class Verdict:
    """What a parser did with many inputs."""

    inputs: int
    accepted: int
    longest_seconds: float
    growth_bytes: int


def mutate(data: bytes, source: random.Random, others: list[bytes]) -> bytes:
    """Change an input once or a few times."""
    if len(data) > _SHORTEST_FOR_HEADERS and source.random() < 0.6:
        return mutate_message(data, source)
    out = bytearray(data)
    for _ in range(source.choice([1, 1, 1, 2, 4])):
        place, end = (source.randrange(len(out) + 1) for _ in range(2))
        kind = source.randrange(7)
        if kind == 0 and out:
            out[min(place, len(out) - 1)] ^= 1 << source.randrange(8)
        elif kind == 1:
            out[place:place] = source.choice(_TOKENS)
        elif kind == 2:
            del out[min(place, end) : min(place, end) + source.randrange(1, 40)]
        elif kind == 3:
            out[place:place] = out[min(place, end) : min(place, end) + source.randrange(1, 200)]
        elif kind == 4:
            out[place : place + 8] = source.randbytes(len(out[place : place + 8]))
        elif kind == 5:
            other = source.choice(others)
            out[place:] = other[min(place, len(other)) :][: 1 << 16]
        else:
            out[place : place + source.randrange(1, 12)] = source.choice(_TOKENS)
    return bytes(out)


def judge(subject: Subject, data: bytes) -> bool:
    """Hand over one input; return whether it was accepted.

    Raises
    ------
    Broken
        If a promise is broken.
    """
    message = subject.message
    started = time.monotonic()
    try:
        parsed: Any = message.parse(data)
    except HecfError as error:
        parsed = None
        if len(str(error)) > 2000:
            raise Broken("an error repeats what it was sent") from None
    except BaseException as error:
        raise Broken(f"{type(error).__name__}: {error}"[:300]) from error
    if time.monotonic() - started > LONGEST_SECONDS:
        raise Broken(f"{time.monotonic() - started:.1f} seconds")
    if parsed is None:
        return False
    if not message.valid(parsed):
        raise Broken("what was accepted is not valid")
    written = message.write(parsed)
    if subject.exact and written != data:
        raise Broken("what was accepted is written in another form")
    if not subject.exact and message.write(message.parse(written)) != written:
        raise Broken("what was accepted changes when it is written and parsed")
    return True


def fuzz(name: str, subject: Subject, others: list[bytes], inputs: int, seed: int) -> Verdict:
    """Try many inputs on one parser.

    Raises
    ------
    Broken
        On the first input that breaks a promise, which is kept in the corpus.
    """
    faulthandler.enable()
    source = random.Random(f"{name} {seed}")
    if not judge(subject, subject.message.data):
        raise Broken(f"{name}: its own input is refused")
    outcomes: Counter[bool] = Counter()
    longest, before = 0.0, 0
    for number in range(inputs):
        data = mutate(subject.message.data, source, others)
        started = time.monotonic()
        # Without a handler the alarm ends the process, so that a hang in C is an end as well.
        signal.setitimer(signal.ITIMER_REAL, 10 * LONGEST_SECONDS)
        try:
            outcomes[judge(subject, data)] += 1
        except Broken as broken:
            keep(name, data)
            raise Broken(f"{name}: {broken}; kept in {CORPUS.name}") from broken
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        longest = max(longest, time.monotonic() - started)
        if number == inputs // 4:
            before = resident()
    growth = resident() - before
    if growth > LARGEST_GROWTH:
        raise Broken(f"{name}: grew by {growth >> 20} MiB")
    return Verdict(inputs, outcomes[True], longest, growth)


def keep(name: str, data: bytes) -> None:
    """Add an input to the corpus, which the tests try again."""
    line = {"parser": name, "input": base64.b64encode(zlib.compress(data, 9)).decode()}
    with CORPUS.open("a") as file:
        file.write(json.dumps(line) + "\n")


def kept() -> dict[str, list[bytes]]:
    """Inputs of the corpus by parser."""
    found: dict[str, list[bytes]] = {}
    for line in CORPUS.read_text().splitlines():
        entry = json.loads(line)
        data = zlib.decompress(base64.b64decode(entry["input"]))
        found.setdefault(entry["parser"], []).append(data)
    return found


def collect(name: str, subject: Subject, others: list[bytes], inputs: int, seed: int) -> int:
    """Keep the shortest input for every way in which a parser refuses; return how many."""
    source = random.Random(f"{name} {seed}")
    shortest: dict[str, bytes] = {}
    for _ in range(inputs):
        data = mutate(subject.message.data, source, others)
        try:
            subject.message.parse(data)
        except HecfError as error:
            way = f"{type(error).__name__} {error.message}"
            if len(data) < len(shortest.get(way, bytes(_LONGEST_KEPT))):
                shortest[way] = data
    for data in shortest.values():
        keep(name, data)
    return len(shortest)


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def limit_memory(size: int) -> None:
    """Let an allocation beyond a size fail instead of taking the machine down."""
    if sys.platform.startswith("linux"):
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
