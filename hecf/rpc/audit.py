"""A log of who did what, in which deleting, changing or moving a line shows (control C25).

Every line is one JSON object that carries the SHA-256 of the line before it. A second file, the
head, remembers how many lines there are and the digest of the last, so that a log that lost its
end shows as well. A line names parties, tasks, sizes and reasons: no payload, no member, no item.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import structlog

from hecf.errors import ConfigurationError, InternalFailure, InvalidInput

START = "0" * 64
"""What the first line has in place of the digest of the line before."""

_HEAD = re.compile(r"(\d{1,18}) ([0-9a-f]{64})\n")
_PRIVATE_MODE = 0o600
_REPEAT_SECONDS = 1.0


class Audit(Protocol):
    """Takes down what happened."""

    def record(self, event: str, party: str, **fields: str | int) -> None:
        """Take down an event; once this returns it is durable.

        Raises
        ------
        InternalFailure
            If it cannot be written; what it is about must not go on then.
        """
        ...

    def refuse(self, party: str, method: str, reason: str) -> None:
        """Take down a refusal, the same one at most once a second; never raises."""
        ...


class NoAudit:
    """Takes nothing down, for coalitions in one process; see :class:`Audit`."""

    def record(self, event: str, party: str, **fields: str | int) -> None:
        """Do nothing."""

    def refuse(self, party: str, method: str, reason: str) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Head:
    """How far a log has come.

    Parameters
    ----------
    number : int
        Lines of the log.
    digest : str
        SHA-256 of the last in hexadecimal.
    """

    number: int = 0
    digest: str = START

    def to_text(self) -> str:
        """One line: number and digest."""
        return f"{self.number} {self.digest}\n"

    @classmethod
    def from_text(cls, text: str) -> Head:
        """Parse what :meth:`to_text` wrote; raises InvalidInput."""
        match = _HEAD.fullmatch(text)
        if match is None:
            raise InvalidInput("the head of the audit log has another form", expected="N DIGEST")
        return cls(int(match[1]), match[2])


def verify(data: bytes, head: Head, *, latest: bool = False) -> Head:
    """Check a log line by line, and against what another place remembers of it.

    Parameters
    ----------
    data : bytes
        The whole log.
    head : Head
        From the head file, or from the party's other log.
    latest : bool
        Whether nothing was written after `head`, but for one line before a crash.

    Returns
    -------
    Head
        Of the lines that are there.

    Raises
    ------
    InvalidInput
        If a line was deleted, changed, moved or added, naming the first that does not fit.
    """
    lines = data.split(b"\n")
    if lines.pop():
        raise InvalidInput(
            "the audit log ends in the middle of a line", got=f"line {len(lines) + 1}"
        )
    if len(lines) < head.number:
        raise InvalidInput(
            "the audit log has lost its end", got=f"{len(lines)} lines", expected=head.number
        )
    found = Head()
    passed = found == head
    for number, line in enumerate(lines, 1):
        _check_line(number, line, found.digest)
        found = Head(number, digest_of(line))
        passed = passed or found == head
    if latest and len(lines) > head.number + 1:
        raise InvalidInput(
            "lines were added to the audit log",
            got=f"{len(lines)} lines",
            expected=f"at most {head.number + 1}",
        )
    if not passed:
        raise InvalidInput("the audit log is another than its head says", got=f"{len(lines)} lines")
    return found


def digest_of(line: bytes) -> str:
    """Return the SHA-256 of a line without its end."""
    return hashlib.sha256(b"hecf audit 1\n" + line).hexdigest()


class AuditLog:
    """Appends to a log, durably; see :class:`Audit`.

    Parameters
    ----------
    path : Path
        The log; its head lies beside it with the suffix ``.head``.
    clock : callable
        Seconds that only grow, for repeated refusals.

    Raises
    ------
    ConfigurationError
        If the log that is there was changed, or cannot be read or written.

    Security
    --------
    Who can write both files can write a new history. The party's other log therefore repeats the
    head at every start and stop; keep that where this machine cannot change it.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._head_path = path.with_suffix(".head")
        self._clock = clock
        self._lock = threading.Lock()
        self._refusals: dict[tuple[str, str, str], tuple[float, int]] = {}
        try:
            self._head = self._resumed()
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._file = os.open(path, flags, _PRIVATE_MODE)
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be used", got=error.strerror, expected="a writable audit log"
            ) from None

    @property
    def head(self) -> Head:
        """How far the log has come."""
        return self._head

    def record(self, event: str, party: str, **fields: str | int) -> None:
        """Append a line and the head that goes with it."""
        with self._lock:
            head = self._head
            content: dict[str, Any] = {
                "number": head.number + 1,
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "event": event,
                "party": party,
                **fields,
                "previous": head.digest,
            }
            line = json.dumps(content, ensure_ascii=True).encode()
            try:
                _append(self._file, line + b"\n")
                self._head = Head(head.number + 1, digest_of(line))
                self._write_head()
            except OSError as error:
                raise InternalFailure(
                    "the audit log cannot be written", got=error.strerror
                ) from None

    def refuse(self, party: str, method: str, reason: str) -> None:
        """Append a refusal with how often it came since the last line about it."""
        now, key = self._clock(), (party, method, reason)
        with self._lock:
            written, unwritten = self._refusals.get(key, (-_REPEAT_SECONDS, 0))
            if now - written < _REPEAT_SECONDS:
                self._refusals[key] = written, unwritten + 1
                return
            self._refusals[key] = now, 0
        try:
            self.record("refusal", party, method=method, reason=reason, times=unwritten + 1)
        except InternalFailure:
            structlog.get_logger("hecf.rpc").error("the audit log cannot be written")

    def announce(self, event: str) -> None:
        """Record a start or stop of the party, and repeat the head in the other log."""
        self.record(event, "")
        structlog.get_logger("hecf.rpc").info(
            "audit log", at=event, number=self._head.number, digest=self._head.digest
        )

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _resumed(self) -> Head:
        if not self._path.exists() and not self._head_path.exists():
            return Head()
        data = self._path.read_bytes() if self._path.exists() else b""
        try:
            head = Head()
            if self._head_path.exists():
                head = Head.from_text(self._head_path.read_text("ascii", "replace"))
            whole = data[: data.rfind(b"\n") + 1]
            found = verify(whole, head, latest=True)
        except InvalidInput as error:
            raise ConfigurationError(
                f"{self._path} cannot be continued because {error}; "
                "keep it for whoever investigates, and move it and its head away to begin anew"
            ) from None
        if whole != data:
            # A crash in the middle of a line; what it was about was never answered.
            os.truncate(self._path, len(whole))
        return found

    def _write_head(self) -> None:
        temporary = self._head_path.with_suffix(".head.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, _PRIVATE_MODE)
        try:
            os.write(descriptor, self._head.to_text().encode())
        finally:
            os.close(descriptor)
        temporary.replace(self._head_path)


def _append(descriptor: int, data: bytes) -> None:
    before = os.fstat(descriptor).st_size
    try:
        written = os.write(descriptor, data)
        if written != len(data):
            raise OSError("short write")
        os.fsync(descriptor)
    except OSError:
        # Half a line would make every line after it look like a forgery.
        os.ftruncate(descriptor, before)
        raise


def _check_line(number: int, line: bytes, previous: str) -> None:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, Mapping) or (
        (content.get("number"), content.get("previous")) != (number, previous)
    ):
        raise InvalidInput(
            "the audit log was changed", got=f"line {number} does not follow the line before it"
        )
