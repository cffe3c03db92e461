from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecf.data.directory import MemberDirectory, PseudonymKey
from hecf.data.interactions import InteractionMatrix, InteractionTable
from hecf.errors import InvalidInput

KEY = PseudonymKey.from_bytes(bytes(range(32)))


def table(users, items, counts, timestamps=None) -> InteractionTable:
    return InteractionTable(
        np.array(users, dtype=object), np.array(items, dtype=object), np.array(counts), timestamps
    )


@pytest.mark.parametrize(
    ("users", "items", "counts", "timestamps", "got"),
    [
        (["a", "b"], ["x"], [1.0, 1.0], None, "item_ids (1,)"),
        (["a"], ["x"], [1.0], np.array([1, 2]), "timestamps (2,)"),
        ([], [], np.zeros(0), None, "got 0"),
        (
            ["a", "b", "c"],
            ["x"] * 3,
            [1.0, np.nan, np.inf],
            None,
            "2 of 3 rows, the first is row 2",
        ),
        (["a", "b", "c"], ["x"] * 3, [1.0, 0.0, -1.0], None, "1 of 3 rows, the first is row 3"),
        (["a", ""], ["x", "x"], [1.0, 1.0], None, "1 of 2 rows, the first is row 2"),
        (["a", "b"], [" ", "x"], [1.0, 1.0], None, "1 of 2 rows, the first is row 1"),
        (["a", 7], ["x", "x"], [1.0, 1.0], None, "1 of 2 rows, the first is row 2"),
        (["a"], ["x"], ["many"], None, "got <U4"),
        (["a"], ["x"], [1.0], np.array([1.5]), "got float64"),
    ],
)
def test_table_refuses_what_cannot_be_used(users, items, counts, timestamps, got) -> None:
    with pytest.raises(InvalidInput) as caught:
        table(users, items, counts, timestamps)
    assert got in str(caught.value)
    assert "expected" in str(caught.value)


def test_table_accepts_the_nearest_good_rows_and_cannot_change() -> None:
    good = table(["a", "b"], ["x", "x"], [0, 1], np.array([5, 5]))
    assert len(good) == 2
    assert good.counts.dtype == np.float64
    assert good.timestamps is not None
    assert good.timestamps.dtype == np.int64
    assert repr(good) == "InteractionTable(2 rows)"
    with pytest.raises(ValueError, match="read-only"):
        good.counts[0] = -1
    with pytest.raises(dataclasses.FrozenInstanceError):
        good.counts = np.zeros(2)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdé"), st.sampled_from("xyz"), st.integers(0, 9)), min_size=1
    )
)
def test_aggregated_is_the_grouped_sum(rows) -> None:
    users, items, counts = zip(*rows, strict=True)
    result = table(users, items, counts).aggregated()
    frame = pd.DataFrame({"user": users, "item": items, "count": counts})
    expected = frame.groupby(["user", "item"], as_index=False)["count"].sum()
    assert result.user_ids.tolist() == expected["user"].tolist()
    assert result.item_ids.tolist() == expected["item"].tolist()
    np.testing.assert_array_equal(result.counts, expected["count"])
    assert result.timestamps is None


def test_matrix_rows_follow_the_directory_and_sum_repeated_rows() -> None:
    directory = MemberDirectory.from_members(KEY, ["ann", "bob", "eve"])
    rows = table(
        ["ann", "eve", "ann", " ann ", "eve"], ["z", "y", "z", "x", "z"], [1.0, 2.0, 3.0, 4.0, 0.0]
    )
    matrix = InteractionMatrix.from_table(rows, directory, KEY)
    place = {name: directory.position(KEY.pseudonym(name)) for name in ("ann", "bob", "eve")}
    expected = np.zeros((3, 3))
    expected[place["ann"]] = [4.0, 0.0, 4.0]
    expected[place["eve"]] = [0.0, 2.0, 0.0]
    assert matrix.item_ids == ("x", "y", "z")
    np.testing.assert_array_equal(matrix.counts.toarray(), expected)
    # A count of 0 is not stored, so it cannot make a shopper look present.
    assert matrix.counts.nnz == 3
    assert "ann" not in repr(matrix)


def test_matrix_keeps_the_given_catalogue() -> None:
    directory = MemberDirectory.from_members(KEY, ["ann"])
    rows = table(["ann", "ann"], ["z", "y"], [1.0, 2.0])
    matrix = InteractionMatrix.from_table(rows, directory, KEY, ["y", "new"])
    assert matrix.item_ids == ("y", "new")
    np.testing.assert_array_equal(matrix.counts.toarray(), [[2.0, 0.0]])


def test_matrix_refuses_strangers_and_bad_catalogues() -> None:
    directory = MemberDirectory.from_members(KEY, ["ann"])
    rows = table(["ann", "bob", "eve"], ["z", "y", "z"], [1.0, 2.0, 1.0])
    with pytest.raises(InvalidInput, match="2 unknown of 3 users") as caught:
        InteractionMatrix.from_table(rows, directory, KEY)
    assert "bob" not in str(caught.value)
    known = table(["ann"], ["z"], [1.0])
    with pytest.raises(InvalidInput, match="1 unknown of 1 users"):
        InteractionMatrix.from_table(known, directory, PseudonymKey.generate())
    with pytest.raises(InvalidInput, match="1 doubled of 2"):
        InteractionMatrix.from_table(known, directory, KEY, ["z", "z"])
    with pytest.raises(InvalidInput, match="no items"):
        InteractionMatrix.from_table(known, directory, KEY, [])
    with pytest.raises(InvalidInput, match="empty or not text"):
        InteractionMatrix.from_table(known, directory, KEY, [""])


def test_matrix_validates_itself() -> None:
    good = InteractionMatrix.from_table(
        table(["ann"], ["z"], [1.0]), MemberDirectory.from_members(KEY, ["ann"]), KEY
    )
    with pytest.raises(InvalidInput, match="expected 2 columns"):
        InteractionMatrix(good.counts, ("x", "y"))
    with pytest.raises(InvalidInput, match="1 values NaN"):
        InteractionMatrix(good.counts * -1, ("x",))
    with pytest.raises(InvalidInput, match="got ndarray"):
        InteractionMatrix(good.counts.toarray(), ("x",))
