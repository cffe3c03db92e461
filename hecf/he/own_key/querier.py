"""Who asks under its own key, where the answers conceal everything but the scores.

Unlike :mod:`hecf.he.own_key.client` this is for items that are somebody else's: the answer is
re-randomised under the querier's public key and flooded by who gives it
(:meth:`hecf.he.evaluator.CkksEvaluator.drown`).
"""

from __future__ import annotations

import numpy as np

from hecf.he import ntt
from hecf.he.keys import SecretKey
from hecf.he.matrices import EncryptedMatrix, EncryptedProduct
from hecf.he.modular import Float, centre, digits_to_float, recombine, to_words
from hecf.he.own_key.public_key import QuerierKey, second_half
from hecf.he.own_key.seeds import SEED_BYTES
from hecf.he.plan import LEFT, check_parameters
from hecf.he.product.plan import SCORE, ProductPlan, product_plan
from hecf.he.sampling import RandomBytes
from hecf.he.secret import SecretCipher


class CkksQuerier:
    """Encrypts one's own shoppers and decrypts their scores.

    Parameters
    ----------
    secret : SecretKey
        Drawn for one task: its parameters are those of the task's plan.
    random : callable
        Source of cryptographically secure bytes.

    Security
    --------
    Scores come out with the noise of who answered and no other. They are for the owner of the key
    alone; to pass them on is to pass on hints at the key.
    """

    def __init__(self, secret: SecretKey, random: RandomBytes) -> None:
        self._cipher = SecretCipher(secret, random)
        self._random = random

    def public_key(self) -> bytes:
        """Make a public key for who answers: an encryption of zero under a fresh seed."""
        parameters = self._cipher.parameters
        seed = self._random(SEED_BYTES)
        level = len(parameters.primes)
        zero = np.zeros((level, parameters.ring_degree))
        words = self._cipher.encrypt(zero, level, second_half(parameters, seed))
        return QuerierKey(parameters, seed, np.ascontiguousarray(words[0])).to_bytes()

    def encrypt(self, plan: ProductPlan, matrix: Float) -> EncryptedMatrix:
        """Encrypt embeddings, float64 of shape (factors, shoppers).

        Raises
        ------
        InvalidInput
            If the matrix has another shape, is not finite or exceeds the plan's bound.
        Mismatch
            If the plan is for another key or operation.
        """
        checked = product_plan(plan, SCORE)
        check_parameters(checked, self._cipher.parameters)
        scaled = checked.scaled(LEFT, checked.checked(LEFT, matrix))
        residues = checked.residues(LEFT, checked.packing.pack_left(scaled))
        words = self._cipher.encrypt(residues, checked.level)
        return EncryptedMatrix(checked, LEFT, words)

    def decrypt(self, product: EncryptedProduct) -> Float:
        """Decrypt scores: float64 of shape (shoppers, items).

        Raises
        ------
        Mismatch
            If the answer is for another key.
        """
        plan = product.plan
        check_parameters(plan, self._cipher.parameters)
        positions = plan.packing.positions
        residues = np.empty(product.constant.shape, dtype=np.int64)
        for group, tails in enumerate(product.tail):
            words = np.empty((len(tails), 2, *tails.shape[2:]), dtype=np.uint32)
            words[:, 1] = tails[:, 0]
            coefficients = np.zeros((len(tails), *tails.shape[2:]))
            for index, prime in enumerate(plan.primes):
                coefficients[:, index, positions] = centre(product.constant[group, :, index], prime)
            values = ntt.forward(plan.primes, coefficients)
            for index, prime in enumerate(plan.primes):
                words[:, 0, index] = to_words(values[:, index], prime)
            residues[group] = self._cipher.decrypt(words)[..., positions]
        digits = recombine(residues, plan.primes)
        tiles = digits_to_float(digits, plan.primes, plan.scale)
        return plan.packing.unpack_result(tiles, plan.left, plan.right)
