"""Fixtures of one key pair that the tests of encryption, privacy and security share."""

from __future__ import annotations

import secrets

import pytest
from encryption import PARAMETERS, keys_for

from hecf.he.ckks import CkksDecryptor, CkksEncryptor
from hecf.he.evaluator import CkksEvaluator
from hecf.he.keys import SecretKey
from hecf.he.matrices import PublicKey


@pytest.fixture(scope="session")
def key_pair() -> tuple[SecretKey, PublicKey]:
    return keys_for(PARAMETERS)


@pytest.fixture(scope="session")
def encryptor(key_pair: tuple[SecretKey, PublicKey]) -> CkksEncryptor:
    return CkksEncryptor(key_pair[1])


@pytest.fixture(scope="session")
def decryptor(key_pair: tuple[SecretKey, PublicKey]) -> CkksDecryptor:
    return CkksDecryptor(key_pair[0])


@pytest.fixture(scope="session")
def evaluator(key_pair: tuple[SecretKey, PublicKey]) -> CkksEvaluator:
    return CkksEvaluator(key_pair[1], secrets.token_bytes)
