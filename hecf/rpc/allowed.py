"""Which certificates may call at all: an allow-list of fingerprints (control C04).

gRPC knows no revocation lists, so a server admits the certificates that a file of its kit names.
The file is looked at while the server runs; deleting a line revokes a certificate within a second,
on channels that are open already as well. A line is::

    FINGERPRINT NAME [until TIME]

with the SHA-256 of the certificate in DER, the party's name, and for a certificate that is being
replaced the time at which it stops counting. Blank lines and lines that begin with # are skipped.
"""

from __future__ import annotations

import hashlib
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from hecf.errors import ConfigurationError, PermissionDenied

LOOK_UP_SECONDS = 0.5
_LARGEST_FILE = 1 << 20
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_HEADER = """\
# SHA-256 of every certificate that may call this server. Delete a line to revoke a certificate:
# the running server notices within a second.
"""


def fingerprint_of(certificate: bytes) -> str:
    """Return the SHA-256 of a PEM certificate's DER in hexadecimal.

    Raises
    ------
    PermissionDenied
        If the text is no certificate.
    """
    try:
        der = ssl.PEM_cert_to_DER_cert(certificate.decode("ascii"))
    except ValueError:
        raise PermissionDenied("the call carries no certificate") from None
    return hashlib.sha256(der).hexdigest()


@dataclass(frozen=True)
class AllowedCertificate:
    """One line of the list.

    Parameters
    ----------
    fingerprint : str
        SHA-256 in 64 hexadecimal digits.
    name : str
        The party that the certificate was issued to.
    until : datetime, optional
        Aware time from which on it does not count any more.

    Raises
    ------
    ConfigurationError
        If a field has another form.
    """

    fingerprint: str
    name: str
    until: datetime | None = None

    def __post_init__(self) -> None:
        if _FINGERPRINT.fullmatch(self.fingerprint) is None:
            raise ConfigurationError(
                "a fingerprint has another form",
                got=repr(self.fingerprint[:80]),
                expected="64 digits of 0-9 and a-f",
            )
        if self.until is not None and self.until.tzinfo is None:
            raise ConfigurationError(
                "a time has no zone", got=self.until.isoformat(), expected="for example ...Z"
            )

    @classmethod
    def from_line(cls, line: str) -> AllowedCertificate:
        """Read a line; raises ConfigurationError."""
        words = line.split()
        if len(words) not in (2, 4) or words[2:3] not in ([], ["until"]):
            raise ConfigurationError(
                "a line of the allowed certificates has another form",
                got=repr(line[:120]),
                expected="FINGERPRINT NAME [until TIME]",
            )
        try:
            until = datetime.fromisoformat(words[3]) if len(words) == 4 else None
        except ValueError:
            raise ConfigurationError(
                "a time has another form", got=repr(words[3][:80]), expected="ISO 8601"
            ) from None
        return cls(words[0], words[1], until)

    def to_line(self) -> str:
        """Write a line."""
        end = f" until {self.until.astimezone(UTC).isoformat()}" if self.until else ""
        return f"{self.fingerprint} {self.name}{end}\n"


@dataclass(frozen=True)
class AllowedCertificates:
    """The whole list; an empty one refuses everybody."""

    entries: tuple[AllowedCertificate, ...] = ()

    @classmethod
    def of(cls, certificates: Iterable[tuple[str, bytes]]) -> AllowedCertificates:
        """List names with their PEM certificates."""
        return cls(
            tuple(AllowedCertificate(fingerprint_of(pem), name) for name, pem in certificates)
        )

    @classmethod
    def from_text(cls, text: str) -> AllowedCertificates:
        """Read a file's text.

        Raises
        ------
        ConfigurationError
            If a line is not as it should be.
        """
        lines = (line.strip() for line in text.splitlines())
        return cls(
            tuple(
                AllowedCertificate.from_line(line)
                for line in lines
                if line and not line.startswith("#")
            )
        )

    def to_text(self) -> str:
        """Write a file's text."""
        return _HEADER + "".join(entry.to_line() for entry in self.entries)

    def check(self, fingerprint: str, name: str, now: datetime) -> None:
        """Refuse a certificate that is not in the list.

        Raises
        ------
        PermissionDenied
            If the list does not have the fingerprint under this name, or its time is over.
        """
        for entry in self.entries:
            counts = entry.until is None or now < entry.until
            if counts and entry.fingerprint == fingerprint and entry.name == name:
                return
        raise PermissionDenied("this certificate is not allowed any more")

    def renewed(self, name: str, fingerprint: str, until: datetime) -> AllowedCertificates:
        """Add a party's new certificate; its others count until a time and no longer."""
        before = tuple(
            AllowedCertificate(entry.fingerprint, entry.name, min(entry.until or until, until))
            if entry.name == name
            else entry
            for entry in self.entries
        )
        return AllowedCertificates((*before, AllowedCertificate(fingerprint, name)))


class AllowedFile:
    """The list in a file, read again whenever the file changes.

    Parameters
    ----------
    path : Path
    clock : callable
        Seconds that only grow; between two looks at the file half a second passes.

    Raises
    ------
    ConfigurationError
        If the file cannot be read at the start.

    Security
    --------
    A file that vanishes or breaks while the server runs allows nobody: a list that cannot be read
    must not keep a stolen certificate alive. Replace the file in one step, as ``hecf renew`` does.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._mark = self._marked()
        self._current = self._read()
        self._looked = clock()

    def __call__(self) -> AllowedCertificates:
        """Return the list as the file has it now."""
        with self._lock:
            if self._clock() - self._looked >= LOOK_UP_SECONDS:
                self._looked = self._clock()
                mark = self._marked()
                if mark != self._mark:
                    self._mark, self._current = mark, self._again()
            return self._current

    def _again(self) -> AllowedCertificates:
        log = structlog.get_logger("hecf.rpc")
        try:
            current = self._read()
        except ConfigurationError as error:
            log.error("allowed certificates unreadable, all calls refused", reason=error.message)
            return AllowedCertificates()
        log.info("allowed certificates read again", certificates=len(current.entries))
        return current

    def _marked(self) -> Mapping[str, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return {"i": status.st_ino, "m": status.st_mtime_ns, "s": status.st_size}

    def _read(self) -> AllowedCertificates:
        try:
            with self._path.open("rb") as file:
                data = file.read(_LARGEST_FILE + 1)
            text = data.decode()
        except (OSError, UnicodeDecodeError):
            raise ConfigurationError(
                f"{self._path} cannot be read", expected="the list of allowed certificates"
            ) from None
        if len(data) > _LARGEST_FILE:
            raise ConfigurationError(
                f"{self._path} is too large", got="more", expected=f"at most {_LARGEST_FILE} bytes"
            )
        return AllowedCertificates.from_text(text)
