"""Masks of blinded results: expanded from a seed, added to ciphertexts, taken off plaintexts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hecf.errors import MalformedMessage, Mismatch
from hecf.he import sampling
from hecf.he.blinding import MaskSeed
from hecf.he.modular import Float
from hecf.he.paillier.arithmetic import from_octets, mpz
from hecf.he.paillier.blinding import BlindedIntegers
from hecf.he.paillier.decoding import decoded
from hecf.he.paillier.keys import PublicKey
from hecf.he.paillier.product_plan import PaillierPlan

STATISTICAL_BYTES = 16
"""A mask is reduced from this many bytes more than n has, hence uniform up to 2^-128."""


def masks(public_key: PublicKey, plan: PaillierPlan, seed: MaskSeed, count: int) -> list[mpz]:
    """Expand a seed to integers that are uniform modulo n, for one plan and key each."""
    label = b"hecf paillier blinding" + seed.data + plan.fingerprint + public_key.fingerprint
    stream = sampling.expanded(hashlib.sha256(label).digest())
    width = public_key.parameters.modulus_bytes + STATISTICAL_BYTES
    return [value % public_key.n for value in from_octets(stream(width * count), width)]


def masked(
    public_key: PublicKey, plan: PaillierPlan, ciphertexts: Sequence[mpz], seed: MaskSeed
) -> list[mpz]:
    """Add masks to the plaintexts of ciphertexts."""
    n, modulus = public_key.n, public_key.n_squared
    hidden = masks(public_key, plan, seed, len(ciphertexts))
    return [c * (1 + mask * n) % modulus for c, mask in zip(ciphertexts, hidden, strict=True)]


def unmasked(blinded: BlindedIntegers, seed: MaskSeed, public_key: bytes) -> Float:
    """Take masks off and decode; see :meth:`BlindedIntegers.unblind`."""
    plan = blinded.plan
    key = PublicKey.from_bytes(plan.parameters, public_key)
    if key.fingerprint != blinded.key_fingerprint:
        raise Mismatch("a blinded result is under another key")
    residues = from_octets(blinded.octets, plan.parameters.modulus_bytes)
    if any(residue >= key.n for residue in residues):
        raise MalformedMessage("a masked integer is not below the modulus")
    hidden = masks(key, plan, seed, len(residues))
    plaintexts = [(m - mask) % key.n for m, mask in zip(residues, hidden, strict=True)]
    return decoded(plan, plaintexts, key.n)
