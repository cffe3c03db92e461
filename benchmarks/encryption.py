"""Encryption and decryption of a retailer's embedding, against TenSEAL vectors of as many values.

Public-key encryption is SEAL's, in worker processes; under one's own secret key it is NumPy's.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

import numpy as np
import tenseal

from benchmarks.harness import Job, Result, alternate, rng, seconds, split, stopwatch
from hecf.he import ntt
from hecf.he.ckks import CkksEncryptor, EncodedMatrix, generate_keys
from hecf.he.matrices import EncryptedMatrix, PublicKey
from hecf.he.modular import Float, centre
from hecf.he.plan import LEFT
from hecf.he.product.plan import ProductPlan
from hecf.he.product.planner import plan_gram
from hecf.he.seal import SealContext
from hecf.he.secret import SecretCipher
from parties.processes.encryption_pool import EncryptionPool
from parties.system.worker import WorkerLimits

BASELINE = "TenSEAL CKKSVector, ring degree 8192, primes [60, 40, 40], scale 2^40"
SLOTS = 4096
Encrypt = Callable[[], EncryptedMatrix]
Details = Mapping[str, object]
LIMITS = WorkerLimits(memory_bytes=8 << 30, job_seconds=600.0, answer_bytes=1 << 30)


class _Case:
    """A matrix, its plan and keys."""

    def __init__(self, quick: bool) -> None:
        shoppers, factors = (2000, 4) if quick else (16_384, 16)
        self.plan = plan_gram(
            scheme="ckks",
            rows=shoppers,
            left=factors,
            right=factors,
            precision=1e-4,
            statistical_bits=30,
            releases=16,
        )
        matrix = rng().standard_normal((shoppers, factors))
        self.matrix = matrix / np.linalg.norm(matrix, axis=0)
        self.secret, self.public = generate_keys(self.plan.parameters)
        self.cipher = SecretCipher(self.secret, secrets.token_bytes)
        self.repetitions = 1 if quick else 3

    def encode(self) -> EncodedMatrix[ProductPlan]:
        """Polynomials of the matrix."""
        return CkksEncryptor(self.public).encode(self.plan, LEFT, self.matrix)

    def result(
        self, job: str, encrypt: Encrypt, encoded: EncodedMatrix[ProductPlan], extra: Details
    ) -> Result:
        """Time an encryption beside TenSEAL's, and both decryptions."""
        values = self.matrix.size
        context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40])
        context.global_scale = 2**40
        flat = self.matrix.ravel()

        def vectors() -> Iterator[tenseal.CKKSVector]:
            for start in range(0, values, SLOTS):
                yield tenseal.ckks_vector(context, flat[start : start + SLOTS])

        ours, theirs = alternate(
            lambda: encrypt().to_bytes(),
            lambda: [vector.serialize() for vector in vectors()],
            self.repetitions,
        )
        watch = stopwatch()
        with watch.stage("encode"):
            self.encode()
        with watch.stage("encrypt"):
            encrypted = encrypt()
        with watch.stage("serialise"):
            encrypted.to_bytes()
        with watch.stage("decrypt"):
            plain = self.cipher.decrypt(encrypted.words)
        made = list(vectors())
        error = np.abs(plain - _coefficients(encoded)).max()
        seal = SealContext(self.plan.parameters).decryptor(self.secret.expose())
        ciphertexts = encrypted.words.reshape(-1, *encrypted.words.shape[2:])
        parts = {
            "encrypt": ours.median,
            "baseline_encrypt": theirs.median,
            "decrypt_by_numpy": watch.seconds["decrypt"],
            "decrypt_by_seal": seconds(lambda: [seal.decrypt(words) for words in ciphertexts]),
            "baseline_decrypt": seconds(lambda: [vector.decrypt() for vector in made]),
        }
        sent = {
            "operand": len(encrypted.to_bytes()),
            "tenseal": sum(len(vector.serialize()) for vector in made),
        }
        return Result(
            job=job,
            timing=ours,
            baseline=BASELINE,
            baseline_timing=theirs,
            ratio=ours.median / theirs.median,
            mark=None,
            bytes=sent,
            up=sent["operand"],
            down=0,
            error=float(error) * 2.0**-self.plan.left_scale_bits,
            parameters={
                "ring_degree": self.plan.parameters.ring_degree,
                "primes": self.plan.primes,
                "ciphertexts": len(ciphertexts),
                "values": values,
            },
            split=split(watch),
            details={
                "microseconds_a_value": {name: 1e6 * part / values for name, part in parts.items()},
                "bytes_a_value": {name: count / values for name, count in sent.items()},
                **extra,
            },
        )


def encrypt_public(quick: bool) -> Result:
    """Encrypt under the key holder's public key, in a process a core."""
    case = _Case(quick)
    # As a retailer gets it: bytes of another party.
    key = PublicKey.from_bytes(case.plan.parameters, case.public.to_bytes())
    processes = min(2, os.cpu_count() or 1) if quick else os.cpu_count() or 1
    with closing(EncryptionPool(key, processes, LIMITS)) as pool:
        start = time.perf_counter()
        pool.start()
        pool.draw(processes, case.plan.level)
        ready = time.perf_counter() - start
        encryptor = CkksEncryptor(key, pool)
        encoded = case.encode()
        alone = CkksEncryptor(key)
        extra = {
            "processes": processes,
            "seconds_until_ready": ready,
            "seconds_in_one_process": seconds(lambda: alone.encrypt(encoded)),
        }
        return case.result("encrypt-public", lambda: encryptor.encrypt(encoded), encoded, extra)


def encrypt_secret(quick: bool) -> Result:
    """Encrypt under one's own secret key."""
    case = _Case(quick)
    encoded = case.encode()
    messages = _coefficients(encoded)

    def encrypt() -> EncryptedMatrix:
        return EncryptedMatrix(case.plan, LEFT, case.cipher.encrypt(messages, case.plan.level))

    return case.result("encrypt-secret", encrypt, encoded, {})


def _coefficients(encoded: EncodedMatrix[ProductPlan]) -> Float:
    """Centred residues (groups, blocks, L, N) of the plaintext polynomials."""
    primes = encoded.plan.primes
    values = [centre(encoded.words[..., i, :], prime) for i, prime in enumerate(primes)]
    return ntt.inverse(primes, np.stack(values, axis=-2))


JOBS = [Job("encrypt-public", encrypt_public), Job("encrypt-secret", encrypt_secret)]
