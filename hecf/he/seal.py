"""The one module that knows TenSEAL: keys and decryption by Microsoft SEAL.

SEAL reads and writes files only, so bytes pass through a memory-backed file that no other process
can name. Its loader is not safe on hostile bytes; therefore nothing that came from another party
is ever loaded. What is loaded is composed here, from arrays whose shape and range were
checked, behind a header that this process's own SEAL context dictates.

Arrays are in hecf's transform order (:mod:`hecf.he.ntt`); the translation to SEAL's happens here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import tenseal.sealapi as sealapi
import zstandard
from numpy.typing import NDArray

from hecf.errors import ParameterError
from hecf.he.modular import centre
from hecf.he.ntt import Transform, transform
from hecf.he.parameters import ParameterSet

_HEADER = struct.Struct("<HBBBBHQ")
_MAGIC = 0xA15E
_COMPRESSION_NONE = 0
_COMPRESSION_ZSTD = 2

Words64 = NDArray[np.uint64]


class SealContext:
    """A SEAL context for a parameter set, with words in and out of its objects.

    Raises
    ------
    ParameterError
        If SEAL refuses the parameters.
    """

    def __init__(self, parameters: ParameterSet) -> None:
        self.parameters = parameters
        literal = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.CKKS)
        literal.set_poly_modulus_degree(parameters.ring_degree)
        literal.set_coeff_modulus([sealapi.Modulus(prime) for prime in parameters.chain])
        self._context = sealapi.SEALContext(literal, True, sealapi.SEC_LEVEL_TYPE.TC128)
        if not self._context.parameters_set():
            raise ParameterError(
                "SEAL refuses the parameters", got=self._context.parameters_error_message()
            )
        # Any modulus gives the same order.
        self._order = self._transform.seal_order
        self._back = np.argsort(self._order)

    @cached_property
    def _transform(self) -> Transform:
        return transform(self.parameters.ring_degree, self.parameters.primes[0])

    def generate_keys(self) -> tuple[bytes, Words64]:
        """Draw a key pair from SEAL's generator, which is seeded by the operating system.

        Returns
        -------
        secret : bytes
            The secret key in SEAL's own format.
        public : uint64 array, shape (2, L + 1, N)
            NTT values of the public key, the special prime last.
        """
        generator = sealapi.KeyGenerator(self._context)
        public = sealapi.PublicKey()
        generator.create_public_key(public)
        words = self._ciphertext_words(_saved(public.save))
        return _saved(generator.secret_key().save), words

    def secret_polynomial(self, secret: bytes) -> NDArray[np.int8]:
        """Coefficients of a secret key of this process's own keeping: ternary, shape (N,)."""
        words = _polynomials(secret, len(self.parameters.chain), self.parameters.ring_degree)
        prime = self.parameters.primes[0]
        values = centre(self._from_seal(words[0]).astype(np.uint32), prime)
        return self._transform.inverse(values).astype(np.int8)

    def decryptor(self, secret: bytes) -> SealDecryptor:
        """Return a decryptor for a secret key of this process's own keeping."""
        key = sealapi.SecretKey()
        _load(lambda path: key.load(self._context, path), secret)
        return SealDecryptor(self, sealapi.Decryptor(self._context, key))

    def level_identifier(self, level: int) -> list[int]:
        """SEAL's identifier of the chain's element with `level` data primes."""
        data = self._context.first_context_data()
        while data.chain_index() > level - 1:
            data = data.next_context_data()
        identifier: list[int] = data.parms_id()
        return identifier

    def _ciphertext_words(self, saved: bytes) -> Words64:
        """NTT values (components, L, N) of a ciphertext that SEAL saved here."""
        body = _body(saved)
        components, degree, primes = struct.unpack_from("<QQQ", body, 33)
        words = np.frombuffer(
            body, dtype="<u8", offset=len(body) - 8 * components * degree * primes
        )
        return self._from_seal(words.reshape(components, primes, degree))

    def _compose(self, template: bytes, words: Words64, scale: float) -> bytes:
        """Write a ciphertext like `template` that holds `words` (components, L, N)."""
        components, primes, degree = words.shape
        data = np.ascontiguousarray(words[..., self._order], dtype="<u8").tobytes()
        inner = _HEADER.pack(
            _MAGIC, _HEADER.size, *_version(), _COMPRESSION_NONE, 0, _HEADER.size + 8 + len(data)
        )
        body = b"".join(
            [
                template[:33],
                struct.pack("<QQQdQ", components, degree, primes, scale, 1),
                inner,
                struct.pack("<Q", words.size),
                data,
            ]
        )
        outer = _HEADER.pack(
            _MAGIC, _HEADER.size, *_version(), _COMPRESSION_NONE, 0, _HEADER.size + len(body)
        )
        return outer + body

    def _from_seal(self, words: Words64) -> Words64:
        return np.ascontiguousarray(words[..., self._back])


class SealDecryptor:
    """Decryption of checked words.

    Security
    --------
    What comes out is exact. Given to anybody who saw the ciphertext, two such values reveal the
    secret key (Li and Micciancio, EUROCRYPT 2021). Only the release gate may pass them on.
    """

    def __init__(self, context: SealContext, decryptor: Any) -> None:
        self._context = context
        self._decryptor = decryptor

    def decrypt(self, words: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Decrypt NTT values of shape (components, level, N) to (level, N)."""
        level = words.shape[1]
        identifier = struct.pack("<4Q", *self._context.level_identifier(level))
        composed = self._context._compose(identifier + b"\x01", words.astype(np.uint64), scale=1.0)
        ciphertext = sealapi.Ciphertext()
        _load(lambda path: ciphertext.load(self._context._context, path), composed)
        plain = sealapi.Plaintext()
        self._decryptor.decrypt(ciphertext, plain)
        values = _polynomials(_saved(plain.save), level, words.shape[2])
        return self._context._from_seal(values).astype(np.uint32)


def _version() -> tuple[int, int]:
    """SEAL's major and minor version, read off an object that it saves."""
    saved = _saved(sealapi.Plaintext().save)
    _, _, major, minor, *_ = _HEADER.unpack_from(saved)
    return major, minor


def _saved(save: Callable[[str], None]) -> bytes:
    """Let SEAL save into a memory-backed file and read it."""
    descriptor = os.memfd_create("hecf", os.MFD_CLOEXEC)
    try:
        save(f"/proc/self/fd/{descriptor}")
        size = os.fstat(descriptor).st_size
        return os.pread(descriptor, size, 0)
    finally:
        os.close(descriptor)


def _load(load: Callable[[str], None], data: bytes) -> None:
    """Let SEAL load bytes that this process composed or kept itself."""
    descriptor = os.memfd_create("hecf", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        load(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _polynomials(saved: bytes, primes: int, degree: int) -> Words64:
    """Words (primes, N) at the end of a plaintext or secret key that SEAL saved here."""
    body = _body(saved)
    words = np.frombuffer(body, dtype="<u8", offset=len(body) - 8 * primes * degree)
    return words.reshape(primes, degree)


def _body(saved: bytes) -> bytes:
    """Content of something that SEAL saved in this process, decompressed."""
    _, _, _, _, compression, _, size = _HEADER.unpack_from(saved)
    body = saved[_HEADER.size : size]
    if compression == _COMPRESSION_ZSTD:
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body
