"""The random factors that hide plaintexts: fresh n-th residues modulo n^2.

The base h = -y^2 and its n-th power h_s = h^n mod n^2 follow from n by a hash, so every party
derives the same ones and none has to trust another's. A power of h_s is then a product of entries
of a table: one for every byte of the exponent (Brickell, Gordon, McCurley and Wilson, EUROCRYPT
1992, with all 256 digits stored).
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from typing import Protocol

from hecf.errors import MalformedMessage, ParameterError
from hecf.he.messages import Kind, header, open_header
from hecf.he.paillier.arithmetic import from_octets, gmpy2, mpz, powers, to_octets
from hecf.he.paillier.keys import PublicKey
from hecf.he.paillier.parameters import CLASSIC
from hecf.he.sampling import RandomBytes

DIGITS = 256
"""Entries of a row: one for every value of a byte."""
STATISTICAL_BITS = 128
"""Bits drawn beyond n, so that a remainder is uniform up to 2^-128."""


class Blinder(Protocol):
    """A source of random factors; each is handed out once."""

    def take(self, count: int) -> list[mpz]:
        """Return that many fresh factors."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class FixedBaseTable:
    """Powers ``h_s^(d 256^i)`` for every byte d of an exponent at every place i.

    Parameters
    ----------
    public_key : PublicKey
    rows : list of list of mpz
        (places, 256) numbers modulo n^2.

    Security
    --------
    The table is public, but who changes it weakens every ciphertext made with it. Keep a stored
    one as safe from writing as the program.
    """

    public_key: PublicKey
    rows: list[list[mpz]]

    @classmethod
    def build(cls, public_key: PublicKey) -> FixedBaseTable:
        """Multiply the table out: about half a second at 3072 bits.

        Raises
        ------
        ParameterError
            If the key's randomness is classic and has no base.
        """
        modulus = public_key.n_squared
        base = residue_base(public_key)
        rows = []
        for _ in range(_places(public_key)):
            row = [mpz(1)]
            for _ in range(DIGITS - 1):
                row.append(row[-1] * base % modulus)
            rows.append(row)
            base = row[-1] * base % modulus
        return cls(public_key, rows)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the table in memory."""
        return sum(sys.getsizeof(row) + sum(map(sys.getsizeof, row)) for row in self.rows)

    def power(self, exponent: bytes) -> mpz:
        """Raise h_s to a little-endian exponent of as many bytes as there are rows."""
        modulus = self.public_key.n_squared
        product = mpz(1)
        for row, digit in zip(self.rows, exponent, strict=True):
            product = product * row[digit] % modulus
        return product

    def to_bytes(self) -> bytes:
        """Header, digest and entries, for storage on the own disk."""
        width = self.public_key.parameters.ciphertext_bytes
        entries = b"".join(to_octets(row, width) for row in self.rows)
        start = header(Kind.PAILLIER_TABLE, self.public_key.fingerprint)
        return start + hashlib.sha256(entries).digest() + entries

    @classmethod
    def from_bytes(cls, public_key: PublicKey, data: bytes) -> FixedBaseTable:
        """Read a stored table.

        Raises
        ------
        Mismatch
            If it belongs to another key.
        MalformedMessage
            If it was changed.
        """
        width = public_key.parameters.ciphertext_bytes
        length = _places(public_key) * DIGITS * width
        body = open_header(data, Kind.PAILLIER_TABLE, public_key.fingerprint, 32 + length)
        entries = body[32:]
        if hashlib.sha256(entries).digest() != bytes(body[:32]):
            raise MalformedMessage("a stored table of powers was changed")
        numbers = from_octets(entries, width)
        rows = [numbers[start : start + DIGITS] for start in range(0, len(numbers), DIGITS)]
        return cls(public_key, rows)


class Randomiser:
    """Computes random factors in this process.

    Parameters
    ----------
    public_key : PublicKey
    random : callable
        Source of cryptographically secure bytes.
    table : FixedBaseTable, optional
        A stored one; without it one is built for the first factor.
    """

    def __init__(
        self, public_key: PublicKey, random: RandomBytes, table: FixedBaseTable | None = None
    ) -> None:
        self.public_key = public_key
        self._random = random
        self._table = table

    def take(self, count: int) -> list[mpz]:
        """Compute that many fresh factors."""
        if self.public_key.parameters.randomness == CLASSIC:
            units = [self._unit() for _ in range(count)]
            return powers(units, self.public_key.n, self.public_key.n_squared) if units else []
        table = self.table
        places = len(table.rows)
        return [table.power(self._random(places)) for _ in range(count)]

    @property
    def table(self) -> FixedBaseTable:
        """The table of powers, built when it is first needed."""
        if self._table is None:
            self._table = FixedBaseTable.build(self.public_key)
        return self._table

    def _unit(self) -> mpz:
        return uniform_unit(self.public_key, self._random)


def uniform_unit(public_key: PublicKey, random: RandomBytes) -> mpz:
    """Draw a unit modulo n, uniform up to 2^-128."""
    n = public_key.n
    while True:
        octets = random(public_key.parameters.modulus_bytes + STATISTICAL_BITS // 8)
        unit = mpz.from_bytes(octets, "little") % n
        if gmpy2.gcd(unit, n) == 1:
            return unit


def unit_base(public_key: PublicKey) -> mpz:
    """Return h = -y^2 mod n with y from SHAKE-256 of n.

    Raises
    ------
    ParameterError
        If the key's randomness is classic.
    """
    if public_key.parameters.randomness == CLASSIC:
        raise ParameterError("classic Paillier randomness has no base")
    n = public_key.n
    length = public_key.parameters.modulus_bytes + STATISTICAL_BITS // 8
    digest = hashlib.shake_256(b"hecf paillier base" + public_key.to_bytes()).digest(length)
    return -(mpz.from_bytes(digest, "little") ** 2) % n


def residue_base(public_key: PublicKey) -> mpz:
    """Return h_s = h^n mod n^2; errors as for :func:`unit_base`."""
    return gmpy2.powmod(unit_base(public_key), public_key.n, public_key.n_squared)


def _places(public_key: PublicKey) -> int:
    return public_key.parameters.exponent_bits // 8
