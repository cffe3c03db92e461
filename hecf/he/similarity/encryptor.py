"""Encryption of rows: columns of a matrix in the coefficients of ciphertexts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hecf.he import ntt
from hecf.he.keys import SecretKey
from hecf.he.matrices import PublicKey
from hecf.he.modular import Float, Words, centre, to_words
from hecf.he.plan import check_parameters
from hecf.he.sampling import RandomBytes
from hecf.he.seal import SealContext
from hecf.he.secret import SecretCipher
from hecf.he.similarity.matrices import EncryptedRows
from hecf.he.similarity.plan import PUBLIC_KEY, SECRET_KEY, SimilarityPlan, check_encryption
from hecf.he.similarity.ring import add_words

COLUMNS = 32
"""Columns of the matrix that are encrypted at once: bounds memory."""

Zeros = Callable[[int], Words]
"""Draws encryptions of zero: NTT values (count, 2, L, N)."""


class SecretRowEncryptor:
    """Encrypts rows under the caller's own secret key.

    Parameters
    ----------
    secret : SecretKey
    random : callable
        Source of cryptographically secure bytes.
    """

    def __init__(self, secret: SecretKey, random: RandomBytes) -> None:
        self._cipher = SecretCipher(secret, random)

    def encrypt(self, plan: SimilarityPlan, side: str, matrix: Float) -> EncryptedRows:
        """Scale rows to integers and encrypt them.

        Parameters
        ----------
        plan : SimilarityPlan
        side : {"left", "right"}
        matrix : float64 array, shape (plan.left or plan.right, plan.inner)
            Rows of Euclidean norm at most 1; see :func:`hecf.he.similarity.plan.normalise_rows`.

        Raises
        ------
        InvalidInput
            If the matrix has another shape, is not finite or a row is too long.
        Mismatch
            If the plan is for other parameters, another scheme or kind of encryption.
        """
        check_parameters(plan, self._cipher.parameters)
        check_encryption(plan, SECRET_KEY)
        degree = plan.parameters.ring_degree

        def zeros(count: int) -> Words:
            return self._cipher.encrypt(np.zeros((count, plan.level, degree)), plan.level)

        return _encrypted(plan, side, plan.encode(side, matrix), zeros)


class PublicRowEncryptor:
    """Encrypts rows under another party's public key, with SEAL's encryptions of zero.

    Parameters
    ----------
    public_key : PublicKey
        Parsed and checked; its parameters must have a special prime.
    """

    def __init__(self, public_key: PublicKey) -> None:
        self._parameters = public_key.parameters
        self._encryptor = SealContext(public_key.parameters).encryptor(public_key.words)

    def encrypt(self, plan: SimilarityPlan, side: str, matrix: Float) -> EncryptedRows:
        """Scale rows to integers and encrypt them; as :meth:`SecretRowEncryptor.encrypt`."""
        check_parameters(plan, self._parameters)
        check_encryption(plan, PUBLIC_KEY)

        def zeros(count: int) -> Words:
            return np.stack([self._encryptor.encrypt_zero(plan.level) for _ in range(count)])

        return _encrypted(plan, side, plan.encode(side, matrix), zeros)


def _encrypted(plan: SimilarityPlan, side: str, message: Words, zeros: Zeros) -> EncryptedRows:
    """Add the coefficients (L, rows, d) of an operand to fresh encryptions of zero."""
    words = np.empty(plan.operand_shape(side), dtype=np.uint32)
    degree, blocks = plan.parameters.ring_degree, plan.blocks(side)
    masks = blocks * degree
    for start in range(0, plan.inner, COLUMNS):
        part = slice(start, min(start + COLUMNS, plan.inner))
        count = part.stop - part.start
        fresh = zeros(count * blocks).reshape(count, blocks, 2, plan.level, degree)
        for index, prime in enumerate(plan.primes):
            values = centre(np.ascontiguousarray(fresh[:, :, :, index]), prime)
            drawn = to_words(ntt.transform(degree, prime).inverse(values), prime)
            # (component, blocks N, columns)
            stacked = drawn.transpose(2, 1, 3, 0).reshape(2, masks, count)
            words[index, :masks, part] = stacked[1]
            words[index, masks:, part] = stacked[0, : plan.rows(side)]
    for index, prime in enumerate(plan.primes):
        add_words(words[index, masks:], message[index], prime)
    return EncryptedRows(plan, side, words)
