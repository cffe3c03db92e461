"""Encryption and decryption by the holder of a secret key, batched in NumPy.

A retailer that scores its own members under its own key encrypts with the secret key itself: the
noise of a fresh ciphertext is one error polynomial instead of a public key's worst case of 2N of
them, and no HE library stands in the way of a millisecond. The key comes from SEAL's generator;
SEAL decrypts what is encrypted here, which is a test.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from hecf.he import ntt, sampling
from hecf.he.keys import SecretKey
from hecf.he.modular import Float, Words, centre, reduce_centred, to_words
from hecf.he.parameters import ERROR_BOUND, ParameterSet
from hecf.he.sampling import RandomBytes
from hecf.he.seal import SealContext

SECRET_NOISE_BOUND = ERROR_BOUND
"""Largest noise coefficient of a fresh secret-key encryption."""


class SecretCipher:
    """Encrypts and decrypts polynomials under a secret key.

    Parameters
    ----------
    secret : SecretKey
    random : callable
        Source of cryptographically secure bytes.

    Security
    --------
    Holds the secret key in memory; cannot be pickled. Decryptions are exact: what is passed on to
    somebody who saw the ciphertexts must go through the release gate.
    """

    def __init__(self, secret: SecretKey, random: RandomBytes) -> None:
        self.parameters: ParameterSet = secret.parameters
        self._random = random
        self._key = SealContext(secret.parameters).secret_polynomial(secret.expose())
        every = np.broadcast_to(
            self._key.astype(np.float64), (len(self._primes), self.parameters.ring_degree)
        )
        self._values = ntt.forward(self._primes, every)
        self._squares = self._values * self._values
        for index, prime in enumerate(self._primes):
            reduce_centred(self._squares[index], prime)

    def encrypt(self, messages: Float, level: int, masks: Words | None = None) -> Words:
        """Encrypt polynomials.

        Parameters
        ----------
        messages : float64 array, shape (..., L, N)
            Centred residues of the scaled coefficients.
        level : int
            L, how many primes to keep.
        masks : uint32 array, shape (..., L, N), optional
            Components c_1, from a seed that is drawn for this call alone; else they are drawn here.

        Returns
        -------
        uint32 array, shape (..., 2, L, N)
            NTT values.
        """
        batch, degree = messages.shape[:-2], messages.shape[-1]
        words = np.empty((*batch, 2, level, degree), dtype=np.uint32)
        error = sampling.centred_binomial((*batch, degree), self._random)
        for index, prime in enumerate(self._primes[:level]):
            if masks is None:
                mask = sampling.uniform((*batch, degree), prime, self._random)
            else:
                mask = np.ascontiguousarray(masks[..., index, :])
            noisy = reduce_centred(messages[..., index, :] + error, prime)
            product = reduce_centred(centre(mask, prime) * self._values[index], prime)
            values = ntt.transform(degree, prime).forward(noisy) - product
            words[..., 0, index, :] = to_words(reduce_centred(values, prime), prime)
            words[..., 1, index, :] = mask
        return words

    def decrypt(self, words: Words) -> Float:
        """Decrypt NTT values of shape (..., 2 or 3, L, N) to centred coefficients (..., L, N)."""
        level, degree = words.shape[-2:]
        out = np.empty((*words.shape[:-3], level, degree))
        for index, prime in enumerate(self._primes[:level]):
            total = centre(words[..., 0, index, :], prime)
            for component, powers in ((1, self._values), (2, self._squares)):
                if component < words.shape[-3]:
                    part = centre(words[..., component, index, :], prime) * powers[index]
                    total += reduce_centred(part, prime)
            reduce_centred(total, prime)
            out[..., index, :] = ntt.transform(degree, prime).inverse(total)
        return out

    @property
    def _primes(self) -> tuple[int, ...]:
        return self.parameters.primes

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretCipher cannot be pickled or copied")
