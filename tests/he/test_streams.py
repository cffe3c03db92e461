"""Operands of any size in bounded memory: clear NumPy is the oracle of what streams through."""

from __future__ import annotations

import io
import secrets
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encryption import gram_plan, keys_for, parties, score_plan, unit_columns, unit_item_model
from hypothesis import given, settings
from hypothesis import strategies as st

from hecf.errors import InvalidInput, LimitExceeded, MalformedMessage, Mismatch, ReleaseRefused
from hecf.he.clear_matrices import ClearMatrix
from hecf.he.matrices import EncryptedMatrix
from hecf.he.parameters import ParameterSet
from hecf.he.plan import LEFT, RIGHT, OperandPlan
from hecf.he.product.packing import ProductPacking
from hecf.he.product.plan import ProductPlan
from hecf.he.product.tiles import ProductTile
from hecf.he.scheme import streaming_scheme
from hecf.he.similarity.decryptor import panel_bytes
from hecf.he.similarity.encryptor import SecretRowEncryptor
from hecf.he.similarity.matrices import EncryptedRows
from hecf.he.similarity.plan import PUBLIC_KEY, SimilarityPlan, normalise_rows
from hecf.he.similarity.planner import plan_similarity
from hecf.he.similarity.scores import similarity_matrix
from hecf.he.streams import COPIES, cut, written
from hecf.he.summation.plan import SumPlan
from hecf.he.summation.planner import plan_sum
from hecf.privacy.policy import ReleasePolicy
from hecf.privacy.release import ReleaseGate

SCHEMES = ["ckks", "clear"]
PARAMETERS = ParameterSet.with_data_primes(4096, 3)
FORMS = {"ckks": EncryptedMatrix, "clear": ClearMatrix}


def memory_for(plan: OperandPlan, stripes: int) -> int:
    """Bytes that are enough for so many stripes at once, and not for one more."""
    form: Any = FORMS[plan.scheme]
    if plan.scheme == "ckks" and plan.operation == "similarity":
        form = EncryptedRows
    return stripes * COPIES * max(form.body_bytes(plan, s, 0, 1) for s in plan.encrypted_sides)


def sum_plan(scheme: str, values: int, summands: int) -> SumPlan:
    return plan_sum(
        scheme=scheme,
        values=values,
        summands=summands,
        value_bound=1.0,
        precision=2.0**-12,
        parameters=PARAMETERS,
    )


def pieces(matrix: np.ndarray, axis: int, size: int) -> list[np.ndarray]:
    return np.split(matrix, range(size, matrix.shape[axis], size), axis=axis)


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def upload(plan: OperandPlan, side: str, matrix: np.ndarray, size: int, memory: int) -> bytes:
    """An operand that is encrypted and written piece by piece."""
    encryptor, _, _ = parties(plan)
    axis = plan.stripes(side).axis
    blocks = encryptor.encrypt_blocks(plan, side, pieces(matrix, axis, size), memory=memory)
    return b"".join(written(blocks))


def tolerance(plan: ProductPlan) -> float:
    return plan.error_bound + 1e-12


# Every operation, streamed on both sides of the wire


@settings(max_examples=8, deadline=None)
@given(
    scheme=st.sampled_from(SCHEMES),
    rows=st.integers(1, 3000),
    columns=st.tuples(st.integers(1, 5), st.integers(1, 6)),
    size=st.integers(1, 900),
    chunk=st.integers(1000, 100_000),
    stripes=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_streamed_gram_blocks_are_those_of_numpy(
    scheme: str,
    rows: int,
    columns: tuple[int, int],
    size: int,
    chunk: int,
    stripes: int,
    seed: int,
) -> None:
    plan = gram_plan(scheme=scheme, inner=rows, left=columns[0], right=columns[1])
    memory = memory_for(plan, stripes)
    random = np.random.default_rng(seed)
    a, b = (unit_columns(random, rows, count) for count in columns)
    sides = [upload(plan, LEFT, a, size, memory), upload(plan, RIGHT, b, size, memory)]
    form = streaming_scheme(scheme)
    _, evaluator, decryptor = parties(plan)
    accumulator = evaluator.gram_accumulator(plan)
    readers = [
        form.blocks(plan, side, chunks(data, chunk), memory=memory)
        for side, data in zip((LEFT, RIGHT), sides, strict=True)
    ]
    for left, right in zip(*readers, strict=True):
        accumulator.add(left, right)
    values = decryptor.decrypt(accumulator.finish()).unwrap()
    assert np.abs(values - a.T @ b).max() <= tolerance(plan)


@settings(max_examples=6, deadline=None)
@given(
    scheme=st.sampled_from(SCHEMES),
    values=st.integers(1, 60_000),
    weights=st.lists(st.sampled_from([1, 1, -1]), min_size=2, max_size=3),
    size=st.integers(1, 20_000),
    seed=st.integers(0, 2**32 - 1),
)
def test_streamed_sums_are_exact(
    scheme: str, values: int, weights: list[int], size: int, seed: int
) -> None:
    plan = sum_plan(scheme, values, len(weights))
    memory = memory_for(plan, 1)
    vectors = np.random.default_rng(seed).uniform(-1, 1, (len(weights), values))
    sent = [upload(plan, LEFT, vector, size, memory) for vector in vectors]
    form = streaming_scheme(scheme)
    _, evaluator, decryptor = parties(plan)
    readers = [form.blocks(plan, LEFT, io.BytesIO(data), memory=memory) for data in sent]
    parts = []
    # Memory is that of one block of every party, and of their sum.
    for blocks in zip(*readers, strict=True):
        accumulator = evaluator.sum_accumulator(plan, blocks[0].first, blocks[0].count)
        for block, weight in zip(blocks, weights, strict=True):
            accumulator.add(block, weight)
        parts.append(decryptor.decrypt_sum(plan, accumulator.finish()).unwrap())
    unit = 2**plan.fraction_bits
    expected = (np.array(weights)[:, np.newaxis] * np.rint(vectors * unit)).sum(axis=0) / unit
    assert np.array_equal(np.concatenate(parts), expected)


@settings(max_examples=6, deadline=None)
@given(
    scheme=st.sampled_from(SCHEMES),
    shoppers=st.integers(1, 120),
    items=st.integers(1, 200),
    size=st.integers(1, 50),
    seed=st.integers(0, 2**32 - 1),
)
def test_streamed_scores_are_those_of_numpy(
    scheme: str, shoppers: int, items: int, size: int, seed: int
) -> None:
    plan = score_plan(scheme=scheme, left=shoppers, right=items)
    random = np.random.default_rng(seed)
    parts = random.uniform(-1, 1, (plan.summands, plan.inner, shoppers))
    matrix, bias = unit_item_model(random, plan.inner, items)
    memory = memory_for(plan, 2)
    form = streaming_scheme(scheme)
    _, evaluator, decryptor = parties(plan)
    readers = [
        form.blocks(plan, LEFT, io.BytesIO(upload(plan, LEFT, part, size, memory)), memory=memory)
        for part in parts
    ]

    def tiles() -> Iterator[Any]:
        for blocks in zip(*readers, strict=True):
            accumulator = evaluator.sum_accumulator(plan, blocks[0].first, blocks[0].count)
            total = accumulator.add_all(list(blocks))
            for tile in evaluator.score_tiles(total, matrix, bias, memory=1 << 23):
                yield form.tile(plan, tile.to_bytes())

    values = np.concatenate([rows.unwrap() for rows in decryptor.decrypt_tiles(plan, tiles())])
    assert np.abs(values - (parts.sum(axis=0).T @ matrix + bias)).max() <= tolerance(plan)


def released_plan(scheme: str, left: int, right: int) -> SimilarityPlan:
    return plan_similarity(
        scheme=scheme,
        inner=5,
        left=left,
        right=right,
        precision=1e-2,
        encryption=PUBLIC_KEY,
        statistical_bits=2,
        releases=1,
        parameters=ParameterSet.with_data_primes(4096, 3),
    )


def own_plan(scheme: str, left: int, right: int) -> SimilarityPlan:
    """An own-key plan in the smallest ring: several stripes in little time."""
    return plan_similarity(
        scheme=scheme,
        inner=5,
        left=left,
        right=right,
        precision=0.2,
        parameters=ParameterSet.with_data_primes(1024, 1, special=False),
    )


def own_upload(plan: SimilarityPlan, side: str, matrix: np.ndarray, size: int) -> bytes:
    if plan.scheme == "clear":
        return upload(plan, side, matrix, size, memory_for(plan, 1))
    encryptor = SecretRowEncryptor(keys_for(plan.parameters)[0], secrets.token_bytes)
    runs = cut(plan, side, pieces(matrix, 0, size), 1)
    return b"".join(written(encryptor.encrypt(plan, side, run, first) for first, run in runs))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("left", "right", "size"), [(2100, 40, 700), (30, 1030, 2000)])
def test_streamed_similarities_are_those_of_numpy(
    scheme: str, left: int, right: int, size: int
) -> None:
    plan = own_plan(scheme, left, right)
    random = np.random.default_rng(left)
    a, b = (normalise_rows(random.standard_normal((rows, 5))) for rows in (left, right))
    form, memory = streaming_scheme(scheme), memory_for(plan, 1)
    secret, public = keys_for(plan.parameters)
    evaluator = form.evaluator(plan.parameters, public.to_bytes(), secrets.token_bytes)
    sent = [own_upload(plan, LEFT, a, size), own_upload(plan, RIGHT, b, size)]

    def tiles() -> Iterator[Any]:
        for x in form.blocks(plan, LEFT, io.BytesIO(sent[0]), memory=memory):
            for y in form.blocks(plan, RIGHT, io.BytesIO(sent[1]), memory=memory):
                for tile in evaluator.similarity(x, y, memory=1 << 27):
                    yield form.tile(plan, tile.to_bytes())

    panels = form.decryptor(secret).panels(plan, tiles())
    error = np.abs(similarity_matrix(plan, panels) - a @ b.T).max()
    assert error <= plan.error_bound + 1e-12


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_released_similarity_is_the_flooded_best_of_every_row(scheme: str) -> None:
    plan = released_plan(scheme, 110, 130)
    random = np.random.default_rng(5)
    a, b = (normalise_rows(random.standard_normal((rows, 5))) for rows in (110, 130))
    form = streaming_scheme(scheme)
    _, evaluator, decryptor = parties(plan)
    operands = [
        form.operand(plan, side, upload(plan, side, matrix, 50, 1 << 28))
        for side, matrix in ((LEFT, a), (RIGHT, b))
    ]
    tiles = [form.tile(plan, tile.to_bytes()) for tile in evaluator.similarity(*operands)]
    panels = list(decryptor.panels(plan, tiles))
    exact = np.block([[panel.values for panel in panels]])
    assert np.abs(exact - a @ b.T).max() <= plan.error_bound + 1e-12
    with pytest.raises(ReleaseRefused, match="flooded"):
        similarity_matrix(plan, panels)
    policy = ReleasePolicy(minimum_shoppers=100, top_k=3, statistical_bits=2)
    top = ReleaseGate(policy, secrets.token_bytes).most_similar(plan, panels, 3)
    noise = 6 * plan.flooding + plan.error_bound + 2.0**-plan.grid_bits
    expected = np.take_along_axis(a @ b.T, top.columns, axis=1)
    assert top.columns.shape == (110, 3)
    assert np.abs(top.scores - expected).max() <= noise < 0.1
    assert (top.scores[:, 2] >= np.sort(a @ b.T, axis=1)[:, -3] - noise).all()
    assert (top.scores * 2.0**plan.grid_bits % 1 == 0).all()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_similarity_of_few_rows_is_not_released(scheme: str) -> None:
    plan = released_plan(scheme, 120, 5)
    gate = ReleaseGate(ReleasePolicy(minimum_shoppers=100, top_k=3), secrets.token_bytes)
    with pytest.raises(ReleaseRefused, match="from too few rows"):
        gate.most_similar(plan, iter([]), 3)


def test_a_key_holder_needs_memory_for_a_panel() -> None:
    plan = released_plan("ckks", 150, 200)
    _, evaluator, decryptor = parties(plan)
    with pytest.raises(LimitExceeded, match="a panel"):
        decryptor.panels(plan, iter([]), memory=1 << 20)
    operands = [
        streaming_scheme("ckks").operand(
            plan, side, upload(plan, side, np.zeros((n, 5)), n, 1 << 28)
        )
        for side, n in ((LEFT, 150), (RIGHT, 200))
    ]
    tiles = list(evaluator.similarity(*operands, memory=1 << 27))
    needed = panel_bytes(plan)
    assert peak(lambda: list(decryptor.panels(plan, tiles, memory=needed))) < needed
    with pytest.raises(LimitExceeded, match="a tile"):
        list(evaluator.similarity(*operands, memory=1 << 20))


# The bytes are the same however they are cut


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "plan",
    [
        gram_plan(inner=2000),
        score_plan(),
        sum_plan("ckks", 30_000, 2),
        own_plan("ckks", 2100, 150),
    ],
    ids=["gram", "score", "sum", "similarity"],
)
def test_blocks_and_the_whole_have_the_same_bytes(scheme: str, plan: OperandPlan) -> None:
    plan = replace(plan, scheme=scheme)
    form, zeros = streaming_scheme(scheme), np.zeros(plan.matrix_shape(LEFT))
    if isinstance(plan, SimilarityPlan):
        data = own_upload(plan, LEFT, zeros, 5000)
    else:
        encryptor, _, _ = parties(plan)
        data = encryptor.encrypt(encryptor.encode(plan, LEFT, zeros)).to_bytes()
    assert len(data) > 1900
    for memory in (memory_for(plan, 1), memory_for(plan, 2), 1 << 28):
        for chunk in (len(data), 977):
            blocks = form.blocks(plan, LEFT, chunks(data, chunk), memory=memory)
            assert b"".join(written(blocks)) == data
    assert form.operand(plan, LEFT, data).to_bytes() == data


# Memory


def peak(work: Any) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_bounded_by_the_argument_and_not_by_the_data(tmp_path: Path) -> None:
    plan = gram_plan(inner=40_000, left=4, right=4, packing=ProductPacking(4, 256, 4))
    memory = memory_for(plan, 5)
    assert plan.operand_bytes(LEFT) > 3 * memory
    random = np.random.default_rng(1)
    rows = unit_columns(random, plan.inner, 4)
    encryptor, evaluator, decryptor = parties(plan)

    def encrypt() -> None:
        for side in (LEFT, RIGHT):
            blocks = encryptor.encrypt_blocks(plan, side, pieces(rows, 0, 500), memory=memory)
            with (tmp_path / side).open("wb") as file:
                file.writelines(written(blocks))

    results = []

    def evaluate() -> None:
        form = streaming_scheme("ckks")
        accumulator = evaluator.gram_accumulator(plan)
        with (tmp_path / LEFT).open("rb") as a, (tmp_path / RIGHT).open("rb") as b:
            lefts = form.blocks(plan, LEFT, a, memory=memory)
            rights = form.blocks(plan, RIGHT, b, memory=memory)
            for left, right in zip(lefts, rights, strict=True):
                accumulator.add(left, right)
        results.append(accumulator.finish())

    assert peak(encrypt) < memory
    result = 4 * plan.result_bytes // 3
    assert peak(evaluate) < 2 * memory + 64 * result
    assert 2 * memory + 64 * result < 2 * plan.operand_bytes(LEFT)
    values = decryptor.decrypt(results[-1]).unwrap()
    assert np.abs(values - rows.T @ rows).max() <= tolerance(plan)

    def at_once() -> None:
        form = streaming_scheme("ckks")
        evaluator.gram(*(form.operand(plan, s, (tmp_path / s).read_bytes()) for s in (LEFT, RIGHT)))

    assert peak(at_once) > 2 * memory + 64 * result


def test_scores_of_many_shoppers_pass_through_little_memory() -> None:
    plan = score_plan(left=448, right=448, summands=1)
    _, evaluator, _ = parties(plan)
    encryptor, _, _ = parties(plan)
    whole = encryptor.encrypt(encryptor.encode(plan, LEFT, np.zeros((plan.inner, plan.left))))
    matrix, bias = unit_item_model(np.random.default_rng(0), plan.inner, plan.right)
    memory = 1 << 22
    assert plan.result_bytes > 2 * memory

    def score() -> None:
        for tile in evaluator.score_tiles(whole, matrix, bias, memory=memory):
            assert isinstance(tile, ProductTile)

    assert peak(score) < memory


@pytest.mark.parametrize("scheme", SCHEMES)
def test_too_little_memory_is_refused(scheme: str) -> None:
    plan = gram_plan(scheme=scheme)
    encryptor, _, _ = parties(plan)
    with pytest.raises(LimitExceeded, match="a stripe"):
        streaming_scheme(scheme).blocks(plan, LEFT, [], memory=1000)
    with pytest.raises(LimitExceeded, match="a stripe"):
        list(encryptor.encrypt_blocks(plan, LEFT, [], memory=1000))
    score = score_plan()
    encryptor, evaluator, _ = parties(score)
    operand = encryptor.encrypt(encryptor.encode(score, LEFT, np.zeros((6, 40))))
    with pytest.raises(LimitExceeded, match="a tile"):
        evaluator.score_tiles(operand, *unit_item_model(np.random.default_rng(0), 6, 90), memory=9)


# What does not belong


@pytest.mark.parametrize("scheme", SCHEMES)
def test_pieces_that_do_not_make_the_operand_are_refused(scheme: str) -> None:
    plan = gram_plan(scheme=scheme, inner=1200)
    encryptor, _, _ = parties(plan)
    half, memory = np.full((600, 3), np.sqrt(1 / 1200)), memory_for(plan, 1)

    def encrypt(*parts: np.ndarray) -> int:
        return sum(
            block.count for block in encryptor.encrypt_blocks(plan, LEFT, parts, memory=memory)
        )

    assert encrypt(half, half) == plan.stripes(LEFT).count
    with pytest.raises(InvalidInput, match="another length"):
        encrypt(half)
    with pytest.raises(InvalidInput, match="another length"):
        encrypt(half, half, half[:1] * 0)
    with pytest.raises(InvalidInput, match="another shape"):
        encrypt(half, half[:, :2])
    # Each piece is within the bound, and their columns together are not.
    with pytest.raises(InvalidInput, match="norm exceeds"):
        encrypt(half, 1.01 * half)
    with pytest.raises(InvalidInput, match="another shape"):
        encryptor.encode(plan, LEFT, half, 2)
    with pytest.raises(InvalidInput, match="another shape"):
        encryptor.encode(plan, LEFT, half)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_bytes_that_do_not_make_the_operand_are_refused(scheme: str) -> None:
    plan = gram_plan(scheme=scheme, inner=2000)
    encryptor, _, _ = parties(plan)
    data = encryptor.encrypt(encryptor.encode(plan, LEFT, np.zeros((2000, 3)))).to_bytes()
    form, memory = streaming_scheme(scheme), memory_for(plan, 1)

    def read(given: bytes, wanted: OperandPlan = plan, side: str = LEFT) -> int:
        return sum(
            block.count for block in form.blocks(wanted, side, chunks(given, 5000), memory=memory)
        )

    assert read(data) == 4
    for end in (0, 10, 40, 41, len(data) // 2, len(data) - 1):
        with pytest.raises(MalformedMessage, match="too short"):
            read(data[:end])
    with pytest.raises(MalformedMessage, match="another length"):
        read(data + b"\0")
    with pytest.raises(MalformedMessage, match="another kind"):
        read(data, side=RIGHT)
    with pytest.raises(Mismatch, match="fingerprints"):
        read(data, replace(plan, releases=5))
    damaged = bytearray(data)
    damaged[-8:] = b"\xff" * 8
    with pytest.raises(MalformedMessage):
        read(bytes(damaged))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_blocks_out_of_order_are_refused(scheme: str) -> None:
    plan = gram_plan(scheme=scheme, inner=2000)
    encryptor, evaluator, _ = parties(plan)
    zeros = {side: np.zeros(plan.matrix_shape(side)) for side in (LEFT, RIGHT)}
    blocks = {
        side: list(encryptor.encrypt_blocks(plan, side, [matrix], memory=memory_for(plan, 1)))
        for side, matrix in zeros.items()
    }
    lefts, rights = blocks[LEFT], blocks[RIGHT]
    assert len(lefts) == len(rights) > 1
    accumulator = evaluator.gram_accumulator(plan)
    for left, right in ((lefts[1], rights[1]), (lefts[0], rights[1]), (rights[0], lefts[0])):
        with pytest.raises(Mismatch):
            accumulator.add(left, right)
    with pytest.raises(Mismatch, match="rows of a product are missing"):
        accumulator.finish()
    accumulator.add(lefts[0], rights[0])
    with pytest.raises(Mismatch, match="out of order"):
        accumulator.add(lefts[0], rights[0])
    with pytest.raises(Mismatch, match="rows of a product are missing"):
        accumulator.finish()
    whole = encryptor.encrypt(encryptor.encode(plan, RIGHT, zeros[RIGHT]))
    with pytest.raises(Mismatch, match="different rows"):
        evaluator.gram_accumulator(plan).add(lefts[0], whole)
    with pytest.raises(Mismatch, match="missing"):
        lefts[0].to_bytes()
    with pytest.raises(Mismatch, match="out of order"):
        list(written(reversed(lefts)))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_sum_counts_every_contribution_once_in_every_stripe(scheme: str) -> None:
    plan = sum_plan(scheme, 40_000, 2)
    encryptor, evaluator, decryptor = parties(plan)
    ones = list(encryptor.encrypt_blocks(plan, LEFT, [np.ones(40_000)], memory=memory_for(plan, 1)))
    assert len(ones) > 1
    accumulator = evaluator.sum_accumulator(plan)
    for block in reversed(ones):
        accumulator.add(block)
    accumulator.add(ones[0])
    with pytest.raises(Mismatch, match="another number of contributions"):
        accumulator.finish()
    with pytest.raises(Mismatch, match="another number of contributions"):
        accumulator.add(ones[0])
    for block in ones[1:]:
        accumulator.add(block)
    assert (decryptor.decrypt_sum(plan, accumulator.finish()).unwrap() == 2).all()
    with pytest.raises(Mismatch, match="weights exceed"):
        evaluator.sum_accumulator(plan).add(ones[0], 3)
    with pytest.raises(Mismatch, match="not of the stripes"):
        evaluator.sum_accumulator(plan, 0, 1).add(ones[1])
    with pytest.raises(Mismatch, match="no such stripes"):
        evaluator.sum_accumulator(plan, 0, 100)


def test_tiles_must_be_complete_and_in_order() -> None:
    plan = score_plan(summands=1)
    encryptor, evaluator, decryptor = parties(plan)
    operand = encryptor.encrypt(encryptor.encode(plan, LEFT, np.zeros((6, 40))))
    model = unit_item_model(np.random.default_rng(0), 6, 90)
    tiles = list(evaluator.score_tiles(operand, *model, memory=1 << 22))
    assert len(tiles) > 3
    for wrong in (tiles[1:], tiles[:-1], tiles[::-1], [tiles[0], *tiles]):
        with pytest.raises(Mismatch):
            list(decryptor.decrypt_tiles(plan, wrong))
    other = replace(plan, releases=5)
    with pytest.raises(Mismatch, match="another plan"):
        list(decryptor.decrypt_tiles(other, tiles))
    data = tiles[0].to_bytes()
    assert ProductTile.from_bytes(plan, data).to_bytes() == data
    for damaged in (data[:-1], data[:20], data[:45], data + b"\0", data[:-3] + b"\xff" * 3):
        with pytest.raises(MalformedMessage):
            ProductTile.from_bytes(plan, damaged)
    for place in ((9, 0, 1, 1), (0, 9, 1, 1), (0, 0, 0, 1), (1, 0, 2, 1)):
        moved = data[:40] + b"".join(n.to_bytes(4, "little") for n in place) + data[56:]
        with pytest.raises(MalformedMessage):
            ProductTile.from_bytes(plan, moved)
