"""Loyalty ids from pseudonyms, by hashing every id there is.

Loyalty ids are few and regular. Whoever can compute the pseudonym of an id can therefore try all
of them, whatever the hash.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence

from hecf.data import PseudonymKey
from hecf.privacy.attacks.outcome import Outcome

SUCCESS = 0.01
HASHES = ("md5", "sha1", "sha256", "sha512", "blake2b", "sha3_256")


def guesses(member_id: str, public: Sequence[bytes]) -> Iterator[bytes]:
    """Digests of an id under unkeyed hashes, and under everything public as salt or key."""
    text = member_id.encode()
    for name in HASHES:
        yield hashlib.new(name, text, usedforsecurity=False).digest()
        for salt in public:
            yield hashlib.new(name, salt + text, usedforsecurity=False).digest()
            yield hmac.digest(salt, text, name)


def found(stored: Iterable[bytes], ids: Sequence[str], public: Sequence[bytes] = ()) -> float:
    """Share of ids of which a guess stands in what somebody stores, as bytes or hexadecimal.

    Parameters
    ----------
    stored : iterable of bytes
        Contents of files or messages.
    ids : sequence of str
        The dictionary.
    public : sequence of bytes
        What anybody knows of the coalition, such as its identifier.
    """
    content = b"\0".join(stored)

    def matches(member_id: str) -> bool:
        return any(
            guess in content or guess.hex().encode() in content
            for guess in guesses(member_id, public)
        )

    return sum(map(matches, ids)) / len(ids) if ids else 0.0


def experiment(ids: Sequence[str], public: Sequence[bytes]) -> Outcome:
    """Look ids up among unkeyed hashes of them, and among pseudonyms under a fresh key.

    Parameters
    ----------
    ids : sequence of str
        Members that the attacker knows or guesses.
    public : sequence of bytes
        What anybody knows of the coalition.
    """
    key = PseudonymKey.generate()
    unkeyed = [hashlib.sha256(member.encode()).digest() for member in ids]
    return Outcome(
        attack="dictionary",
        attacker="anybody who sees pseudonyms and has a list of loyalty ids",
        measure="share of the ids that are found",
        threshold=SUCCESS,
        unprotected=found(unkeyed, ids, public),
        protected=found(map(key.pseudonym, ids), ids, public),
        protection="HMAC-SHA-256 under a key that only retailers hold",
    )
