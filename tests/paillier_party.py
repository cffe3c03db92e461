"""One Paillier key and everything that works with it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from hecf.he.paillier.decryptor import PaillierDecryptor
from hecf.he.paillier.encryptor import PaillierEncryptor
from hecf.he.paillier.evaluator import PaillierEvaluator
from hecf.he.paillier.keys import PaillierSecretKey, PublicKey, generate_keys
from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.paillier.randomness import Randomiser


@dataclass(frozen=True)
class Party:
    """One key, and everything that works with it."""

    secret: PaillierSecretKey
    public: PublicKey
    randomiser: Randomiser
    encryptor: PaillierEncryptor
    evaluator: PaillierEvaluator
    decryptor: PaillierDecryptor

    @property
    def parameters(self) -> PaillierParameters:
        return self.public.parameters

    @classmethod
    def draw(cls, parameters: PaillierParameters) -> Party:
        return cls.of(generate_keys(parameters, secrets.token_bytes)[0])

    @classmethod
    def of(cls, secret: PaillierSecretKey) -> Party:
        public = secret.public_key
        randomiser = Randomiser(public, secrets.token_bytes)
        return cls(
            secret,
            public,
            randomiser,
            PaillierEncryptor(public, randomiser),
            PaillierEvaluator(public, randomiser, secrets.token_bytes),
            PaillierDecryptor(secret),
        )
