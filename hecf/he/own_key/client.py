"""The retailer's side of scores under its own key: encrypt shoppers, decrypt scores."""

from __future__ import annotations

import numpy as np

from hecf.he import ntt
from hecf.he.keys import SecretKey
from hecf.he.modular import Float, Words, centre, digits_to_float, recombine, residues, to_words
from hecf.he.own_key.messages import OwnKeyAnswer, OwnKeyQuery, expand
from hecf.he.own_key.plan import QUERY, OwnKeyPlan
from hecf.he.own_key.seeds import SEED_BYTES
from hecf.he.plan import check_key
from hecf.he.sampling import RandomBytes
from hecf.he.secret import SecretCipher

DECRYPT_VALUES = 1 << 22
"""Residues that are decrypted at once: bounds memory."""


class OwnKeyClient:
    """Encrypts and decrypts under one's own secret key.

    Parameters
    ----------
    secret : SecretKey
    random : callable
        Source of cryptographically secure bytes.

    Security
    --------
    Scores come out exact. They are for the owner of the key alone: given to the node or anybody
    else who saw the ciphertexts, two such scores reveal the secret key (Li and Micciancio,
    EUROCRYPT 2021).
    """

    def __init__(self, secret: SecretKey, random: RandomBytes) -> None:
        self._cipher = SecretCipher(secret, random)
        self._random = random

    def encrypt(self, plan: OwnKeyPlan, shoppers: Float) -> OwnKeyQuery:
        """Encrypt embeddings.

        Parameters
        ----------
        plan : OwnKeyPlan
        shoppers : float64 array, shape (factors, shoppers)

        Raises
        ------
        InvalidInput
            If the embeddings have another shape, are not finite or exceed the plan's bound.
        Mismatch
            If the plan is for another key.
        """
        check_key(plan.parameters, self._cipher.parameters)
        plan.check_shoppers(shoppers)
        integers = np.rint(np.ldexp(shoppers, plan.shopper_scale_bits)).astype(np.int64)
        if plan.layout == QUERY:
            packed = plan.packing.pack_left(integers)
        else:
            groups, factors, _, degree = plan.query_shape
            padded = np.zeros((factors, groups * degree), dtype=np.int64)
            padded[:, : plan.shoppers] = integers
            packed = padded.reshape(factors, groups, degree).transpose(1, 0, 2)
        seed = self._random(SEED_BYTES)
        primes = plan.parameters.primes
        words = self._cipher.encrypt(residues(packed, primes), len(primes), expand(seed, plan))
        return OwnKeyQuery(plan, seed, np.ascontiguousarray(words[:, :, 0]))

    def decrypt(self, answer: OwnKeyAnswer) -> Float:
        """Decrypt scores: float64 array of shape (shoppers, items).

        Raises
        ------
        Mismatch
            If the answer is for another key.
        """
        plan = answer.plan
        check_key(plan.parameters, self._cipher.parameters)
        groups, count, level, degree = plan.tail_shape
        useful = plan.constant_shape[-1]
        scores = np.empty((groups, count, useful))
        size = max(1, DECRYPT_VALUES // (level * degree))
        scale = plan.scale / plan.dropped
        for group in range(groups):
            for start in range(0, count, size):
                part = slice(start, start + size)
                values = self._values(plan, answer.constant[group, part], answer.tail[group, part])
                plain = self._cipher.decrypt(values)[..., plan.inner - 1 :: plan.inner]
                digits = recombine(plain.astype(np.int64), plan.answer_primes)
                scores[group, part] = digits_to_float(digits, plan.answer_primes, scale)
        if plan.layout == QUERY:
            return scores.reshape(groups, -1)[:, : plan.items]
        by_shopper = scores.transpose(0, 2, 1).reshape(-1, plan.items)
        return np.ascontiguousarray(by_shopper[: plan.shoppers])

    def _values(self, plan: OwnKeyPlan, constant: Words, tail: Words) -> Words:
        """NTT values (count, 2, L, N) of answers, zero where c_0 is not useful."""
        words = np.empty((len(tail), 2, *tail.shape[1:]), dtype=np.uint32)
        if plan.transformed:
            words[:, 0], words[:, 1] = constant, tail
            return words
        for index, prime in enumerate(plan.answer_primes):
            coefficients = np.zeros((2, *tail[:, index].shape))
            coefficients[0, :, plan.inner - 1 :: plan.inner] = centre(constant[:, index], prime)
            coefficients[1] = centre(tail[:, index], prime)
            values = ntt.transform(tail.shape[-1], prime).forward(coefficients)
            words[:, :, index] = to_words(values, prime).transpose(1, 0, 2)
        return words
