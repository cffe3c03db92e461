"""Encryption of rows: columns of a matrix in the coefficients of ciphertexts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hecf.he import ntt
from hecf.he.keys import SecretKey
from hecf.he.modular import Float, Words, centre, to_words
from hecf.he.plan import check_parameters
from hecf.he.sampling import RandomBytes
from hecf.he.secret import SecretCipher
from hecf.he.similarity.matrices import EncryptedRows
from hecf.he.similarity.plan import SECRET_KEY, SimilarityPlan, check_encryption
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

    def encrypt(
        self, plan: SimilarityPlan, side: str, matrix: Float, first: int = 0
    ) -> EncryptedRows:
        """Scale rows to integers and encrypt them.

        Parameters
        ----------
        plan : SimilarityPlan
        side : {"left", "right"}
        matrix : float64 array, shape (plan.left or plan.right, plan.inner)
            Rows of Euclidean norm at most 1; see :func:`hecf.he.similarity.plan.normalise_rows`.
            Or whole stripes of the operand.
        first : int
            Number of the first stripe.

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

        return encrypted_rows(plan, side, plan.encode(side, matrix, first), zeros, first)


def encrypted_rows(
    plan: SimilarityPlan, side: str, message: Words, zeros: Zeros, first: int = 0
) -> EncryptedRows:
    """Add the coefficients (L, rows, d) of whole stripes to fresh encryptions of zero."""
    degree = plan.parameters.ring_degree
    count = plan.stripes(side).within(message.shape[1])
    words = np.empty(plan.run_shape(side, first, count), dtype=np.uint32)
    for number in range(count):
        rows = plan.block_rows(side, first + number)
        start = number * 2 * degree
        stripe = words[:, start : start + degree + rows]
        for column in range(0, plan.inner, COLUMNS):
            part = slice(column, min(column + COLUMNS, plan.inner))
            fresh = zeros(part.stop - part.start)
            for index, prime in enumerate(plan.primes):
                values = centre(np.ascontiguousarray(fresh[:, :, index]), prime)
                drawn = to_words(ntt.transform(degree, prime).inverse(values), prime)
                stripe[index, :degree, part] = drawn[:, 1].T
                stripe[index, degree:, part] = drawn[:, 0, :rows].T
        used = slice(number * degree, number * degree + rows)
        for index, prime in enumerate(plan.primes):
            add_words(stripe[index, degree:], message[index, used], prime)
    return EncryptedRows(plan, side, words, first)
