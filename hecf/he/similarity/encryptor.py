"""Encryption of rows: columns of a matrix in the coefficients of ciphertexts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hecf.he import ntt
from hecf.he.keys import SecretKey
from hecf.he.matrices import PublicKey
from hecf.he.modular import Float, Words, centre, reduce_centred, residues, to_words
from hecf.he.plan import LEFT, MANTISSA_BITS
from hecf.he.sampling import RandomBytes
from hecf.he.seal import SealContext
from hecf.he.secret import SecretCipher
from hecf.he.similarity.matrices import EncryptedRows
from hecf.he.similarity.plan import (
    PUBLIC_KEY,
    SECRET_KEY,
    SimilarityPlan,
    check_rows,
    check_similarity,
)
from hecf.he.similarity.ring import add_words

COLUMNS = 32
"""Columns of the matrix that are encrypted at once: bounds memory."""


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
        check_similarity(plan, self._cipher.parameters, SECRET_KEY)
        check_rows(plan, side, matrix)
        words = np.empty(plan.operand_shape(side), dtype=np.uint32)
        for start, messages in _scaled_columns(plan, side, matrix):
            encrypted = _to_coefficients(plan, self._cipher.encrypt(messages, plan.level))
            _store(plan, side, words, start, encrypted)
        return EncryptedRows(plan, side, words)


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
        check_similarity(plan, self._parameters, PUBLIC_KEY)
        check_rows(plan, side, matrix)
        words = np.empty(plan.operand_shape(side), dtype=np.uint32)
        for start, messages in _scaled_columns(plan, side, matrix):
            columns, blocks, level, degree = messages.shape
            fresh = np.empty((columns, blocks, 2, level, degree), dtype=np.uint32)
            for column, block in np.ndindex(columns, blocks):
                fresh[column, block] = self._encryptor.encrypt_zero(plan.level)
            encrypted = _to_coefficients(plan, fresh)
            for index, prime in enumerate(plan.primes):
                add_words(encrypted[:, :, 0, index], to_words(messages[:, :, index], prime), prime)
            _store(plan, side, words, start, encrypted)
        return EncryptedRows(plan, side, words)


def _scaled_columns(plan: SimilarityPlan, side: str, matrix: Float) -> Iterator[tuple[int, Float]]:
    """Yield groups of columns as centred residues of polynomials, (columns, blocks, L, N)."""
    bits = plan.left_scale_bits if side == LEFT else plan.right_scale_bits
    mantissa = min(bits, MANTISSA_BITS)
    degree, blocks = plan.parameters.ring_degree, plan.blocks(side)
    for start in range(0, plan.inner, COLUMNS):
        part = matrix[:, start : start + COLUMNS].T
        integers = np.zeros((len(part), blocks * degree), dtype=np.int64)
        integers[:, : len(matrix)] = np.rint(np.ldexp(part, mantissa))
        messages = residues(integers.reshape(len(part), blocks, degree), plan.primes)
        if bits > mantissa:
            # The part of the scale that int64 has no room for is an exact factor.
            for index, prime in enumerate(plan.primes):
                factor = pow(2, bits - mantissa, prime)
                centred = float(factor if factor <= prime // 2 else factor - prime)
                scaled = messages[:, :, index] * centred
                messages[:, :, index] = reduce_centred(scaled, prime)
        yield start, messages


def _to_coefficients(plan: SimilarityPlan, words: Words) -> Words:
    """Turn NTT values of shape (columns, blocks, 2, L, N) into coefficients, in place."""
    for index, prime in enumerate(plan.primes):
        step = ntt.transform(words.shape[-1], prime)
        values = step.inverse(centre(words[..., index, :], prime))
        words[..., index, :] = to_words(values, prime)
    return words


def _store(plan: SimilarityPlan, side: str, words: Words, start: int, encrypted: Words) -> None:
    """Write ciphertexts (columns, blocks, 2, L, N) into an operand's words (L, stacked, d)."""
    columns, blocks, _, level, degree = encrypted.shape
    # (component, L, blocks N, columns)
    stacked = encrypted.transpose(2, 3, 1, 4, 0).reshape(2, level, blocks * degree, columns)
    group = slice(start, start + columns)
    words[:, : blocks * degree, group] = stacked[1]
    words[:, blocks * degree :, group] = stacked[0, :, : plan.rows(side)]
