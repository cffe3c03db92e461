"""The key side of CKKS: key generation, encryption of matrices, decryption of products.

SEAL draws the keys and the encryptions of zero and decrypts; packing, scaling and the exact
recombination of residues are hecf's, in integers, so the worst-case bounds of a plan hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecf.errors import Mismatch
from hecf.he import ntt
from hecf.he.blinding import BlindedDecryption, BlindedProduct
from hecf.he.kernels import add
from hecf.he.keys import Decrypted, SecretKey
from hecf.he.matrices import EncryptedMatrix, EncryptedProduct, PublicKey
from hecf.he.modular import (
    Float,
    Words,
    centre,
    digits_to_float,
    recombine,
    to_words,
)
from hecf.he.parameters import ParameterSet
from hecf.he.plan import OperandPlan, check_parameters
from hecf.he.product.plan import ProductPlan
from hecf.he.seal import SealContext
from hecf.he.summation.plan import SumPlan


def generate_keys(parameters: ParameterSet) -> tuple[SecretKey, PublicKey]:
    """Draw a key pair."""
    secret, words = SealContext(parameters).generate_keys()
    return SecretKey(parameters, secret), PublicKey(parameters, words)


@dataclass(frozen=True)
class EncodedMatrix:
    """An operand as plaintext polynomials: uint32 NTT values (groups, blocks, L, N)."""

    plan: OperandPlan
    side: str
    words: Words


class CkksEncryptor:
    """Encrypts matrices under a public key.

    Parameters
    ----------
    public_key : PublicKey
        Parsed and checked; see :class:`hecf.he.matrices.PublicKey`.
    """

    def __init__(self, public_key: PublicKey) -> None:
        self._parameters = public_key.parameters
        self._encryptor = SealContext(public_key.parameters).encryptor(public_key.words)

    def encode(self, plan: OperandPlan, side: str, matrix: Float) -> EncodedMatrix:
        """Scale one operand of a product to integers and lay it out in polynomials.

        Parameters
        ----------
        plan : ProductPlan or SumPlan
        side : {"left", "right"}
        matrix : float64 array, shape (plan.inner, plan.left or plan.right)

        Raises
        ------
        InvalidInput
            If the matrix has another shape, is not finite or exceeds the plan's bound.
        Mismatch
            If the plan is for other parameters or another scheme.
        """
        check_parameters(plan, self._parameters)
        return EncodedMatrix(plan, side, plan.encode(side, matrix))

    def encrypt(self, encoded: EncodedMatrix) -> EncryptedMatrix:
        """Add an encoded operand to fresh encryptions of zero."""
        plan = encoded.plan
        words = np.empty(plan.operand_shape(encoded.side), dtype=np.uint32)
        for group, block in np.ndindex(words.shape[:2]):
            words[group, block] = self._encryptor.encrypt_zero(plan.level)
        words[:, :, 0] = add([words[:, :, 0], encoded.words], plan.primes)
        return EncryptedMatrix(plan, encoded.side, words)


class CkksDecryptor:
    """Decrypts products under a secret key.

    Security
    --------
    The values that come out must not leave the process except through the release gate.
    """

    def __init__(self, secret: SecretKey) -> None:
        self._parameters = secret.parameters
        self._decryptor = SealContext(secret.parameters).decryptor(secret.expose())

    def decrypt(self, product: EncryptedProduct) -> Decrypted[ProductPlan]:
        """Decrypt the agreed coefficients of a product.

        Raises
        ------
        Mismatch
            If the product is for other parameters or another scheme.
        """
        plan = product.plan
        digits = self.decrypt_digits(product)
        tiles = digits_to_float(digits, plan.primes, plan.scale)
        return Decrypted(plan, plan.packing.unpack_result(tiles, plan.left, plan.right))

    def decrypt_sum(self, plan: SumPlan, total: EncryptedMatrix) -> Decrypted[SumPlan]:
        """Decrypt a sum exactly.

        Raises
        ------
        Mismatch
            If the sum belongs to another plan or key.
        """
        check_parameters(plan, self._parameters)
        if total.plan.fingerprint != plan.fingerprint:
            raise Mismatch("a sum belongs to another plan")
        words = total.words[0]
        coefficients = np.empty((len(words), *words.shape[2:]), dtype=np.int64)
        for index, ciphertext in enumerate(words):
            plain = self._decryptor.decrypt(ciphertext)
            centred = np.stack([centre(plain[i], p) for i, p in enumerate(plan.primes)])
            coefficients[index] = ntt.inverse(plan.primes, centred)
        return Decrypted(plan, plan.decode(recombine(coefficients, plan.primes)))

    def decrypt_blinded(self, product: BlindedProduct) -> BlindedDecryption:
        """Decrypt masked coefficients, which stay residues: without the mask they mean nothing.

        Raises
        ------
        Mismatch
            If the product is for other parameters or another scheme.
        """
        plan = product.plan
        residues = self._agreed(plan, product.constant, product.tail)
        words = [to_words(residues[:, :, i], p) for i, p in enumerate(plan.primes)]
        return BlindedDecryption(plan, np.stack(words, axis=2))

    def decrypt_digits(self, product: EncryptedProduct) -> tuple[NDArray[np.int64], ...]:
        """Decrypt to exact balanced mixed-radix digits of shape (groups, groups, m n).

        Noise is measured on these (:func:`hecf.he.modular.digits_to_integers`).
        """
        residues = self._agreed(product.plan, product.constant, product.tail)
        return recombine(residues.astype(np.int64), product.plan.primes)

    def _agreed(self, plan: ProductPlan, constant: Words, tail: Words) -> Float:
        """Decrypt to centred residues of ``plan.constant_shape``."""
        check_parameters(plan, self._parameters)
        positions = plan.packing.positions
        tiles = np.empty(plan.constant_shape)
        for group in range(tiles.shape[0]):
            constants = _constant_components(plan, constant[group], positions)
            for other, first in enumerate(constants):
                words = np.concatenate([first[np.newaxis], tail[group, other]])
                plain = self._decryptor.decrypt(words)
                centred = np.stack([centre(plain[i], p) for i, p in enumerate(plan.primes)])
                tiles[group, other] = ntt.inverse(plan.primes, centred)[:, positions]
        return tiles


def _constant_components(plan: ProductPlan, useful: Words, positions: NDArray[np.intp]) -> Words:
    """NTT values (H, L, N) of c_0 from its useful coefficients (H, L, m n), zero elsewhere."""
    coefficients = np.zeros((*useful.shape[:2], plan.parameters.ring_degree))
    for index, prime in enumerate(plan.primes):
        coefficients[:, index, positions] = centre(useful[:, index], prime)
    values = ntt.forward(plan.primes, coefficients)
    return np.stack([to_words(values[:, i], p) for i, p in enumerate(plan.primes)], axis=1)
