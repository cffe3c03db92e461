"""Products of a retailer's embeddings over a million shoppers, encrypted on both sides."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Job, Result, alternate, rng, seconds, split, stopwatch
from hecf.he import loops
from hecf.he.ckks import generate_keys
from hecf.he.kernels import LoadedMatrix, multiply, multiply_loaded
from hecf.he.modular import Float, Words, digits_to_float, recombine, residues
from hecf.he.parameters import ParameterSet
from hecf.he.product.packing import ProductPacking
from hecf.he.secret import SecretCipher
from hecf.measure import Measurements


def gram(quick: bool) -> Result:
    """Multiply words of two encrypted matrices, loaded, in hecf's kernel."""
    shoppers, factors, degree = (20_000, 8, 2048) if quick else (1_000_000, 64, 4096)
    parameters = ParameterSet.with_data_primes(degree, 2, special=False)
    packing = ProductPacking(1, degree, 1)
    random = rng()
    left, right = (random.standard_normal((shoppers, factors)) for _ in range(2))
    for side in (left, right):
        side /= np.linalg.norm(side, axis=0)
    secret, _ = generate_keys(parameters)
    cipher = SecretCipher(secret, secrets.token_bytes)
    bits = 22
    watch = stopwatch()
    a, load = _loaded(_encrypted(cipher, left, bits, packing.pack_left, watch), parameters.primes)
    b, _ = _loaded(_encrypted(cipher, right, bits, packing.pack_right, watch), parameters.primes)
    x, y = left.astype(np.float32), right.astype(np.float32)
    out = np.empty((factors, factors), dtype=np.float32)
    primes = parameters.primes
    product = multiply_loaded(a, b)
    ours, theirs = alternate(
        lambda: multiply_loaded(a, b, product),
        lambda: np.matmul(x.T, y, out=out),
        1 if quick else 3,
        burst=1 if quick else 3,
    )
    exact = left.T @ right
    scale = 4.0**bits
    worst = 0.0
    watch.add_seconds("compute", ours.median)
    for row in range(factors):
        with watch.stage("decrypt"):
            decrypted = cipher.decrypt(product[row])
        plain = decrypted[..., packing.positions].astype(np.int64)
        values = digits_to_float(recombine(plain, primes), primes, scale)
        worst = max(worst, float(np.abs(values[:, 0] - exact[row]).max()))
    unloaded = seconds(lambda: multiply(a.words, b.words, primes)) if quick else None
    blocks = packing.blocks(shoppers)
    operand = 3 * 2 * len(primes) * degree * blocks * factors
    return Result(
        job="gram",
        timing=ours,
        baseline="NumPy float32 A.T @ B, warm, into an existing array",
        baseline_timing=theirs,
        ratio=ours.median / theirs.median,
        mark=10.0,
        bytes={
            "operand": operand,
            "words_in_memory": a.tiles.nbytes + b.tiles.nbytes,
        },
        up=2 * operand,
        down=3 * 3 * len(primes) * degree * factors**2,
        error=worst,
        parameters={
            "ring_degree": degree,
            "primes": primes,
            "blocks": blocks,
            "scale_bits": bits,
            "sizes": (shoppers, factors, factors),
        },
        split=split(watch),
        details={
            "seconds_load_an_operand": load,
            "seconds_with_unloaded_words": unloaded,
            "loops": loops.available(),
        },
    )


def _loaded(words: Words, primes: tuple[int, ...]) -> tuple[LoadedMatrix, float]:
    """Load words and say how many seconds it took."""
    start = time.perf_counter()
    return LoadedMatrix.load(words, primes), time.perf_counter() - start


def _encrypted(
    cipher: SecretCipher,
    matrix: Float,
    bits: int,
    pack: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    watch: Measurements,
) -> Words:
    """Words (columns, blocks, 2, L, N), made column by column to bound memory."""
    parameters = cipher.parameters
    primes, degree = parameters.primes, parameters.ring_degree
    shape = (matrix.shape[1], -(-len(matrix) // degree), 2, len(primes), degree)
    out = np.empty(shape, dtype=np.uint32)
    for column in range(matrix.shape[1]):
        with watch.stage("encode"):
            integers = np.rint(np.ldexp(matrix[:, column : column + 1], bits)).astype(np.int64)
            encoded = residues(pack(integers)[0], primes)
        with watch.stage("encrypt"):
            out[column] = cipher.encrypt(encoded, len(primes))
    return out


JOBS = [Job("gram", gram)]
