"""Valid messages of every kind, with their strict parsers, for tests that change bytes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from encryption import SMALLEST, gram_plan, keys_for, score_plan

from hecf.he.clear import ClearMatrix, ClearProduct
from hecf.he.matrices import EncryptedMatrix, EncryptedProduct, PublicKey
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.item_model import ItemModel
from hecf.he.product.packing import ProductPacking
from hecf.privacy.release import TopScores
from hecf.protocol.released import ReleasedBlocks, top_scores_from_bytes, top_scores_to_bytes
from hecf.protocol.tasks import GramTask, ScoreTask
from hecf.protocol.terms import Terms

GRAM = gram_plan(
    inner=20,
    left=1,
    right=1,
    level=2,
    packing=ProductPacking(1, 4096, 1),
    left_scale_bits=20,
    right_scale_bits=20,
)
SCORE = score_plan(
    parameters=SMALLEST,
    level=1,
    inner=2,
    left=20,
    right=30,
    packing=ProductPacking(32, 2, 32),
    left_scale_bits=14,
    right_scale_bits=4,
    summands=1,
)
TERMS = Terms(
    coalition="loyal",
    identifier="0" * 32,
    scheme="clear",
    retailers=("grocer", "butcher", "florist"),
    shoppers=500,
    directory="1" * 64,
    factors=4,
)
BLOCKS = GramTask(TERMS)
SCORES = ScoreTask(TERMS, "butcher", (3, 7, 9), 25)
HEADER = 40


@dataclass(frozen=True)
class Message:
    """A valid message, its strict parser, and the writer of what was parsed."""

    data: bytes
    parse: Callable[[bytes], object]
    write: Callable[[object], bytes]
    valid: Callable[[object], bool]


def words_below(words: np.ndarray, primes: tuple[int, ...]) -> bool:
    return all(int(words[..., i, :].max()) < p for i, p in enumerate(primes))


def some_words(shape: tuple[int, ...], primes: tuple[int, ...], seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    out = np.empty(shape, dtype=np.uint32)
    for index, prime in enumerate(primes):
        out[..., index, :] = generator.integers(0, prime, (*shape[:-2], shape[-1]))
    return out


def finite(*values: np.ndarray) -> bool:
    return all(bool(np.isfinite(each).all()) for each in values)


def messages() -> dict[str, Message]:
    operand = EncryptedMatrix(GRAM, LEFT, some_words(GRAM.operand_shape(LEFT), GRAM.primes, 1))
    product = EncryptedProduct(
        SCORE,
        some_words(SCORE.constant_shape, SCORE.primes, 2),
        some_words(SCORE.tail_shape, SCORE.primes, 3),
    )
    three = EncryptedProduct(
        GRAM,
        some_words(GRAM.constant_shape, GRAM.primes, 4),
        some_words(GRAM.tail_shape, GRAM.primes, 5),
    )
    key = keys_for(SMALLEST)[1]
    generator = np.random.default_rng(6)
    items = generator.uniform(-0.4, 0.4, (SCORE.inner, SCORE.right))
    model = ItemModel(items, generator.uniform(-0.9, 0.9, SCORE.right))
    clear_gram, clear_score = gram_plan(scheme="clear"), score_plan(scheme="clear")
    clear_operand = ClearMatrix(clear_gram, RIGHT, generator.uniform(-1, 1, (70, 5)))
    clear_product = ClearProduct(clear_score, generator.uniform(-1, 1, (40, 90)))
    blocks = ReleasedBlocks({pair: generator.uniform(-1, 1, (4, 4)) for pair in BLOCKS.pairs})
    top = TopScores(
        np.argsort(generator.random((3, 25)), axis=1)[:, :20].astype(np.int32),
        generator.uniform(-1, 1, (3, 20)),
    )
    return {
        "operand": Message(
            operand.to_bytes(),
            lambda data: EncryptedMatrix.from_bytes(GRAM, LEFT, data),
            lambda parsed: parsed.to_bytes(),
            lambda parsed: words_below(parsed.words, GRAM.primes),
        ),
        "product of a score": Message(
            product.to_bytes(),
            lambda data: EncryptedProduct.from_bytes(SCORE, data),
            lambda parsed: parsed.to_bytes(),
            lambda parsed: (
                words_below(parsed.constant, SCORE.primes)
                and words_below(parsed.tail, SCORE.primes)
            ),
        ),
        "product of a gram": Message(
            three.to_bytes(),
            lambda data: EncryptedProduct.from_bytes(GRAM, data),
            lambda parsed: parsed.to_bytes(),
            lambda parsed: (
                words_below(parsed.constant, GRAM.primes) and words_below(parsed.tail, GRAM.primes)
            ),
        ),
        "public key": Message(
            key.to_bytes(),
            lambda data: PublicKey.from_bytes(SMALLEST, data),
            lambda parsed: parsed.to_bytes(),
            lambda parsed: words_below(parsed.words, (*SMALLEST.primes, SMALLEST.special_prime)),
        ),
        "item model": Message(
            model.to_bytes(SCORE),
            lambda data: ItemModel.from_bytes(SCORE, data),
            lambda parsed: parsed.to_bytes(SCORE),
            lambda parsed: (
                np.abs(parsed.items).sum(axis=0).max() <= 1 + 1e-9
                and np.abs(parsed.bias).max() <= 1
            ),
        ),
        "clear operand": Message(
            clear_operand.to_bytes(),
            lambda data: ClearMatrix.from_bytes(clear_gram, RIGHT, data),
            lambda parsed: parsed.to_bytes(),
            lambda parsed: finite(parsed.values),
        ),
        "clear product": Message(
            clear_product.to_bytes(),
            lambda data: ClearProduct.from_bytes(clear_score, data),
            lambda parsed: parsed.to_bytes(),
            lambda parsed: finite(parsed.values),
        ),
        "released blocks": Message(
            blocks.to_bytes(BLOCKS),
            lambda data: ReleasedBlocks.from_bytes(BLOCKS, data),
            lambda parsed: parsed.to_bytes(BLOCKS),
            lambda parsed: finite(*parsed.blocks.values()),
        ),
        "released scores": Message(
            top_scores_to_bytes(SCORES, top),
            lambda data: top_scores_from_bytes(SCORES, data),
            lambda parsed: top_scores_to_bytes(SCORES, parsed),
            lambda parsed: (
                finite(parsed.scores)
                and parsed.items.min() >= 0
                and parsed.items.max() < SCORES.items
            ),
        ),
    }


def mutate(data: bytes, source: random.Random) -> bytes:
    """One of the ways in which bytes go wrong, by accident or on purpose."""
    out = bytearray(data)
    kind = source.randrange(8)
    if kind == 0:
        return bytes(out[: source.randrange(len(out))])
    if kind == 1:
        return bytes(out) + source.randbytes(source.choice([1, 2, 3, 8, 1000]))
    if kind == 2:
        position = source.randrange(HEADER)
        out[position] ^= 1 << source.randrange(8)
    elif kind == 3:
        for _ in range(source.randrange(1, 5)):
            out[source.randrange(HEADER, len(out))] ^= 1 << source.randrange(8)
    elif kind == 4:
        position = source.randrange(HEADER, len(out))
        out[position : position + 8] = b"\xff" * len(out[position : position + 8])
    elif kind == 5:
        start, length = source.randrange(HEADER, len(out)), source.randrange(1, 64)
        out[start : start + length] = source.randbytes(len(out[start : start + length]))
    elif kind == 6:
        position = source.randrange(len(out))
        del out[position : position + source.randrange(1, 30)]
    else:
        position = source.randrange(HEADER, len(out))
        out[position : position + 1] = bytes([source.choice([0, 0x7F, 0x80, 0xF0, 0xFF])])
    return bytes(out)
