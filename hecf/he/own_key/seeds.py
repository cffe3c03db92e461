"""Seeds that expand to the uniform half of a ciphertext or of a public key."""

from __future__ import annotations

from hecf.errors import MalformedMessage

SEED_BYTES = 32


def check_seed(seed: bytes) -> None:
    """Refuse a seed that does not have ``SEED_BYTES`` bytes; raises MalformedMessage."""
    if len(seed) != SEED_BYTES:
        raise MalformedMessage("a seed has another length", got=len(seed), expected=SEED_BYTES)
