"""Mutated batches are refused or are other valid ciphertexts; nothing is repaired."""

from __future__ import annotations

import random

import numpy as np
from paillier_party import Party

from hecf.errors import HecfError
from hecf.he.paillier.gate import admit_octets
from hecf.he.paillier.matrices import PaillierMatrix
from hecf.he.paillier.plan import plan_paillier_sum
from hecf.he.plan import LEFT

HEADER = 72
MUTATIONS = 10_000


def mutate(data: bytes, source: random.Random) -> bytes:
    """Damage a batch as a broken or hostile sender might."""
    out = bytearray(data)
    kind = source.randrange(7)
    position = source.randrange(len(out))
    if kind == 0:
        return bytes(out[:position])
    if kind == 1:
        return bytes(out) + source.randbytes(source.randrange(1, 200))
    if kind == 2:
        out[source.randrange(HEADER)] ^= 1 << source.randrange(8)
    elif kind == 3:
        out[position] ^= 1 << source.randrange(8)
    elif kind == 4:
        # Fill a whole ciphertext with zeros or ones.
        start = HEADER + 128 * source.randrange((len(out) - HEADER) // 128)
        out[start : start + 128] = bytes([source.choice([0, 255])]) * 128
    elif kind == 5:
        start = source.randrange(HEADER, len(out) - 8)
        out[start : start + 8] = source.choice([b"\0" * 8, b"\xff" * 8, source.randbytes(8)])
    else:
        del out[position : position + source.randrange(1, 20)]
    return bytes(out)


def test_mutated_batches_are_refused_or_valid(small: Party) -> None:
    plan = plan_paillier_sum(
        values=60, summands=1, value_bound=1.0, precision=0.001, parameters=small.parameters
    )
    vector = np.linspace(-1, 1, 60)
    data = small.encryptor.encrypt(small.encryptor.encode(plan, LEFT, vector)).to_bytes()
    source = random.Random(3)
    accepted = refused = longest = 0
    square = int(small.public.n_squared)
    for _ in range(MUTATIONS):
        changed = mutate(data, source)
        try:
            batch = PaillierMatrix.from_bytes(plan, changed)
            if batch.key_fingerprint != small.public.fingerprint:
                small.evaluator.sum([batch])
            numbers = admit_octets(small.public, batch.octets)
        except HecfError as error:
            refused += 1
            longest = max(longest, len(str(error)))
            continue
        accepted += 1
        assert batch.to_bytes() == changed
        assert len(changed) == len(data)
        assert changed[:HEADER] == data[:HEADER]
        assert all(0 < number < square for number in numbers)
    assert accepted > 1000
    assert refused > 4000
    # Nobody's bytes are quoted back.
    assert longest < 200
