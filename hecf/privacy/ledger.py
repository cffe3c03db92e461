"""The ledger: what was spent of a coalition's release budgets, hash-chained and never less.

Two things are spent. Releases tau are counted by key epoch, because flooding protects a key.
Epsilon is counted over all epochs, because differential privacy protects shoppers, whom a new key
does not make new. An entry is made before its release, so a crash in between leaves it spent.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from hecf.errors import InvalidInput, LimitExceeded
from hecf.privacy.accounting import spent_epsilon

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class LedgerEntry:
    """One debit.

    Parameters
    ----------
    number : int
        Position in the ledger, from 1.
    previous : str
        Digest of the entry before, or of the coalition for the first; 64 hexadecimal digits.
    epoch : str
        Fingerprint of the key under which is released; 64 hexadecimal digits.
    task : str
        Identifier of the task; 64 hexadecimal digits.
    ciphertexts : int
        Releases of tau; 0 for an exact sum, which needs no flooding.
    noise_multiplier : float
        Of the Gaussian mechanism that guards the release, or 0 if none does.
    time : str
        When, as the key holder's clock says.

    Raises
    ------
    InvalidInput
        If a field is out of its range.
    """

    number: int
    previous: str
    epoch: str
    task: str
    ciphertexts: int
    noise_multiplier: float
    time: str

    def __post_init__(self) -> None:
        digests = (self.previous, self.epoch, self.task)
        texts = all(isinstance(text, str) and _DIGEST.fullmatch(text) for text in digests)
        numbers = ((self.number, 1), (self.ciphertexts, 0))
        counts = all(type(number) is int and number >= least for number, least in numbers)
        noise = self.noise_multiplier
        noisy = isinstance(noise, float) and 0 <= noise < math.inf
        if not (texts and counts and noisy and isinstance(self.time, str)):
            raise InvalidInput("an entry of the ledger is out of range", got=f"entry {self.number}")

    @property
    def digest(self) -> str:
        """SHA-256 over every field, the digest of the entry before included, in hexadecimal."""
        content = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(b"hecf ledger entry 1" + content.encode()).hexdigest()


@dataclass(frozen=True)
class LedgerHead:
    """How far a ledger had come: what its witness remembers in another place.

    Parameters
    ----------
    number : int
        Entries of the ledger.
    digest : str
        Digest of the last.
    """

    number: int
    digest: str

    def __post_init__(self) -> None:
        sound = type(self.number) is int and self.number >= 0 and isinstance(self.digest, str)
        if not sound or not _DIGEST.fullmatch(self.digest):
            raise InvalidInput("the head of a ledger is out of range")

    def to_text(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_text(cls, text: str) -> LedgerHead:
        """Parse what :meth:`to_text` wrote; raises InvalidInput."""
        return cls(**_object(text, {"number", "digest"}))


@dataclass(frozen=True)
class Ledger:
    """All debits of a coalition, in order, within its budgets.

    Parameters
    ----------
    coalition : str
        Fingerprint of the coalition's terms; 64 hexadecimal digits.
    releases : int
        tau: ciphertexts that may be released under one key.
    epsilon, delta : float
        Budget of differential privacy, or 0 and 0 if the coalition agreed on none.
    entries : tuple of LedgerEntry

    Raises
    ------
    InvalidInput
        If a budget is out of its range, or the entries do not form a chain.
    """

    coalition: str
    releases: int
    epsilon: float = 0.0
    delta: float = 0.0
    entries: tuple[LedgerEntry, ...] = ()

    def __post_init__(self) -> None:
        counted = type(self.releases) is int and self.releases >= 0
        budgeted = 0 <= self.epsilon < math.inf and 0 <= self.delta < 1
        # Epsilon is computed at a delta, so without one no budget would ever be spent.
        if not counted or not budgeted or (self.epsilon > 0 and self.delta == 0):
            raise InvalidInput(
                "the budgets of a ledger are out of range",
                got=(self.releases, self.epsilon, self.delta),
                expected="releases and epsilon from 0, and delta below 1, above 0 with an epsilon",
            )
        previous = self._start
        for number, entry in enumerate(self.entries, 1):
            if entry.number != number or entry.previous != previous:
                raise InvalidInput(
                    "the ledger is not one chain",
                    got=f"another entry at position {number}",
                    expected="every entry as it was written, in its order",
                )
            previous = entry.digest

    @property
    def head(self) -> LedgerHead:
        """Number and digest of the last entry."""
        last = self.entries[-1].digest if self.entries else self._start
        return LedgerHead(len(self.entries), last)

    def spent(self, epoch: str) -> int:
        """Ciphertexts released under a key."""
        return sum(entry.ciphertexts for entry in self.entries if entry.epoch == epoch)

    @property
    def spent_epsilon(self) -> float:
        """Epsilon spent in all epochs, at the budget's delta."""
        return self._epsilon(self._multipliers)

    def debit(
        self, *, epoch: str, task: str, ciphertexts: int, noise_multiplier: float, time: str
    ) -> Ledger:
        """Return the ledger with one more entry.

        Raises
        ------
        LimitExceeded
            If the releases under the key, or epsilon, do not suffice; nothing is spent then.
        InvalidInput
            If a field is out of its range.
        """
        entry = LedgerEntry(
            len(self.entries) + 1,
            self.head.digest,
            epoch,
            task,
            ciphertexts,
            float(noise_multiplier),
            time,
        )
        spent = self.spent(epoch)
        if spent + ciphertexts > self.releases:
            raise LimitExceeded(
                "the releases under this key are used up",
                got=f"{spent} spent and {ciphertexts} more",
                expected=f"at most {self.releases}; a rotated key has its own",
            )
        if noise_multiplier > 0 and self.epsilon > 0:
            epsilon = self._epsilon([*self._multipliers, noise_multiplier])
            if epsilon > self.epsilon * (1 + _TOLERANCE):
                raise LimitExceeded(
                    "the privacy budget is used up",
                    got=f"epsilon {epsilon:.4g} with this release",
                    expected=f"at most {self.epsilon:.4g} at delta {self.delta:.3g}",
                )
        return Ledger(
            self.coalition, self.releases, self.epsilon, self.delta, (*self.entries, entry)
        )

    def check_witness(self, witness: LedgerHead) -> None:
        """Compare with what the witness remembers.

        A ledger that is ahead by one entry belongs to a crash between the two writes.

        Raises
        ------
        InvalidInput
            If entries were removed or replaced since, or more were added than a crash explains.
        """
        behind = len(self.entries) - witness.number
        if behind < 0:
            raise InvalidInput(
                "the ledger was rolled back",
                got=f"{len(self.entries)} entries",
                expected=f"at least the {witness.number} that its witness remembers",
            )
        past = Ledger(self.coalition, self.releases, entries=self.entries[: witness.number])
        if past.head != witness or behind > 1:
            raise InvalidInput(
                "the ledger does not continue what its witness remembers",
                got=f"{len(self.entries)} entries, witness {witness.number}",
                expected="the same past, and at most one entry more",
            )

    def to_text(self) -> str:
        """JSON, one entry a line, each with its digest."""
        lines = (
            json.dumps({**asdict(entry), "digest": entry.digest}) + "\n" for entry in self.entries
        )
        return "".join(lines)

    def with_text(self, text: str) -> Ledger:
        """Return this coalition's ledger with the entries of :meth:`to_text`.

        Raises
        ------
        InvalidInput
            If a line was changed, removed, added or moved.
        """
        return Ledger(
            self.coalition, self.releases, self.epsilon, self.delta, tuple(_entries(text))
        )

    @property
    def _multipliers(self) -> list[float]:
        return [entry.noise_multiplier for entry in self.entries if entry.noise_multiplier > 0]

    def _epsilon(self, multipliers: list[float]) -> float:
        # Without an agreed delta nothing is claimed, so nothing is computed.
        return spent_epsilon(multipliers, self.delta) if self.delta > 0 else 0.0

    @property
    def _start(self) -> str:
        return hashlib.sha256(b"hecf ledger 1" + bytes.fromhex(self.coalition)).hexdigest()


def _entries(text: str) -> Iterable[LedgerEntry]:
    names = {field.name for field in fields(LedgerEntry)}
    for number, line in enumerate(text.splitlines(), 1):
        content = _object(line, {*names, "digest"})
        digest = content.pop("digest")
        entry = LedgerEntry(**content)
        if entry.digest != digest:
            raise InvalidInput(
                "an entry of the ledger was changed", got=f"entry {number} with another digest"
            )
        yield entry


def _object(text: str, names: set[str]) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or set(content) != names:
        raise InvalidInput("a line of the ledger cannot be read", expected=sorted(names))
    return content
