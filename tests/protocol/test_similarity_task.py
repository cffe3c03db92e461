from __future__ import annotations

import secrets
from dataclasses import replace

import numpy as np
import pytest

from hecf.errors import (
    InvalidInput,
    LimitExceeded,
    MalformedMessage,
    Mismatch,
    ParameterError,
    ReleaseRefused,
    UnknownTask,
)
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.plan import SIMILARITY, ProductPlan
from hecf.he.scheme import streaming_scheme
from hecf.he.similarity.plan import SimilarityPlan, normalise_rows
from hecf.he.similarity.scores import TopSimilar
from hecf.protocol.computation import compute, compute_tiles, computed_with
from hecf.protocol.released import similar_from_bytes, similar_to_bytes
from hecf.protocol.tasks import (
    SIMILARITY_PRECISION,
    GramTask,
    Part,
    SimilarityTask,
    gram_plan,
    tile_rows,
)
from hecf.protocol.tasks.similarity import TILE_BYTES
from hecf.protocol.terms import Terms

TERMS = Terms(
    coalition="loyal",
    identifier="0" * 32,
    scheme="ckks",
    retailers=("grocer", "butcher", "florist"),
    shoppers=500,
    directory="1" * 64,
    factors=4,
    top_k=5,
)
TASK = SimilarityTask(TERMS, "butcher", "items", "grocer", 12, 40, 6, 3)
CLEAR = replace(TASK, terms=replace(TERMS, scheme="clear"))
# Too many similarities for packed products, in two panels.
TILED = replace(TASK, left=9000, right=300)


def test_it_is_between_two_retailers_under_the_key_of_the_coalition() -> None:
    assert TASK.parts == [("butcher", LEFT), ("grocer", RIGHT)]
    assert TASK.recipients == ("butcher",)
    assert TASK.name == SimilarityTask.name_of("butcher", "items") == "similarity/butcher/items"
    for task in (TASK, TILED):
        plan = task.plan
        assert plan.parameters == gram_plan(TERMS).parameters
        assert (plan.inner, plan.left, plan.right) == (6, task.left, task.right)
        assert (plan.statistical_bits, plan.releases) == (TERMS.statistical_bits, TERMS.releases)
        assert max(plan.flooding, plan.error_bound) <= SIMILARITY_PRECISION


def test_few_rows_are_packed_in_one_small_result() -> None:
    plan = TASK.plan
    assert isinstance(plan, ProductPlan)
    assert TASK.results == computed_with(TASK, "product") == ["product"]
    assert TASK.ciphertexts == plan.constant_shape[0] * plan.constant_shape[1] == 1
    assert plan.result_bytes < 300_000
    assert CLEAR.results == ["product"]
    rows = np.arange(12.0 * 6).reshape(12, 6)
    assert TASK.operand(rows).shape == plan.matrix_shape(LEFT) == (6, 12)
    # A result of another operation does not pass for it.
    assert plan.operation == SIMILARITY != gram_plan(TERMS).operation


def test_the_results_of_many_rows_are_tiles_of_at_most_the_agreed_bytes() -> None:
    plan = TILED.plan
    assert isinstance(plan, SimilarityPlan)
    assert plan.concealed
    assert TILED.ciphertexts == 2
    level, stacked, width = plan.panel_shape(0, 0)
    rows = tile_rows(plan)
    firsts = [int(name.removeprefix("0/0/")) for name in TILED.results if name.startswith("0/0/")]
    assert firsts == list(range(0, stacked, rows))
    assert 3 * level * width * rows <= TILE_BYTES < 3 * level * width * (rows + 1)
    clear = replace(TILED, terms=CLEAR.terms)
    assert clear.results == ["0/0/0", "1/0/0"]
    # Rows of the declarer first, and for each the columns of the source.
    two = replace(clear, right=9000)
    assert two.results == ["0/0/0", "0/1/0", "1/0/0", "1/1/0"]
    assert computed_with(two, "1/0/0") == two.results
    assert computed_with(GramTask(TERMS), "grocer/butcher") == ["grocer/butcher"]
    with pytest.raises(UnknownTask):
        computed_with(two, "2/0/0")


def test_identifiers_depend_on_every_field() -> None:
    others = [
        replace(TASK, declarer="florist"),
        replace(TASK, label="shoppers"),
        replace(TASK, source="florist"),
        replace(TASK, left=13),
        replace(TASK, right=41),
        replace(TASK, inner=7),
        replace(TASK, count=2),
        CLEAR,
        replace(TASK, terms=replace(TERMS, top_k=6)),
    ]
    assert len({task.identifier for task in (TASK, *others)}) == len(others) + 1


PRIVATE = {"epsilon": 1.0, "delta": 1e-6, "clip": 2.0, "noise_multiplier": 4.2}


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"declarer": "baker"}, InvalidInput, "unknown retailer: got baker"),
        ({"source": "baker"}, InvalidInput, "unknown retailer: got baker"),
        ({"source": "butcher"}, InvalidInput, "those of another retailer"),
        ({"label": "My Items"}, InvalidInput, "unsuitable label"),
        ({"left": 0}, InvalidInput, "number of rows: got 0"),
        ({"right": (1 << 20) + 1}, InvalidInput, "number of rows"),
        ({"inner": 0}, InvalidInput, "number of columns"),
        ({"count": 0}, InvalidInput, "number of similar rows"),
        ({"count": 6}, ReleaseRefused, "than agreed: got 6, expected 5"),
        ({"right": 5}, ReleaseRefused, "too few rows: got 5, expected at least 10"),
        ({"left": 1 << 20, "right": 1 << 20}, InvalidInput, "too large"),
        ({"terms": replace(TERMS, scheme="paillier")}, ParameterError, "similarity"),
        ({"terms": replace(TERMS, **PRIVATE)}, InvalidInput, "privacy and on no similarities"),
    ],
)
def test_what_does_not_fit_the_terms_is_refused(
    changes: dict[str, object], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        replace(TASK, **changes)


def test_tiles_are_those_of_the_task_within_the_memory() -> None:
    scheme = streaming_scheme("ckks")
    plan = TILED.plan
    _, public = scheme.generate_keys(plan.parameters)
    encryptor = scheme.encryptor(plan.parameters, public)
    evaluator = scheme.evaluator(plan.parameters, public, secrets.token_bytes)
    random = np.random.default_rng(3)
    data = {}
    for part in TILED.parts:
        rows = normalise_rows(random.standard_normal(plan.matrix_shape(part[1])))
        data[part] = encryptor.encrypt(encryptor.encode(plan, part[1], rows)).to_bytes()

    def read(part: Part) -> list[bytes]:
        return [data[part]]

    tiles = compute_tiles(TILED, read, scheme, evaluator)
    assert [next(tiles)[0] for _ in range(3)] == TILED.results[:3]
    with pytest.raises(LimitExceeded, match="memory is too small") as refusal:
        next(compute_tiles(TILED, read, scheme, evaluator, tile_memory=1 << 24))
    # Memory for one row makes tiles that are not those of the task.
    one_row = int(str(refusal.value).rpartition("at least ")[2])
    with pytest.raises(LimitExceeded, match=f"memory is too small .* got {one_row} bytes$"):
        list(compute_tiles(TILED, read, scheme, evaluator, tile_memory=one_row))
    with pytest.raises(Mismatch, match="packed rows have no tiles"):
        next(compute_tiles(TASK, read, scheme, evaluator))
    with pytest.raises(Mismatch, match="tile by tile"):
        compute(TILED, "0/0/0", data, read, scheme, evaluator, secrets.token_bytes)


def test_released_rows_survive_their_bytes_and_no_other_task_reads_them() -> None:
    random = np.random.default_rng(1)
    top = TopSimilar(random.integers(0, 40, (12, 3)), random.standard_normal((12, 3)))
    data = similar_to_bytes(TASK, top)
    back = similar_from_bytes(TASK, data)
    np.testing.assert_array_equal(back.columns, top.columns)
    np.testing.assert_array_equal(back.scores, top.scores)
    with pytest.raises(Mismatch):
        similar_from_bytes(replace(TASK, label="others"), data)
    with pytest.raises(MalformedMessage):
        similar_from_bytes(TASK, data[:-1])
    for columns, scores in ((top.columns + 40, top.scores), (top.columns, top.scores * np.nan)):
        with pytest.raises(MalformedMessage, match="do not fit the rows"):
            similar_from_bytes(TASK, similar_to_bytes(TASK, TopSimilar(columns, scores)))
