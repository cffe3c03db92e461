"""Paillier secret keys at rest: AES-256-GCM under a storage key (NIST SP 800-38D).

The bytes name parameters and public key in clear and authenticate them, so a key is found out as
another one's before it is opened.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hecf.errors import MalformedMessage, ParameterError
from hecf.he.messages import HEADER_BYTES, Kind, header, open_header
from hecf.he.paillier.keys import PaillierSecretKey, PublicKey
from hecf.he.sampling import RandomBytes

NONCE_BYTES = 12
TAG_BYTES = 16
STORAGE_KEY_BYTES = 32


def seal(secret: PaillierSecretKey, storage_key: bytes, random: RandomBytes) -> bytes:
    """Encrypt a secret key for storage.

    Parameters
    ----------
    secret : PaillierSecretKey
    storage_key : bytes
        32 uniform bytes.
    random : callable
        Source of cryptographically secure bytes for the nonce.

    Raises
    ------
    ParameterError
        If the storage key has another length.
    """
    start = header(Kind.PAILLIER_SEALED_KEY, secret.public_key.fingerprint)
    nonce = random(NONCE_BYTES)
    return start + nonce + _cipher(storage_key).encrypt(nonce, secret.expose(), start)


def unseal(public_key: PublicKey, sealed: bytes, storage_key: bytes) -> PaillierSecretKey:
    """Open the stored secret key of a public key.

    Raises
    ------
    Mismatch
        If the bytes belong to another public key.
    MalformedMessage
        If they were changed, or another storage key sealed them.
    ParameterError
        If the storage key has another length.
    """
    cipher = _cipher(storage_key)
    length = NONCE_BYTES + public_key.parameters.modulus_bytes + TAG_BYTES
    body = bytes(open_header(sealed, Kind.PAILLIER_SEALED_KEY, public_key.fingerprint, length))
    try:
        opened = cipher.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], sealed[:HEADER_BYTES])
    except InvalidTag:
        raise MalformedMessage(
            "a stored Paillier key does not open",
            got="changed bytes or another storage key",
        ) from None
    secret = PaillierSecretKey(public_key.parameters, opened)
    if secret.public_key != public_key:
        raise MalformedMessage("a stored Paillier key is another key's")
    return secret


def _cipher(storage_key: bytes) -> AESGCM:
    if len(storage_key) != STORAGE_KEY_BYTES:
        raise ParameterError(
            "a storage key has another length",
            got=f"{len(storage_key)} bytes",
            expected=STORAGE_KEY_BYTES,
        )
    return AESGCM(storage_key)
