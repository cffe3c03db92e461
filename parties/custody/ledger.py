"""The ledger on disk: the file itself, and a witness in a second place that remembers its head.

A debit writes the file first and the witness second, both atomically and durably, and only then is
released. A crash in between leaves the file one entry ahead: that entry counts as spent. A file
that falls behind its witness was rolled back, and is refused (control C21).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hecf.errors import ConfigurationError, HecfError
from hecf.kits.files import PRIVATE_MODE, read_private, write_private
from hecf.privacy.ledger import Ledger, LedgerHead
from hecf.protocol.terms import Terms

LEDGER = "ledger.jsonl"


class LedgerFile:
    """Keeps one coalition's ledger.

    Parameters
    ----------
    folder : Path
        Folder of the ledger.
    witness : Path
        File that remembers its head. It was written at provisioning; keep it where a backup of
        `folder` does not bring it back, best on another disk.
    terms : Terms

    Security
    --------
    Who can write both places can roll back both. The witness detects a restored backup, a lost
    file and an edit, not an operator who replaces everything.
    """

    def __init__(self, folder: Path, witness: Path, terms: Terms) -> None:
        self._folder = folder
        self._path = folder / LEDGER
        self._witness = witness
        self._empty = empty_ledger(terms)

    def read(self) -> Ledger:
        """Read and verify the ledger against its witness.

        Raises
        ------
        ConfigurationError
            If a file is missing, open to others, changed or rolled back.
        """
        text = read_private(self._path).decode("utf-8", "replace") if self._path.exists() else ""
        try:
            ledger = self._empty.with_text(text)
            head = LedgerHead.from_text(read_private(self._witness).decode("utf-8", "replace"))
            ledger.check_witness(head)
        except ConfigurationError:
            raise
        except HecfError as error:
            raise ConfigurationError(
                f"{self._path} cannot be trusted because {error.message}",
                got=error.got,
                expected=error.expected,
            ) from None
        return ledger

    def debit(self, epoch: str, task: str, ciphertexts: int, noise_multiplier: float) -> None:
        """Spend durably, before a release.

        Raises
        ------
        LimitExceeded
            If a budget does not suffice; nothing is spent then.
        ConfigurationError
            If the ledger cannot be trusted or written; nothing may be released then.
        """
        with self._alone():
            before = self.read()
            after = before.debit(
                epoch=epoch,
                task=task,
                ciphertexts=ciphertexts,
                noise_multiplier=noise_multiplier,
                time=datetime.now(UTC).isoformat(timespec="seconds"),
            )
            # After a crash between the two writes the witness is one behind; it must not be two.
            write_private(self._witness, before.head.to_text().encode())
            write_private(self._path, after.to_text().encode())
            write_private(self._witness, after.head.to_text().encode())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._folder / ".ledger.lock", flags, PRIVATE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def empty_ledger(terms: Terms) -> Ledger:
    """Return the ledger that a coalition starts with."""
    return Ledger(terms.fingerprint, terms.releases, terms.epsilon, terms.delta)
