"""The key holder's key pair on disk: one file, encrypted, with the record of its epochs.

::

    HECFKEY2 | record (JSON) | public key | salt | nonce | AES-256-GCM of the secret key

The secret is encrypted under the kit's storage key (NIST SP 800-38D), and, if one was asked for, a
passphrase through scrypt (RFC 7914): then both are needed. Everything before the ciphertext is
bound to it, and so are terms and parameters: a key of another coalition does not open, nor one
whose record was edited. A rotation replaces the one file, so there is no moment with half a pair.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from hecf.errors import ConfigurationError, LimitExceeded
from hecf.he.keys import SecretBytes
from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.parameters import ParameterSet
from hecf.he.scheme import scheme_by_name
from hecf.kits.files import read_private, write_private
from hecf.protocol.tasks import key_parameters
from hecf.protocol.terms import Terms

KEY_PAIR = "key-pair"
PASSPHRASE = "HECF_PASSPHRASE"  # noqa: S105 - the name of the variable, not its value
VALIDITY_DAYS = 365
_MAGIC = b"HECFKEY2"
_NONCE_BYTES = 12
_SALT_BYTES = 16
_STORAGE_KEY_BYTES = 32
_SCRYPT_COST = 1 << 17
"""With blocks of 8 it takes 128 MB of memory a guess, as OWASP recommends (2023)."""


@dataclass(frozen=True)
class KeyEpoch:
    """One key pair of a coalition, in public terms.

    Parameters
    ----------
    number : int
        From 1; every rotation adds one.
    fingerprint : str
        SHA-256 of the number and the public key in hexadecimal; the ledger counts releases under
        it. The clear scheme has one empty key, hence the number.
    created, expires : str
        ISO 8601 in UTC. A key is refused from its expiry on.
    """

    number: int
    fingerprint: str
    created: str
    expires: str

    def check(self, now: datetime) -> None:
        """Refuse an expired key.

        Raises
        ------
        LimitExceeded
        """
        if now >= datetime.fromisoformat(self.expires):
            raise LimitExceeded(
                "the secret key has expired",
                got=self.expires,
                expected="a later date; hecf keys rotate makes a new key",
            )


@dataclass(frozen=True)
class _KeyFile:
    """The parts of the file; `epochs` ends with the present one."""

    epochs: tuple[KeyEpoch, ...]
    passphrase: bool
    public: bytes
    salt: bytes
    sealed: bytes

    @property
    def bound(self) -> bytes:
        """Everything that the ciphertext is bound to."""
        record = {"epochs": [asdict(each) for each in self.epochs], "passphrase": self.passphrase}
        text = json.dumps(record, sort_keys=True).encode()
        lengths = struct.pack("<II", len(text), len(self.public))
        return _MAGIC + lengths + text + self.public + self.salt

    @classmethod
    def parse(cls, path: Path, data: bytes) -> _KeyFile:
        start = len(_MAGIC) + 8
        try:
            text_length, public_length = struct.unpack_from("<II", data, len(_MAGIC))
            text = data[start : start + text_length]
            record = json.loads(text)
            epochs = tuple(KeyEpoch(**each) for each in record["epochs"])
            public = data[start + text_length : start + text_length + public_length]
            rest = data[start + text_length + public_length :]
            parsed = cls(
                epochs, record["passphrase"], public, rest[:_SALT_BYTES], rest[_SALT_BYTES:]
            )
            if not epochs or parsed.bound != data[: len(data) - len(parsed.sealed)]:
                raise ValueError
        except (ValueError, TypeError, KeyError, struct.error, RecursionError):
            raise _does_not_open(path) from None
        return parsed


class KeyStore:
    """Keeps the key pair of a coalition in a folder.

    Parameters
    ----------
    folder : Path
    storage_key : Path
        File of 32 random bytes, readable by its owner only.
    terms : Terms
    now : callable
        The present time in UTC.
    """

    def __init__(
        self,
        folder: Path,
        storage_key: Path,
        terms: Terms,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path = folder / KEY_PAIR
        self._terms = terms
        self._now = now
        self._storage_key = read_private(storage_key)
        if len(self._storage_key) != _STORAGE_KEY_BYTES:
            raise ConfigurationError(
                f"{storage_key} is no storage key",
                got=f"{len(self._storage_key)} bytes",
                expected=_STORAGE_KEY_BYTES,
            )

    @property
    def exists(self) -> bool:
        """Whether a key was generated."""
        return self._path.exists()

    @property
    def epochs(self) -> tuple[KeyEpoch, ...]:
        """All epochs, the present one last."""
        return self._read().epochs

    @property
    def epoch(self) -> KeyEpoch:
        """The present epoch."""
        return self.epochs[-1]

    def load_or_generate(self) -> bytes:
        """Make sure that there is a valid key pair that opens, and return the public key.

        Raises
        ------
        ConfigurationError
            If there is one that does not open, see :meth:`secret`, or a file cannot be written.
        LimitExceeded
            If the key has expired.
        """
        if not self.exists:
            self.generate()
        # Found out now, and not at the first release, when retailers wait for it.
        self.secret()
        self.epoch.check(self._now())
        return self._read().public

    def generate(self, *, days: int = VALIDITY_DAYS, passphrase: str | None = None) -> KeyEpoch:
        """Draw the first key pair.

        Raises
        ------
        ConfigurationError
            If there is one already, the days are out of range, or the file cannot be written.
        """
        if self.exists:
            raise ConfigurationError(
                f"{self._path} holds a key", expected="no key; hecf keys rotate replaces one"
            )
        return self._draw((), days, passphrase)

    def rotate(self, *, days: int = VALIDITY_DAYS, passphrase: str | None = None) -> KeyEpoch:
        """Replace the key pair by a new one; the old secret key is gone for good.

        Parameters
        ----------
        passphrase : str, optional
            Of the new key. Without one the new key has none, whatever the old one had.

        Raises
        ------
        ConfigurationError
            If there is no key, the days are out of range, or the file cannot be written.

        Security
        --------
        What was encrypted under the old key can be decrypted no more. Released results stay; the
        node collects again what was not released, once the key holder starts with the new key. The
        budget of epsilon goes on in the ledger: it belongs to the shoppers, not to the key.
        """
        return self._draw(self.epochs, days, passphrase)

    def expire(self) -> KeyEpoch:
        """Let the present key end now; it opens, but is refused for any further release."""
        content = self._read()
        secret = self._open(content)
        now = self._now().isoformat(timespec="seconds")
        epochs = (*content.epochs[:-1], replace(content.epochs[-1], expires=now))
        self._write(replace(content, epochs=epochs), secret, self._passphrase(content))
        return epochs[-1]

    def secret(self) -> SecretBytes:
        """Open the secret key.

        Raises
        ------
        ConfigurationError
            If the file was changed, belongs to another coalition or storage key, or needs a
            passphrase that the environment variable HECF_PASSPHRASE does not hold.
        """
        opened = self._open(self._read())
        secret: SecretBytes = scheme_by_name(self._terms.scheme).secret_key(
            self._parameters, opened
        )
        return secret

    def _draw(self, before: tuple[KeyEpoch, ...], days: int, passphrase: str | None) -> KeyEpoch:
        if not 1 <= days <= 3650:
            raise ConfigurationError(
                "a key's validity is out of range", got=days, expected="1-3650"
            )
        if passphrase is not None and len(passphrase) < 8:
            raise ConfigurationError("a passphrase is too short", expected="at least 8 characters")
        secret, public = scheme_by_name(self._terms.scheme).generate_keys(self._parameters)
        created, number = self._now(), len(before) + 1
        epoch = KeyEpoch(
            number,
            hashlib.sha256(struct.pack("<I", number) + public).hexdigest(),
            created.isoformat(timespec="seconds"),
            (created + timedelta(days=days)).isoformat(timespec="seconds"),
        )
        content = _KeyFile((*before, epoch), passphrase is not None, public, b"", b"")
        self._write(content, secret.expose(), passphrase)
        return epoch

    def _write(self, content: _KeyFile, secret: bytes, passphrase: str | None) -> None:
        fresh = replace(content, salt=secrets.token_bytes(_SALT_BYTES))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        cipher = self._cipher(fresh.salt, passphrase)
        sealed = cipher.encrypt(nonce, secret, self._context + fresh.bound)
        write_private(self._path, fresh.bound + nonce + sealed)

    def _read(self) -> _KeyFile:
        return _KeyFile.parse(self._path, read_private(self._path))

    def _open(self, content: _KeyFile) -> bytes:
        nonce, sealed = content.sealed[:_NONCE_BYTES], content.sealed[_NONCE_BYTES:]
        cipher = self._cipher(content.salt, self._passphrase(content))
        try:
            return cipher.decrypt(nonce, sealed, self._context + content.bound)
        except (InvalidTag, ValueError):
            raise _does_not_open(self._path) from None

    def _passphrase(self, content: _KeyFile) -> str | None:
        if not content.passphrase:
            return None
        passphrase = os.environ.get(PASSPHRASE)
        if passphrase is None:
            raise ConfigurationError(
                f"{self._path} needs its passphrase",
                got="none",
                expected=f"it in the environment variable {PASSPHRASE}",
            )
        return passphrase

    def _cipher(self, salt: bytes, passphrase: str | None) -> AESGCM:
        if passphrase is None:
            return AESGCM(self._storage_key)
        stretched = Scrypt(salt=salt, length=32, n=_SCRYPT_COST, r=8, p=1).derive(
            passphrase.encode()
        )
        return AESGCM(hmac.digest(self._storage_key, stretched, "sha256"))

    @property
    def _parameters(self) -> ParameterSet | PaillierParameters:
        return key_parameters(self._terms)

    @property
    def _context(self) -> bytes:
        return bytes.fromhex(self._terms.fingerprint) + self._parameters.fingerprint


def _does_not_open(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} does not open",
        got="a changed file, another coalition's, another storage key or passphrase",
        expected="the key that this kit generated",
    )
