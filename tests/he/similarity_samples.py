"""Small similarity plans, their operands, and the parties that work on them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from encryption import keys_for, similarity_plan

from hecf.he import ckks
from hecf.he.parameters import ParameterSet
from hecf.he.plan import LEFT, RIGHT
from hecf.he.similarity.decryptor import SimilarityDecryptor
from hecf.he.similarity.encryptor import SecretRowEncryptor
from hecf.he.similarity.evaluator import SimilarityEvaluator
from hecf.he.similarity.matrices import EncryptedRows, EncryptedTile
from hecf.he.similarity.plan import SECRET_KEY, SimilarityPlan
from hecf.he.similarity.scores import Panel, similarity_matrix

TOY = ParameterSet.with_data_primes(1024, 1, special=False)


def toy_plan(inner: int, left: int, right: int, **changes: Any) -> SimilarityPlan:
    """One prime in the ring of 1024: coarse, and quick."""
    sizes = {"inner": inner, "left": left, "right": right}
    scales = {"level": 1, "left_scale_bits": 11, "right_scale_bits": 10}
    return similarity_plan(**sizes, parameters=TOY, **{**scales, **changes})


def unit_rows(seed: int, rows: int, columns: int) -> np.ndarray:
    matrix = np.random.default_rng(seed).standard_normal((rows, columns))
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def encrypted(plan: SimilarityPlan, a: np.ndarray, b: np.ndarray) -> tuple[EncryptedRows, ...]:
    secret, public = keys_for(plan.parameters)
    if plan.encryption == SECRET_KEY:
        own = SecretRowEncryptor(secret, secrets.token_bytes)
        return own.encrypt(plan, LEFT, a), own.encrypt(plan, RIGHT, b)
    other = ckks.CkksEncryptor(public)
    return tuple(other.encrypt(other.encode(plan, s, m)) for s, m in ((LEFT, a), (RIGHT, b)))


def evaluator(plan: SimilarityPlan, **arguments: Any) -> SimilarityEvaluator:
    if not plan.concealed:
        return SimilarityEvaluator(**arguments)
    return SimilarityEvaluator(keys_for(plan.parameters)[1], secrets.token_bytes, **arguments)


@lru_cache(maxsize=8)
def decryptor(parameters: ParameterSet) -> SimilarityDecryptor:
    return SimilarityDecryptor(keys_for(parameters)[0])


def similarity(
    plan: SimilarityPlan, a: np.ndarray, b: np.ndarray, rows: int | None = None
) -> np.ndarray:
    tiles = evaluator(plan).evaluate(*encrypted(plan, a, b), rows=rows)
    return similarity_matrix(plan, decryptor(plan.parameters).panels(plan, tiles))


def raw_words(plan: SimilarityPlan, seed: int, *, fill: str = "uniform") -> list[EncryptedRows]:
    """Operands of chosen words, not of any encryption."""
    random = np.random.default_rng(seed)
    operands = []
    for side in (LEFT, RIGHT):
        shape = plan.operand_shape(side)
        words = np.zeros(shape, dtype=np.uint32)
        for index, prime in enumerate(plan.primes):
            if fill == "uniform":
                words[index] = random.integers(0, prime, shape[1:])
            elif fill == "extreme":
                words[index] = random.choice([prime // 2, prime // 2 + 1], shape[1:])
        operands.append(EncryptedRows(plan, side, words))
    return operands


def assembled(plan: SimilarityPlan, tiles: Iterable[EncryptedTile]) -> list[np.ndarray]:
    """Words of whole panels (L, N + rows, N + columns), in order."""
    panels: dict[tuple[int, int], list[np.ndarray]] = {}
    for tile in tiles:
        panels.setdefault((tile.place.row_block, tile.place.column_block), []).append(tile.words)
    return [np.concatenate(parts, axis=1) for parts in panels.values()]


def adversarial(name: str, rows: int, inner: int) -> np.ndarray:
    if name == "equal":
        return np.full((rows, inner), 1 / np.sqrt(inner))
    if name == "opposite":
        return np.full((rows, inner), -1 / np.sqrt(inner))
    matrix = np.zeros((rows, inner))
    if name == "one-hot":
        matrix[np.arange(rows), np.arange(rows) % inner] = 1 + 9e-10
    return matrix


def panels_of(plan: SimilarityPlan, matrix: np.ndarray) -> list[Panel]:
    n = plan.parameters.ring_degree
    return [
        Panel(plan, x, y, matrix[x * n : (x + 1) * n, y * n : (y + 1) * n])
        for x in range(plan.blocks(LEFT))
        for y in range(plan.blocks(RIGHT))
    ]


def tile_bytes(plan: SimilarityPlan) -> bytes:
    tile = next(iter(evaluator(plan).evaluate(*raw_words(plan, 3), rows=2)))
    return tile.to_bytes()
