"""Replace a party's certificate while the coalition runs (control C04).

:func:`renew` issues the new certificate and lets both count for a while; :class:`IdentityFiles`
makes a running server show the new one at its next handshake.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from hecf.errors import ConfigurationError
from hecf.kits.configuration import PartyConfiguration
from hecf.kits.files import read_limited, read_private, write_private
from hecf.kits.kit import Kit, load_identity
from hecf.protocol.terms import Terms
from hecf.rpc.allowed import AllowedCertificates, fingerprint_of
from hecf.rpc.credentials import TransportIdentity
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER
from parties.provisioning.certificates import CertificateAuthority, Credential

_LARGEST_FILE = 1 << 20
_LONGEST_OVERLAP_HOURS = 24 * 30


@dataclass(frozen=True)
class Renewal:
    """What a renewal changed.

    Parameters
    ----------
    fingerprint : str
        SHA-256 of the new certificate.
    until : datetime
        When the certificates before it stop counting.
    files : tuple of Path
        What was written, for their parties.
    """

    fingerprint: str
    until: datetime
    files: tuple[Path, ...]


def renew(
    kits: Path, name: str, *, overlap_hours: float = 24.0, now: datetime | None = None
) -> Renewal:
    """Issue a new certificate to a party, and let its old one count until the overlap ends.

    The lists of node and key holder are written first: a certificate that nobody allows yet must
    never be the one that a party shows.

    Parameters
    ----------
    kits : Path
        Folder that ``hecf provision`` made, with the authority in it.
    name : str
        Name of the party, for example a retailer.
    overlap_hours : float
        How long both certificates count; 0 revokes the old one at once.
    now : datetime, optional
        Aware time; the current time by default.

    Raises
    ------
    ConfigurationError
        If the overlap is out of range, a file is missing or cannot be written, or the authority
        has expired.
    """
    if not 0 <= overlap_hours <= _LONGEST_OVERLAP_HOURS:
        raise ConfigurationError(
            "the overlap is out of range",
            got=f"{overlap_hours:g} hours",
            expected=f"0 to {_LONGEST_OVERLAP_HOURS} hours",
        )
    issued = now or datetime.now(UTC)
    folder = kits / name
    if not (folder / "party.toml").is_file():
        raise ConfigurationError(f"{folder} is no kit", expected="a folder of hecf provision")
    # Not the whole kit: after an interruption the certificate and the key in it may not fit.
    configuration = PartyConfiguration.load(folder / "party.toml")
    files = configuration.files
    terms = Terms.from_json(read_limited(files.terms, _LARGEST_FILE).decode("utf-8", "replace"))
    authority = CertificateAuthority(
        terms.identifier,
        Credential(
            read_limited(kits / "authority" / "certificate.pem", _LARGEST_FILE),
            read_private(kits / "authority" / "private-key.pem"),
        ),
    )
    credential = authority.issue(configuration.party.role, name, now=issued)
    fingerprint = fingerprint_of(credential.certificate)
    until = issued + timedelta(hours=overlap_hours)
    lists = [kits / server / "allowed.txt" for server in (COMPUTE_NODE, KEY_HOLDER)]
    texts = [
        AllowedCertificates.from_text(read_limited(path, _LARGEST_FILE).decode("utf-8", "replace"))
        .renewed(name, fingerprint, until)
        .to_text()
        for path in lists
    ]
    for path, text in zip(lists, texts, strict=True):
        write_private(path, text.encode())
    # Between the two a running server sees a pair that does not fit, and keeps the one it has.
    write_private(files.private_key, credential.private_key)
    write_private(files.certificate, credential.certificate)
    return Renewal(fingerprint, until, (*lists, files.private_key, files.certificate))


class IdentityFiles:
    """The identity of a kit as its files have it now.

    Parameters
    ----------
    kit : Kit
    """

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._lock = threading.Lock()
        self._identity = kit.identity
        self._mark = self._marked()

    def __call__(self) -> TransportIdentity:
        """Return the identity; files that do not fit together leave the one before in place."""
        with self._lock:
            mark = self._marked()
            if mark != self._mark:
                self._mark = mark
                self._read()
            return self._identity

    def _read(self) -> None:
        log = structlog.get_logger("hecf.rpc")
        try:
            self._identity = load_identity(self._kit.configuration.files, self._kit.party)
        except ConfigurationError as error:
            log.warning("renewed certificate not taken yet", reason=error.message)
        else:
            log.info("renewed certificate taken")

    def _marked(self) -> tuple[tuple[int, int], ...]:
        files = self._kit.configuration.files
        try:
            found = [path.stat() for path in (files.certificate, files.private_key)]
        except OSError:
            return ()
        return tuple((status.st_ino, status.st_mtime_ns) for status in found)
