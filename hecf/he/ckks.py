"""The key side of CKKS: key generation, encryption of matrices, decryption of products.

SEAL draws the keys and decrypts; encryption, packing, scaling and the exact recombination of
residues are hecf's, in integers, so the worst-case bounds of a plan hold.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

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
from hecf.he.product.tiles import ProductTile, row_runs, shoppers_of
from hecf.he.seal import SealContext
from hecf.he.similarity.decryptor import MEMORY as PANEL_MEMORY
from hecf.he.similarity.decryptor import SimilarityDecryptor
from hecf.he.similarity.encryptor import encrypted_rows
from hecf.he.similarity.matrices import EncryptedRows, EncryptedTile
from hecf.he.similarity.plan import PUBLIC_KEY, SimilarityPlan, check_encryption
from hecf.he.similarity.scores import Panel
from hecf.he.streams import MEMORY, cut, stripes_within
from hecf.he.summation.plan import SumPlan
from hecf.he.zeros import PublicZeros, ZeroEncryptions


def generate_keys(parameters: ParameterSet) -> tuple[SecretKey, PublicKey]:
    """Draw a key pair."""
    secret, words = SealContext(parameters).generate_keys()
    return SecretKey(parameters, secret), PublicKey(parameters, words)


P = TypeVar("P", bound=OperandPlan)


@dataclass(frozen=True)
class EncodedMatrix(Generic[P]):
    """Stripes of an operand as plaintext polynomials, as ``plan.encode`` lays them out."""

    plan: P
    side: str
    words: Words
    first: int = 0


class CkksEncryptor:
    """Encrypts matrices under a public key.

    Parameters
    ----------
    public_key : PublicKey
        Parsed and checked; see :class:`hecf.he.matrices.PublicKey`.
    zeros : ZeroEncryptions, optional
        Encryptions of zero under that key; by default they are drawn here, from the system's
        generator.
    """

    def __init__(self, public_key: PublicKey, zeros: ZeroEncryptions | None = None) -> None:
        self._parameters = public_key.parameters
        self._zeros = zeros or PublicZeros(public_key, secrets.token_bytes)

    def encode(self, plan: P, side: str, matrix: Float, first: int = 0) -> EncodedMatrix[P]:
        """Scale an operand to integers and lay it out in polynomials.

        Parameters
        ----------
        plan : ProductPlan, SumPlan or SimilarityPlan
        side : {"left", "right"}
        matrix : float64 array, shape ``plan.matrix_shape(side)``
            Or whole stripes of the operand.
        first : int
            Number of the first stripe.

        Raises
        ------
        InvalidInput
            If the matrix has another shape, is not finite or exceeds the plan's bound.
        Mismatch
            If the plan is for other parameters or another scheme.
        """
        check_parameters(plan, self._parameters)
        if isinstance(plan, SimilarityPlan):
            check_encryption(plan, PUBLIC_KEY)
        return EncodedMatrix(plan, side, plan.encode(side, matrix, first), first)

    @overload
    def encrypt(self, encoded: EncodedMatrix[SimilarityPlan]) -> EncryptedRows: ...

    @overload
    def encrypt(self, encoded: EncodedMatrix[ProductPlan]) -> EncryptedMatrix: ...

    @overload
    def encrypt(self, encoded: EncodedMatrix[SumPlan]) -> EncryptedMatrix: ...

    def encrypt(self, encoded: EncodedMatrix[Any]) -> EncryptedMatrix | EncryptedRows:
        """Add encoded stripes to fresh encryptions of zero; rows for a similarity."""
        return self._encrypted(encoded)

    def _encrypted(self, encoded: EncodedMatrix[Any]) -> EncryptedMatrix | EncryptedRows:
        plan = encoded.plan
        if isinstance(plan, SimilarityPlan):
            return encrypted_rows(
                plan,
                encoded.side,
                encoded.words,
                lambda count: self._zeros.draw(count, plan.level),
                encoded.first,
            )
        groups, blocks, level, degree = encoded.words.shape
        zeros = self._zeros.draw(groups * blocks, level)
        words = zeros.reshape(groups, blocks, 2, level, degree)
        words[:, :, 0] = add([words[:, :, 0], encoded.words], plan.primes)
        return EncryptedMatrix(plan, encoded.side, words, encoded.first)

    def encrypt_blocks(
        self, plan: OperandPlan, side: str, pieces: Iterable[Float], *, memory: int = MEMORY
    ) -> Iterator[EncryptedMatrix | EncryptedRows]:
        """Encrypt an operand that arrives in pieces of any size.

        Parameters
        ----------
        pieces : iterable of float64 array
            See :func:`hecf.he.streams.cut`.
        memory : int
            Bytes to use beside the pieces; decides how many stripes a block has.

        Raises
        ------
        InvalidInput, Mismatch
            As for :meth:`encode`, and if pieces are missing.
        LimitExceeded
            If the memory is too small for one stripe.
        """
        check_parameters(plan, self._parameters)
        stripes = (
            stripes_within(EncryptedRows, plan, memory)
            if isinstance(plan, SimilarityPlan)
            else stripes_within(EncryptedMatrix, plan, memory)
        )
        for first, run in cut(plan, side, pieces, stripes):
            yield self._encrypted(self.encode(plan, side, run, first))


class CkksDecryptor:
    """Decrypts products under a secret key.

    Security
    --------
    The values that come out must not leave the process except through the release gate.
    """

    def __init__(self, secret: SecretKey) -> None:
        self._parameters = secret.parameters
        self._secret = secret
        self._decryptor = SealContext(secret.parameters).decryptor(secret.expose())

    def decrypt(self, product: EncryptedProduct) -> Decrypted[ProductPlan]:
        """Decrypt the agreed coefficients of a product.

        Raises
        ------
        Mismatch
            If the product is for other parameters or another scheme.
        """
        plan = product.plan
        tiles = self._values(plan, product.constant, product.tail)
        return Decrypted(plan, plan.packing.unpack_result(tiles, plan.left, plan.right))

    def decrypt_tiles(
        self, plan: ProductPlan, tiles: Iterable[ProductTile]
    ) -> Iterator[Decrypted[ProductPlan]]:
        """Decrypt tiles of scores as they arrive.

        Yields
        ------
        Decrypted
            Scores of consecutive shoppers on all items, float64 of shape (shoppers, items).

        Raises
        ------
        Mismatch
            If the plan is for another key, or a tile is of another plan, out of order or missing.
        """
        check_parameters(plan, self._parameters)
        for run in row_runs(plan, tiles):
            parts = [self._values(plan, tile.constant, tile.tail) for tile in run]
            values = np.concatenate(parts, axis=1)
            shoppers = shoppers_of(plan, run[0])
            yield Decrypted(plan, plan.packing.unpack_result(values, shoppers, plan.right))

    def panels(
        self, plan: SimilarityPlan, tiles: Iterable[EncryptedTile], *, memory: int = PANEL_MEMORY
    ) -> Iterator[Panel]:
        """Decrypt tiles of a similarity as they arrive; see :class:`SimilarityDecryptor`."""
        return SimilarityDecryptor(self._secret, memory=memory).panels(plan, tiles)

    def decrypt_sum(self, plan: SumPlan, total: EncryptedMatrix) -> Decrypted[SumPlan]:
        """Decrypt a sum, or some stripes of one, exactly.

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
        return Decrypted(plan, plan.decode(recombine(coefficients, plan.primes), total.first))

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

    def _values(self, plan: ProductPlan, constant: Words, tail: Words) -> Float:
        residues = self._agreed(plan, constant, tail)
        digits = recombine(residues.astype(np.int64), plan.primes)
        return digits_to_float(digits, plan.primes, plan.scale)

    def _agreed(self, plan: ProductPlan, constant: Words, tail: Words) -> Float:
        """Decrypt to centred residues of the shape of `constant`."""
        check_parameters(plan, self._parameters)
        positions = plan.packing.positions
        tiles = np.empty(constant.shape)
        for group in range(len(constant)):
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
