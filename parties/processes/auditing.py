"""The audit log of a kit, and its verification from outside."""

from __future__ import annotations

from pathlib import Path

from hecf.errors import ConfigurationError, InvalidInput
from hecf.kits.files import read_limited
from hecf.kits.kit import Kit
from hecf.rpc.audit import Head, verify

AUDIT = "audit.jsonl"
_LARGEST_LOG = 1 << 32
_LARGEST_HEAD = 1 << 10


def audit_path(kit: Kit) -> Path:
    """Where a party's audit log lies."""
    return kit.state / AUDIT


def verify_file(path: Path, head: Path | None = None, anchor: str | None = None) -> Head:
    """Verify a log against its head file, and against a line that another place remembers.

    Raises
    ------
    ConfigurationError
        If a file cannot be read or the anchor has another form.
    InvalidInput
        If the log is not whole.
    """
    data = read_limited(path, _LARGEST_LOG)
    text = read_limited(head or path.with_suffix(".head"), _LARGEST_HEAD)
    found = verify(data, Head.from_text(text.decode("ascii", "replace")), latest=True)
    if anchor is not None:
        verify(data, _anchor(anchor))
    return found


def _anchor(text: str) -> Head:
    try:
        return Head.from_text(text.replace(":", " ", 1) + "\n")
    except InvalidInput:
        raise ConfigurationError(
            "the anchor has another form", got=repr(text[:100]), expected="NUMBER:DIGEST"
        ) from None
