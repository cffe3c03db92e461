"""The key holder's secret key on disk.

The secret is encrypted with AES-256-GCM under the kit's storage key (NIST SP 800-38D) and bound to
the terms and the parameters, so that a key of another coalition does not open.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hecf.errors import ConfigurationError
from hecf.he.keys import SecretKey
from hecf.he.parameters import ParameterSet
from hecf.he.scheme import scheme_by_name
from hecf.protocol.tasks import gram_plan
from hecf.protocol.terms import Terms
from parties.files import read_private, write_private

_MAGIC = b"HECFKEY1"
_NONCE_BYTES = 12
_STORAGE_KEY_BYTES = 32


class KeyStore:
    """Keeps one key pair in a folder.

    Parameters
    ----------
    folder : Path
    storage_key : Path
        File of 32 random bytes, readable by its owner only.
    terms : Terms
    """

    def __init__(self, folder: Path, storage_key: Path, terms: Terms) -> None:
        self._secret = folder / "secret-key"
        self._public = folder / "public-key"
        self._terms = terms
        key = read_private(storage_key)
        if len(key) != _STORAGE_KEY_BYTES:
            raise ConfigurationError(
                f"{storage_key} is no storage key", got=f"{len(key)} bytes", expected=32
            )
        self._cipher = AESGCM(key)

    def load_or_generate(self) -> bytes:
        """Make sure that there is a key pair that opens, and return the public key.

        Raises
        ------
        ConfigurationError
            If there is one that does not open, see :meth:`secret`, or a file cannot be written.
        """
        if self._secret.exists():
            # Found out now, and not at the first release, when retailers wait for it.
            self.secret()
        else:
            secret, public = scheme_by_name(self._terms.scheme).generate_keys(self._parameters)
            nonce = secrets.token_bytes(_NONCE_BYTES)
            sealed = self._cipher.encrypt(nonce, secret.expose(), self._context)
            write_private(self._public, public)
            write_private(self._secret, _MAGIC + nonce + sealed)
        return read_private(self._public)

    def secret(self) -> SecretKey:
        """Open the secret key.

        Raises
        ------
        ConfigurationError
            If the file was changed, or belongs to another coalition or storage key.
        """
        sealed = read_private(self._secret)
        body = sealed[len(_MAGIC) :]
        try:
            if not sealed.startswith(_MAGIC):
                raise InvalidTag
            opened = self._cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], self._context)
        except (InvalidTag, ValueError):
            raise ConfigurationError(
                f"{self._secret} does not open",
                got="a changed file, another coalition's or another storage key",
                expected="the key that this kit generated",
            ) from None
        return SecretKey(self._parameters, opened)

    @property
    def epoch(self) -> str:
        """Fingerprint of the key pair: SHA-256 of the public key in hexadecimal."""
        return hashlib.sha256(read_private(self._public)).hexdigest()

    @property
    def _parameters(self) -> ParameterSet:
        return gram_plan(self._terms).parameters

    @property
    def _context(self) -> bytes:
        return bytes.fromhex(self._terms.fingerprint) + self._parameters.fingerprint
