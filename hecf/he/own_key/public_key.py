"""The public key of a querier, half of which is expanded from a seed.

Whoever answers adds a fresh encryption of zero under this key to what it sends, so that no
component of an answer tells of its items. That rests on the second half of the key: were it for
the querier to choose, zero would do, and nothing would be hidden. So it travels as a seed, of
which it is the hash, as in FIPS 203, section 4.2.2.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from hecf.he import sampling
from hecf.he.matrices import PublicKey
from hecf.he.messages import Kind, check_words, header, open_header, pack_words, parse_words
from hecf.he.modular import Words
from hecf.he.own_key.seeds import SEED_BYTES, check_seed
from hecf.he.parameters import ParameterSet
from hecf.he.plan import WORD_BYTES


@dataclass(frozen=True)
class QuerierKey:
    """The public key of who asks and decrypts, for who answers.

    Parameters
    ----------
    parameters : ParameterSet
        Without a special prime.
    seed : bytes
        Expands to the second half of the key.
    constant : uint32 array, shape (L, N)
        NTT values of the first half.
    """

    parameters: ParameterSet
    seed: bytes
    constant: Words

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_words(self.constant, _shape(self.parameters))

    def to_bytes(self) -> bytes:
        """Header, seed and packed words."""
        start = header(Kind.QUERIER_KEY, self.parameters.fingerprint)
        return start + self.seed + pack_words(self.constant)

    @classmethod
    def from_bytes(cls, parameters: ParameterSet, data: bytes) -> QuerierKey:
        """Parse and check every residue.

        Raises
        ------
        Mismatch
            If the bytes belong to other parameters.
        MalformedMessage
            If version, kind, length or a residue is not as agreed.
        """
        shape = _shape(parameters)
        length = SEED_BYTES + WORD_BYTES * math.prod(shape)
        body = open_header(data, Kind.QUERIER_KEY, parameters.fingerprint, length)
        (words,) = parse_words(body[SEED_BYTES:], (shape,), parameters.primes)
        return cls(parameters, bytes(body[:SEED_BYTES]), words)

    @property
    def expanded(self) -> PublicKey:
        """Both halves, for an evaluator."""
        halves = np.stack([self.constant, second_half(self.parameters, self.seed)])
        return PublicKey(self.parameters, halves.astype(np.uint64))


def second_half(parameters: ParameterSet, seed: bytes) -> Words:
    """Uniform residues of shape (L, N) from a seed."""
    out = np.empty(_shape(parameters), dtype=np.uint32)
    for index, prime in enumerate(parameters.primes):
        label = b"hecf querier key" + seed + parameters.fingerprint + bytes([index])
        stream = sampling.expanded(hashlib.sha256(label).digest())
        out[index] = sampling.uniform(out[index].shape, prime, stream)
    return out


def _shape(parameters: ParameterSet) -> tuple[int, int]:
    return (len(parameters.primes), parameters.ring_degree)
