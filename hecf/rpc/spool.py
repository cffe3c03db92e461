"""Uploads that are still arriving: on disk chunk by chunk, and resumable where they broke off.

::

    begin --> append, append, ... --(connection lost)--> begin, append, ... --> complete

An upload has its place (a party and one part of a task) and declares size and digest. Chunks are
written as they come, so that no upload is in memory, and what has arrived outlives a connection
and the process. Another declaration for the same place replaces it.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hecf.errors import ConfigurationError, LimitExceeded, MalformedMessage, Unavailable
from hecf.protocol.contribution import Declared

_READ_BYTES = 1 << 20
_PLACE_DIGITS = 32
_FILE = re.compile(r"([a-z][a-z0-9-]*)\.([0-9a-f]{32})\.([0-9]{1,20})\.([0-9a-f]{64})")


@dataclass(frozen=True)
class SpoolLimits:
    """Caps of what may be arriving, in bytes as declared.

    Parameters
    ----------
    upload_bytes, party_bytes, total_bytes : int
        Of one upload, of all of one party, and of everybody's.
    idle_seconds : float
        An upload that has not grown for so long is removed.

    Raises
    ------
    ConfigurationError
        If a cap is not positive.
    """

    upload_bytes: int = 1 << 30
    party_bytes: int = 1 << 31
    total_bytes: int = 1 << 33
    idle_seconds: float = 3600.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ConfigurationError(
                    f"the limit {name} is out of range", got=value, expected="more than 0"
                )


class Arriving:
    """One upload; several calls may bring the same bytes at once.

    Parameters
    ----------
    spool : Spool
    party : str
    path : Path
        Where its bytes lie.
    declared : Declared
    """

    def __init__(self, spool: Spool, party: str, path: Path, declared: Declared) -> None:
        self.party = party
        self.path = path
        self.declared = declared
        self.touched = spool.now()
        self.finishing = threading.Lock()
        self._spool = spool
        self._lock = threading.Lock()
        self._gone = False
        # What a former process has received is read again, for its digest, when it goes on.
        self._confirmed = path.stat().st_size if path.exists() else 0
        self._digest = hashlib.sha256() if self._confirmed == 0 else None

    @property
    def confirmed(self) -> int:
        """How many bytes have arrived."""
        return self._confirmed

    def append(self, offset: int, chunk: bytes) -> None:
        """Take a chunk that begins at an offset; what has arrived before is passed over.

        Raises
        ------
        Unavailable
            If bytes before it have not arrived, or the upload was given up; it must begin again.
        LimitExceeded
            If the chunk is empty or goes beyond the declared size; the upload is given up then.
            If the disk is full; it may go on later.
        """
        if not chunk:
            self._spool.discard(self)
            raise LimitExceeded("a chunk is empty", expected="at least 1 byte")
        if offset + len(chunk) > self.declared.size:
            self._spool.discard(self)
            raise LimitExceeded(
                "a payload is longer than declared", expected=f"{self.declared.size} bytes"
            )
        with self._lock:
            self._check_offset(offset)
            fresh = memoryview(chunk)[self._confirmed - offset :]
            if len(fresh):
                digest = self._hashed()
                self._spool.write(self.path, self._confirmed, fresh)
                digest.update(fresh)
                self._confirmed += len(fresh)
                self.touched = self._spool.now()

    def complete(self, position: int) -> None:
        """Check that a call has come to the end, and the digest of what has arrived.

        Raises
        ------
        Unavailable
            If the upload was given up, or bytes are missing; it may go on with them.
        MalformedMessage
            If the digest differs.
        """
        # A connection that breaks can look like the end of a stream: what has arrived is kept.
        if position != self.declared.size:
            raise Unavailable(
                "a payload is shorter than declared",
                got=f"{position} bytes",
                expected=self.declared.size,
            )
        with self._lock:
            self._check_offset(position)
            if self._hashed().hexdigest() != self.declared.digest:
                raise MalformedMessage("a payload does not have the declared digest")

    def give_up(self) -> None:
        """Remove the bytes, if they still lie here; for the spool only."""
        with self._lock:
            self._gone = True
            self.path.unlink(missing_ok=True)

    def _check_offset(self, offset: int) -> None:
        if self._gone or offset > self._confirmed:
            raise Unavailable("an upload must go on where it broke off; ask where that is")

    def _hashed(self) -> hashlib._Hash:
        if self._digest is None:
            self._digest = hashlib.sha256()
            with self.path.open("rb") as file:
                while part := file.read(_READ_BYTES):
                    self._digest.update(part)
        return self._digest


class Spool:
    """The uploads that are arriving, in a folder that only its owner can read.

    Parameters
    ----------
    folder : Path
        On the disk of the block store, which takes over complete files. Created with mode 0700.
    limits : SpoolLimits
    clock : callable
        Seconds since 1970.
    """

    def __init__(
        self,
        folder: Path,
        limits: SpoolLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.now = clock
        self._folder = folder
        self._limits = limits or SpoolLimits()
        self._lock = threading.Lock()
        self._uploads: dict[str, Arriving] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.iterdir():
            name = _FILE.fullmatch(path.name)
            if name is None or path.stat().st_size > int(name[3]):
                path.unlink()
                continue
            declared = Declared(int(name[3]), name[4])
            self._uploads[f"{name[1]}.{name[2]}"] = Arriving(self, name[1], path, declared)

    def confirmed(self, party: str, what: str, declared: Declared) -> int:
        """Return how many bytes of an upload have arrived; none of one that is not known."""
        with self._lock:
            known = self._uploads.get(_place(party, what))
            return known.confirmed if known is not None and known.declared == declared else 0

    def begin(self, party: str, what: str, declared: Declared) -> Arriving:
        """Begin an upload, or go on with it.

        Parameters
        ----------
        party, what : str
            Who sends it, and which part of which task it is.
        declared : Declared

        Raises
        ------
        LimitExceeded
            If more is declared than may arrive at once.
        """
        limits = self._limits
        if declared.size > limits.upload_bytes:
            raise LimitExceeded(
                "a payload is too large",
                got=f"{declared.size} bytes",
                expected=f"at most {limits.upload_bytes}",
            )
        place = _place(party, what)
        with self._lock:
            self._remove_idle()
            known = self._uploads.get(place)
            if known is not None and known.declared == declared:
                return known
            if known is not None:
                self._remove(place)
            others = list(self._uploads.values())
            own = sum(each.declared.size for each in others if each.party == party)
            total = sum(each.declared.size for each in others)
            for used, most, whose in (
                (own, limits.party_bytes, "this party has"),
                (total, limits.total_bytes, "all parties have"),
            ):
                if used + declared.size > most:
                    raise LimitExceeded(
                        f"{whose} too many bytes arriving at once",
                        got=f"{used + declared.size} bytes",
                        expected=f"at most {most}",
                    )
            path = self._folder / f"{place}.{declared.size}.{declared.digest}"
            self._uploads[place] = Arriving(self, party, path, declared)
            return self._uploads[place]

    def discard(self, upload: Arriving) -> None:
        """Give an upload up, or forget one whose file was taken over."""
        with self._lock:
            for place, known in self._uploads.items():
                if known is upload:
                    self._remove(place)
                    return

    def write(self, path: Path, offset: int, data: memoryview) -> None:
        """Write bytes of an upload behind those that have arrived.

        Raises
        ------
        LimitExceeded
            If the disk is full; what was there before counts on.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.seek(offset)
                file.write(data)
        except OSError as error:
            raise LimitExceeded("an upload cannot be stored", got=error.strerror) from None

    def _remove_idle(self) -> None:
        latest = self.now() - self._limits.idle_seconds
        for place in [key for key, each in self._uploads.items() if each.touched < latest]:
            self._remove(place)

    def _remove(self, place: str) -> None:
        self._uploads.pop(place).give_up()


def _place(party: str, what: str) -> str:
    return f"{party}.{hashlib.sha256(what.encode()).hexdigest()[:_PLACE_DIGITS]}"
