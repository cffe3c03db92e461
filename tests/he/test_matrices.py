from __future__ import annotations

import random

import numpy as np
import pytest
from encryption import PARAMETERS, SMALLEST, gram_plan, keys_for
from samples import (
    GRAM,
    HEADER,
    SCORE,
    messages,
    mutate,
    some_words,
)

from hecf.errors import HecfError, InvalidInput, MalformedMessage, Mismatch
from hecf.he.clear import ClearMatrix
from hecf.he.matrices import EncryptedMatrix, EncryptedProduct, PublicKey
from hecf.he.messages import pack_words, unpack_words
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.item_model import ItemModel
from hecf.he.product.packing import ProductPacking

MESSAGES = messages()


@pytest.mark.parametrize("name", MESSAGES)
def test_mutated_messages_are_refused_or_valid(name: str) -> None:
    message = MESSAGES[name]
    assert message.write(message.parse(message.data)) == message.data
    source = random.Random(name)
    accepted = refused = longest = 0
    for _ in range(2000):
        data = mutate(message.data, source)
        try:
            parsed = message.parse(data)
        except HecfError as error:
            refused += 1
            longest = max(longest, len(str(error)))
            continue
        accepted += 1
        assert message.valid(parsed)
        # What is accepted has one form only: nothing was repaired or ignored.
        assert message.write(parsed) == data
    # The mutations are neither all harmless nor all caught by the length alone.
    assert accepted > 50
    assert refused > 500
    # Nobody's bytes are quoted back.
    assert longest < 200


@pytest.mark.parametrize("name", MESSAGES)
def test_every_byte_of_the_header_matters(name: str) -> None:
    message = MESSAGES[name]
    for position in range(HEADER):
        data = bytearray(message.data)
        data[position] ^= 0x10
        expected = MalformedMessage if position < 8 else Mismatch
        with pytest.raises(expected):
            message.parse(bytes(data))


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("change", [-1, 1, -3, 3, 8])
def test_another_length_is_refused(name: str, change: int) -> None:
    message = MESSAGES[name]
    data = message.data[:change] if change < 0 else message.data + bytes(change)
    with pytest.raises(MalformedMessage, match="another length"):
        message.parse(data)


@pytest.mark.parametrize("length", [0, 1, 39])
def test_less_than_a_header_is_refused(length: int) -> None:
    for message in MESSAGES.values():
        with pytest.raises(MalformedMessage, match="too short"):
            message.parse(message.data[:length])
    with pytest.raises(MalformedMessage, match="another length"):
        MESSAGES["operand"].parse(MESSAGES["operand"].data[:HEADER])


@pytest.mark.parametrize("name", ["operand", "product of a score", "product of a gram"])
def test_residues_that_reach_their_prime_are_refused_wherever_they_are(name: str) -> None:
    message = MESSAGES[name]
    primes = (GRAM if name != "product of a score" else SCORE).primes
    source = random.Random(1)
    count = (len(message.data) - HEADER) // 3
    for word in [0, count - 1, *(source.randrange(count) for _ in range(40))]:
        data = bytearray(message.data)
        place = slice(HEADER + 3 * word, HEADER + 3 * word + 3)
        data[place] = max(primes).to_bytes(3, "little")
        with pytest.raises(MalformedMessage, match="not below its prime"):
            message.parse(bytes(data))
        data[place] = (min(primes) - 1).to_bytes(3, "little")
        message.parse(bytes(data))


def test_a_residue_is_compared_with_its_own_prime() -> None:
    words = some_words(GRAM.operand_shape(LEFT), GRAM.primes, 7)
    low, high = sorted(GRAM.primes)
    for index, prime in enumerate(GRAM.primes):
        changed = words.copy()
        changed[0, 0, 1, index, 77] = low
        data = EncryptedMatrix(GRAM, LEFT, changed).to_bytes()
        if prime == low:
            with pytest.raises(MalformedMessage):
                EncryptedMatrix.from_bytes(GRAM, LEFT, data)
        else:
            assert prime == high
            EncryptedMatrix.from_bytes(GRAM, LEFT, data)


def test_public_keys_are_checked_against_every_prime() -> None:
    key = keys_for(PARAMETERS)[1]
    for index, prime in enumerate((*PARAMETERS.primes, PARAMETERS.special_prime)):
        for component in (0, 1):
            words = key.words.copy()
            words[component, index, 5] = prime
            data = bytearray(key.to_bytes())
            place = HEADER + 8 * int(np.ravel_multi_index((component, index, 5), words.shape))
            data[place : place + 8] = prime.to_bytes(8, "little")
            with pytest.raises(MalformedMessage, match="public key"):
                PublicKey.from_bytes(PARAMETERS, bytes(data))
    with pytest.raises(Mismatch):
        PublicKey.from_bytes(SMALLEST, key.to_bytes())
    with pytest.raises(MalformedMessage, match="another shape"):
        PublicKey(PARAMETERS, key.words[:, :3])
    with pytest.raises(MalformedMessage, match="another shape"):
        PublicKey(PARAMETERS, key.words.astype(np.int64))
    assert PublicKey.from_bytes(PARAMETERS, key.to_bytes()).fingerprint == key.fingerprint


def test_messages_of_one_kind_do_not_pass_for_another() -> None:
    square = gram_plan(left=5, right=5, packing=ProductPacking(4, 256, 4))
    left = EncryptedMatrix(square, LEFT, some_words(square.operand_shape(LEFT), square.primes, 8))
    with pytest.raises(MalformedMessage, match="another kind"):
        EncryptedMatrix.from_bytes(square, RIGHT, left.to_bytes())
    clear = gram_plan(scheme="clear", left=5, right=5)
    operand = ClearMatrix(clear, LEFT, np.zeros((70, 5)))
    with pytest.raises(MalformedMessage, match="another kind"):
        ClearMatrix.from_bytes(clear, RIGHT, operand.to_bytes())
    with pytest.raises(Mismatch):
        EncryptedMatrix.from_bytes(gram_plan(left=5, right=5, releases=5), LEFT, left.to_bytes())
    for name, message in MESSAGES.items():
        for other in MESSAGES:
            if other != name:
                with pytest.raises((MalformedMessage, Mismatch)):
                    message.parse(MESSAGES[other].data)


def test_words_of_another_shape_or_type_do_not_become_ciphertexts() -> None:
    words = some_words(GRAM.operand_shape(LEFT), GRAM.primes, 9)
    for wrong in (words[..., :-1], words.astype(np.int64), words[0]):
        with pytest.raises(MalformedMessage, match="another shape"):
            EncryptedMatrix(GRAM, LEFT, wrong)
    constant = some_words(GRAM.constant_shape, GRAM.primes, 1)
    tail = some_words(GRAM.tail_shape, GRAM.primes, 2)
    for pair in ((constant, tail[:, :, :1]), (tail, constant), (constant.astype(float), tail)):
        with pytest.raises(MalformedMessage, match="another shape"):
            EncryptedProduct(GRAM, *pair)


def test_packed_words_are_three_little_endian_bytes() -> None:
    words = np.array([[0, 1, 256, 65536, (1 << 24) - 1]], dtype=np.uint32)
    packed = pack_words(words)
    assert packed == b"\0\0\0\1\0\0\0\1\0\0\0\1\xff\xff\xff"
    assert np.array_equal(unpack_words(memoryview(packed), (1, 5)), words)


def test_item_models_are_scaled_to_their_bounds_and_back() -> None:
    generator = np.random.default_rng(10)
    items, bias = generator.normal(0, 7, (2, 30)), generator.normal(0, 3, 30)
    model, unit = ItemModel.scaled(items, bias)
    norms = np.array([sum(abs(float(v)) for v in column) for column in model.items.T])
    assert norms.max() <= 1 + 1e-12
    assert np.abs(model.bias).max() <= 1
    assert max(norms.max(), np.abs(model.bias).max()) > 1 - 1e-12
    assert np.allclose(model.items * unit, items, rtol=1e-14)
    assert np.allclose(model.bias * unit, bias, rtol=1e-14)
    zero, unit = ItemModel.scaled(np.zeros((2, 30)), np.zeros(30))
    assert not zero.items.any()
    assert unit > 0
    assert ItemModel.from_bytes(SCORE, zero.to_bytes(SCORE)).bias.shape == (30,)


@pytest.mark.parametrize(
    ("items", "bias"),
    [
        (np.full((2, 30), np.nan), np.zeros(30)),
        (np.zeros((2, 30)), np.full(30, np.inf)),
        (np.full((2, 30), 1e308), np.zeros(30)),
        (np.zeros((2, 0)), np.zeros(0)),
    ],
)
def test_item_models_that_cannot_be_scaled_are_refused(items: np.ndarray, bias: np.ndarray) -> None:
    with pytest.raises(InvalidInput):
        ItemModel.scaled(items, bias)


def test_item_models_over_their_bounds_are_not_written() -> None:
    with pytest.raises(InvalidInput, match="1-norm"):
        ItemModel(np.full((2, 30), 0.6), np.zeros(30)).to_bytes(SCORE)
    with pytest.raises(InvalidInput, match="bias"):
        ItemModel(np.zeros((2, 30)), np.full(30, -1.1)).to_bytes(SCORE)
