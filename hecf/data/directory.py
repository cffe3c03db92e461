"""The member directory: which row of every matrix belongs to which member of the programme.

Retailers turn loyalty ids into pseudonyms with a key that only they hold. The sorted pseudonyms
are the directory, and a member's row is the position of the pseudonym in it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

from hecf.errors import ConfigurationError, InvalidInput

KEY_BYTES = 32
PSEUDONYM_BYTES = 32
FORMAT_NAME = "hecf-directory"
FORMAT_VERSION = 1
_HEADER = re.compile(rf"{FORMAT_NAME} ([0-9]+) (0|[1-9][0-9]{{0,11}}) ([0-9a-f]{{64}})")
_LINE = re.compile(r"[0-9a-f]{64}")


def normalised_member_id(member_id: str) -> str:
    """Bring a member id to the one spelling that all retailers share.

    Parameters
    ----------
    member_id : str

    Returns
    -------
    str
        In Unicode normal form NFC (UAX #15), without white space around it.

    Raises
    ------
    InvalidInput
        If the id is not text, is blank, or holds code points that UTF-8 cannot express.
    """
    if not isinstance(member_id, str):
        raise InvalidInput("a member id is not text", got=type(member_id).__name__, expected="str")
    normalised = unicodedata.normalize("NFC", member_id).strip()
    if not normalised:
        raise InvalidInput("a member id is empty", got="0 characters", expected="at least 1")
    try:
        normalised.encode()
    except UnicodeEncodeError:
        raise InvalidInput(
            "a member id is not valid Unicode", got="lone surrogates", expected="UTF-8 text"
        ) from None
    return normalised


class PseudonymKey:
    """The secret that turns member ids into pseudonyms, one for each coalition.

    A pseudonym is HMAC-SHA-256 (RFC 2104, FIPS 198-1) of the normalised id.

    Security
    --------
    Loyalty ids are few and regular, so an unkeyed hash of them falls to brute force in minutes;
    whoever holds this key can do the same. Only retailers may hold it: never the compute node
    and never the key holder. Two coalitions with different keys cannot link their members.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if not isinstance(secret, bytes):
            raise InvalidInput(
                "a pseudonym key is not bytes", got=type(secret).__name__, expected="bytes"
            )
        if len(secret) != KEY_BYTES:
            raise InvalidInput(
                "a pseudonym key has another length",
                got=f"{len(secret)} bytes",
                expected=f"{KEY_BYTES} bytes",
            )
        self._secret = secret

    @classmethod
    def generate(cls) -> PseudonymKey:
        """Draw a new key from the operating system's generator."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def from_bytes(cls, secret: bytes) -> PseudonymKey:
        """Make the key from the 32 bytes of :meth:`to_bytes`.

        Raises
        ------
        InvalidInput
            If there are not exactly 32 bytes.
        """
        return cls(secret)

    def to_bytes(self) -> bytes:
        """Return the 32 secret bytes, for a file that only the retailer can read."""
        return self._secret

    def pseudonym(self, member_id: str) -> bytes:
        """Pseudonym of a member: 32 bytes, the same at every retailer that holds the key.

        Raises
        ------
        InvalidInput
            If the id is empty or not valid text.
        """
        text = normalised_member_id(member_id)
        return hmac.digest(self._secret, text.encode(), "sha256")

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that tell keys apart and say nothing of the secret."""
        return hashlib.sha256(b"hecf pseudonym key fingerprint 1\0" + self._secret).hexdigest()[:8]

    def __repr__(self) -> str:
        return f"PseudonymKey(fingerprint={self.fingerprint})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PseudonymKey):
            return NotImplemented
        return hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash((PseudonymKey, self.fingerprint))

    def __reduce__(self) -> NoReturn:
        """Refuse: a pickled or copied secret would travel unnoticed."""
        raise TypeError("a PseudonymKey cannot be pickled or copied; use to_bytes on purpose")


@dataclass(frozen=True, repr=False)
class MemberDirectory:
    """Pseudonyms of all members in the agreed order.

    Parameters
    ----------
    pseudonyms : tuple of bytes
        32 bytes each, strictly ascending. The position is the row in every matrix.

    Raises
    ------
    InvalidInput
        If there is none, one has another length, or they are not sorted and different.

    Security
    --------
    The directory reveals nothing of a member to who lacks the pseudonym key, but together with
    the key it lists the whole membership. It belongs to the retailers.
    """

    pseudonyms: tuple[bytes, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "pseudonyms", tuple(self.pseudonyms))
        if not self.pseudonyms:
            raise InvalidInput("a member directory is empty", got=0, expected="at least 1 member")
        wrong = sum(
            not isinstance(entry, bytes) or len(entry) != PSEUDONYM_BYTES
            for entry in self.pseudonyms
        )
        if wrong:
            raise InvalidInput(
                "a member directory holds entries that are no pseudonyms",
                got=f"{wrong} of {len(self.pseudonyms)}",
                expected=f"{PSEUDONYM_BYTES} bytes each",
            )
        falling = sum(
            before >= after
            for before, after in zip(self.pseudonyms, self.pseudonyms[1:], strict=False)
        )
        if falling:
            raise InvalidInput(
                "the pseudonyms of a member directory are not sorted and different",
                got=f"{falling} out of order or doubled",
                expected="strictly ascending",
            )

    @classmethod
    def from_members(cls, key: PseudonymKey, ids: Iterable[str]) -> MemberDirectory:
        """Make the directory of the members with these ids, in whatever order they come.

        Raises
        ------
        InvalidInput
            If an id is empty, or several ids are the same member after normalisation.
        """
        if isinstance(ids, str | bytes):
            raise InvalidInput(
                "member ids are one text", got=type(ids).__name__, expected="a sequence of texts"
            )
        drawn = [key.pseudonym(member_id) for member_id in ids]
        distinct = sorted(set(drawn))
        if len(distinct) != len(drawn):
            raise InvalidInput(
                "members are listed more than once",
                got=f"{len(drawn) - len(distinct)} doubled of {len(drawn)}",
                expected="different members",
            )
        return cls(tuple(distinct))

    def __len__(self) -> int:
        return len(self.pseudonyms)

    def __repr__(self) -> str:
        return f"MemberDirectory({len(self)} members, fingerprint={self.fingerprint[:8]})"

    def position(self, pseudonym: bytes) -> int | None:
        """Row of a pseudonym, or None when it is not in the directory."""
        place = bisect_left(self.pseudonyms, pseudonym)
        found = place < len(self.pseudonyms) and self.pseudonyms[place] == pseudonym
        return place if found else None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the number of members (8 bytes, big-endian) and all pseudonyms, in hex."""
        digest = hashlib.sha256(len(self.pseudonyms).to_bytes(8, "big"))
        digest.update(b"".join(self.pseudonyms))
        return digest.hexdigest()

    def to_text(self) -> str:
        """Write a header line with version, count and fingerprint, then one hex line a member."""
        header = f"{FORMAT_NAME} {FORMAT_VERSION} {len(self)} {self.fingerprint}"
        return "\n".join([header, *(entry.hex() for entry in self.pseudonyms), ""])

    @classmethod
    def from_text(cls, text: str) -> MemberDirectory:
        """Parse the text of :meth:`to_text`, and nothing that differs from it.

        Raises
        ------
        ConfigurationError
            If the header, a line, the order, the count or the fingerprint is not as written.
        """
        head, *lines = text.split("\n")
        header = _HEADER.fullmatch(head)
        if header is None:
            raise ConfigurationError(
                "the member directory has no valid first line",
                got=f"{len(head)} characters",
                expected=f"'{FORMAT_NAME} {FORMAT_VERSION} COUNT FINGERPRINT'",
            )
        version, count, fingerprint = header.groups()
        if version != str(FORMAT_VERSION):
            raise ConfigurationError(
                "the member directory has another format version",
                got=version[:12],
                expected=FORMAT_VERSION,
            )
        if not lines or lines.pop() != "":
            raise ConfigurationError(
                "the member directory is cut off",
                got="no line end after the last line",
                expected="a line end after every line",
            )
        if len(lines) != int(count):
            raise ConfigurationError(
                "the member directory is incomplete or overfull",
                got=f"{len(lines)} members",
                expected=f"{count} as its first line says",
            )
        for number, line in enumerate(lines, start=2):
            if _LINE.fullmatch(line) is None:
                raise ConfigurationError(
                    f"line {number} of the member directory is no pseudonym",
                    got=f"{len(line)} characters",
                    expected="64 lower-case hexadecimal digits",
                )
        try:
            directory = cls(tuple(bytes.fromhex(line) for line in lines))
        except InvalidInput as error:
            raise ConfigurationError(
                error.message, got=error.got, expected=error.expected
            ) from None
        if directory.fingerprint != fingerprint:
            raise ConfigurationError(
                "the member directory was changed after it was written",
                got=f"fingerprint {directory.fingerprint[:8]}",
                expected=f"{fingerprint[:8]} as its first line says",
            )
        return directory
