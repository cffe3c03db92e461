"""Queries and answers under one's own key, their bytes, and the strict parser of those bytes.

The components c_1 of a query are uniform, so 32 bytes of seed stand for them, as in FIPS 203,
section 4.2.2, with AES-256 in counter mode (NIST SP 800-38A, section 6.5) for the stream.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from hecf.he import sampling
from hecf.he.messages import (
    Kind,
    check_words,
    header,
    open_header,
    pack_words,
    parse_words,
)
from hecf.he.modular import Words
from hecf.he.own_key.plan import OwnKeyPlan
from hecf.he.own_key.seeds import SEED_BYTES, check_seed

EXPAND_BLOCKS = 16
"""Polynomials that are expanded at once, so that they stay in the caches; part of the format."""


@dataclass(frozen=True)
class OwnKeyQuery:
    """Encrypted shoppers.

    Parameters
    ----------
    plan : OwnKeyPlan
    seed : bytes
        Expands to the components c_1. Drawn for this query alone: under a seed that is used
        twice, the difference of two queries is that of their plaintexts.
    constant : uint32 array, shape ``plan.query_shape``
        NTT values of the components c_0.
    """

    plan: OwnKeyPlan
    seed: bytes
    constant: Words

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_words(self.constant, self.plan.query_shape)

    def to_bytes(self) -> bytes:
        """Header, seed and packed words."""
        start = header(Kind.OWN_KEY_QUERY, self.plan.fingerprint)
        return start + self.seed + pack_words(self.constant)

    @classmethod
    def from_bytes(cls, plan: OwnKeyPlan, data: bytes) -> OwnKeyQuery:
        """Parse and check every residue.

        Raises
        ------
        Mismatch
            If the bytes belong to another plan.
        MalformedMessage
            If version, kind, length or a residue is not as agreed.
        """
        body = open_header(data, Kind.OWN_KEY_QUERY, plan.fingerprint, plan.query_bytes)
        (words,) = parse_words(body[SEED_BYTES:], (plan.query_shape,), plan.parameters.primes)
        return cls(plan, bytes(body[:SEED_BYTES]), words)

    @property
    def tail(self) -> Words:
        """NTT values of the components c_1, expanded from the seed."""
        return expand(self.seed, self.plan)


@dataclass(frozen=True)
class OwnKeyAnswer:
    """Encrypted scores: the useful part of the components c_0, and the components c_1.

    Parameters
    ----------
    plan : OwnKeyPlan
    constant : uint32 array, shape ``plan.constant_shape``
    tail : uint32 array, shape ``plan.tail_shape``
    """

    plan: OwnKeyPlan
    constant: Words
    tail: Words

    def __post_init__(self) -> None:
        check_words(self.constant, self.plan.constant_shape)
        check_words(self.tail, self.plan.tail_shape)

    def to_bytes(self) -> bytes:
        """Header and packed words."""
        start = header(Kind.OWN_KEY_ANSWER, self.plan.fingerprint)
        return start + pack_words(self.constant) + pack_words(self.tail)

    @classmethod
    def from_bytes(cls, plan: OwnKeyPlan, data: bytes) -> OwnKeyAnswer:
        """Parse and check every residue; errors as for :meth:`OwnKeyQuery.from_bytes`."""
        body = open_header(data, Kind.OWN_KEY_ANSWER, plan.fingerprint, plan.answer_bytes)
        shapes = (plan.constant_shape, plan.tail_shape)
        return cls(plan, *parse_words(body, shapes, plan.answer_primes))


def expand(seed: bytes, plan: OwnKeyPlan) -> Words:
    """Uniform residues of shape ``plan.query_shape`` from a seed."""
    groups, blocks = plan.query_shape[:2]
    out = np.empty(plan.query_shape, dtype=np.uint32)
    for index, prime in enumerate(plan.parameters.primes):
        key = hashlib.sha256(b"hecf own-key" + seed + bytes([index])).digest()
        stream = sampling.expanded(key)
        for group in range(groups):
            for start in range(0, blocks, EXPAND_BLOCKS):
                part = out[group, start : start + EXPAND_BLOCKS, index]
                part[...] = sampling.uniform(part.shape, prime, stream)
    return out
