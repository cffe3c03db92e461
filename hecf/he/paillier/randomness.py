"""The random factors that hide plaintexts: fresh n-th residues modulo n^2.

The base h = -y^2 and its n-th power h_s = h^n mod n^2 follow from n by a hash, so every party
derives the same ones and none has to trust another's. A power of h_s is then a product of entries
of a table, one for every signed digit of the exponent (Brickell, Gordon, McCurley and Wilson,
EUROCRYPT 1992); powers of the negative digits are multiplied apart and divided by at the end.

A number modulo n^2 stands as ``low (1 + slope n)`` in the table. With ``l b = q n + l'`` for the
low parts of a product, ``c' = c b + q`` collects the carries: all is arithmetic modulo n, where a
factor costs two multiplications and two divisions of half the length, a third less than modulo n^2.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from hecf.errors import MalformedMessage, ParameterError
from hecf.he.messages import Kind, header, open_header
from hecf.he.paillier.arithmetic import from_octets, gmpy2, inverses, mpz, powers, to_octets
from hecf.he.paillier.keys import PublicKey
from hecf.he.paillier.parameters import CLASSIC, WINDOW_BITS
from hecf.he.sampling import RandomBytes

LARGEST_DIGIT = 1 << (WINDOW_BITS - 1)
STATISTICAL_BITS = 128
"""Bits drawn beyond n, so that a remainder is uniform up to 2^-128."""


class Blinder(Protocol):
    """A source of random factors; each is handed out once."""

    def take(self, count: int) -> list[mpz]:
        """Return that many fresh factors."""
        ...


Entry = tuple[mpz, mpz]
"""Low part and slope of a number modulo n^2."""


@dataclass(frozen=True, eq=False, repr=False)
class FixedBaseTable:
    """Powers ``h_s^(d 512^i)`` for every digit d of 0 to 256 and every place i of an exponent.

    Parameters
    ----------
    public_key : PublicKey
    rows : list of list of (mpz, mpz)
        (places, 257) numbers modulo n^2, as low part and slope.

    Security
    --------
    The table is public, but who changes it weakens every ciphertext made with it. Keep a stored
    one as safe from writing as the program.
    """

    public_key: PublicKey
    rows: list[list[Entry]]

    @classmethod
    def build(cls, public_key: PublicKey) -> FixedBaseTable:
        """Multiply the table out: about a third of a second at 3072 bits.

        Raises
        ------
        ParameterError
            If the key's randomness is classic and has no base.
        """
        modulus = public_key.n_squared
        base = residue_base(public_key)
        numbers = []
        for _ in range(public_key.parameters.exponent_digits):
            row = [mpz(1)]
            for _ in range(LARGEST_DIGIT):
                row.append(row[-1] * base % modulus)
            numbers += row
            base = row[-1] * row[-1] % modulus
        return cls(public_key, _rows(numbers, public_key.n))

    @property
    def memory_bytes(self) -> int:
        """Bytes of the table in memory."""
        entries = (sys.getsizeof(entry) + sum(map(sys.getsizeof, entry)) for entry in self._all())
        return sum(map(sys.getsizeof, self.rows)) + sum(entries)

    def power(self, digits: Sequence[int]) -> tuple[mpz, mpz]:
        """Raise h_s to an exponent of as many digits as there are rows, the lowest first.

        Parameters
        ----------
        digits : sequence of int
            Shifted digits of 0 to 511: each stands for 256 less.

        Returns
        -------
        numerator, denominator : mpz
            Numbers modulo n^2; the power is their quotient.
        """
        n = self.public_key.n
        lows, carries, slopes = [mpz(1)] * 2, [mpz(0)] * 2, [mpz(0)] * 2
        divide = gmpy2.f_divmod
        for row, digit in zip(self.rows, digits, strict=True):
            side = digit < LARGEST_DIGIT
            low, slope = row[abs(digit - LARGEST_DIGIT)]
            carry, lows[side] = divide(lows[side] * low, n)
            carries[side] = (carries[side] * low + carry) % n
            slopes[side] += slope
        numerator, denominator = (
            low + (low * slope + carry) % n * n
            for low, carry, slope in zip(lows, carries, slopes, strict=True)
        )
        return numerator, denominator

    def to_bytes(self) -> bytes:
        """Header, digest and entries, for storage on the own disk."""
        n, width = self.public_key.n, self.public_key.parameters.ciphertext_bytes
        numbers = [low + low * slope % n * n for low, slope in self._all()]
        entries = to_octets(numbers, width)
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
        length = public_key.parameters.exponent_digits * (LARGEST_DIGIT + 1) * width
        body = open_header(data, Kind.PAILLIER_TABLE, public_key.fingerprint, 32 + length)
        entries = body[32:]
        if hashlib.sha256(entries).digest() != bytes(body[:32]):
            raise MalformedMessage("a stored table of powers was changed")
        return cls(public_key, _rows(from_octets(entries, width), public_key.n))

    def _all(self) -> Iterator[Entry]:
        return (entry for row in self.rows for entry in row)


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
        powers_of_base = [self.table.power(self._digits()) for _ in range(count)]
        modulus = self.public_key.n_squared
        divisors = inverses([denominator for _, denominator in powers_of_base], modulus)
        return [
            numerator * divisor % modulus
            for (numerator, _), divisor in zip(powers_of_base, divisors, strict=True)
        ]

    @property
    def table(self) -> FixedBaseTable:
        """The table of powers, built when it is first needed."""
        if self._table is None:
            self._table = _built(self.public_key)
        return self._table

    def _digits(self) -> list[int]:
        """Draw uniform digits: an exponent uniform over as many consecutive integers."""
        places = len(self.table.rows)
        octets = self._random(-(-places * WINDOW_BITS // 8))
        digits = gmpy2.unpack(mpz.from_bytes(octets, "little"), WINDOW_BITS)[:places]
        return [int(digit) for digit in digits] + [0] * (places - len(digits))

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


@lru_cache(maxsize=1)
def _built(public_key: PublicKey) -> FixedBaseTable:
    """Build a table, or return the one of the last key: whoever evaluates anew needs it again."""
    return FixedBaseTable.build(public_key)


def _rows(numbers: list[mpz], n: mpz) -> list[list[Entry]]:
    """Take numbers modulo n^2 apart, in rows of all digits."""
    parts = [gmpy2.f_divmod(number, n) for number in numbers]
    divisors = inverses([low for _, low in parts], n)
    entries = [
        (low, high * divisor % n) for (high, low), divisor in zip(parts, divisors, strict=True)
    ]
    size = LARGEST_DIGIT + 1
    return [entries[start : start + size] for start in range(0, len(entries), size)]
