"""Encryptions of zero under a public key, in NumPy.

``(b u + e_1, a u + e_2)`` with ternary u and errors of SEAL's distribution. An encryptor draws it
modulo one more prime P and divides by that, rounding: the noise, at most 42 N beforehand, is then
little more than the rounding of two components. This is SEAL's public-key encryption step by step;
SEAL decrypts it, which is a test. A node conceals results with the undivided form.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hecf.he import ntt, sampling
from hecf.he.matrices import PublicKey
from hecf.he.modular import Float, Words, centre, reduce_centred, to_words
from hecf.he.sampling import RandomBytes

BATCH = 4
"""Encryptions that are drawn at once: bounds memory."""


class ZeroEncryptions(Protocol):
    """Where the fresh encryptions of zero come from to which an encryptor adds its messages."""

    def draw(self, count: int, level: int) -> Words:
        """Encrypt zero `count` times: uint32 NTT values (count, 2, level, N), each used once."""
        ...


class PublicZeros:
    """Draws encryptions of zero under a public key.

    Parameters
    ----------
    public_key : PublicKey
        Parsed and checked.
    random : callable
        Source of cryptographically secure bytes.

    Security
    --------
    Whoever can predict `random` reads every message that is added to what it draws.
    """

    def __init__(self, public_key: PublicKey, random: RandomBytes) -> None:
        parameters = public_key.parameters
        self._degree, self._chain = parameters.ring_degree, parameters.chain
        self._random = random
        words = public_key.words.astype(np.uint32)
        self._key = [
            [centre(half[index].copy(), prime) for half in words]
            for index, prime in enumerate(self._chain)
        ]

    def draw(self, count: int, level: int) -> Words:
        """Encrypt zero modulo the first `level` primes, with the noise of a fresh encryption.

        Returns
        -------
        uint32 array, shape (count, 2, level, N)
            NTT values. The noise is at most ``ParameterSet.fresh_noise_bound``.
        """
        words = np.empty((count, 2, level, self._degree), dtype=np.uint32)
        for start in range(0, count, BATCH):
            part = words[start : start + BATCH]
            self._fill(part, divided=level < len(self._chain))
        return words

    def draw_undivided(self, count: int, level: int) -> Words:
        """Encrypt zero modulo the first `level` primes, with up to ``zero_noise_bound`` of noise.

        Returns
        -------
        uint32 array, shape (count, 2, level, N)
            NTT values.
        """
        words = np.empty((count, 2, level, self._degree), dtype=np.uint32)
        self._fill(words, divided=False)
        return words

    def _fill(self, words: Words, *, divided: bool) -> None:
        count, _, level, degree = words.shape
        ephemeral = sampling.ternary((count, degree), self._random)
        errors = [sampling.centred_binomial((count, degree), self._random) for _ in range(2)]
        if divided:
            divisor = self._chain[level]
            self._take_remainder(level, ephemeral, errors)
        for index, prime in enumerate(self._chain[:level]):
            step = ntt.transform(degree, prime)
            values = step.forward(ephemeral)
            for half, error in enumerate(errors):
                total = reduce_centred(values * self._key[index][half], prime)
                total += step.forward(reduce_centred(error.copy(), prime))
                reduce_centred(total, prime)
                if divided:
                    total *= _centred_inverse(divisor, prime)
                    reduce_centred(total, prime)
                words[:, half, index] = to_words(total, prime)

    def _take_remainder(self, level: int, ephemeral: Float, errors: list[Float]) -> None:
        """Take from the errors what divisibility by the next prime asks for, in place."""
        divisor = self._chain[level]
        step = ntt.transform(self._degree, divisor)
        values = step.forward(ephemeral)
        for half, error in enumerate(errors):
            product = step.inverse(reduce_centred(values * self._key[level][half], divisor))
            product += error
            error -= reduce_centred(product, divisor)


def _centred_inverse(value: int, prime: int) -> float:
    inverse = pow(value, -1, prime)
    return float(inverse - prime if inverse > prime // 2 else inverse)
