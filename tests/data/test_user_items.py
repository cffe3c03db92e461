from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_array, csr_matrix

from hecf.data import (
    ColumnNames,
    UserItems,
    interactions_from_frame,
    read_interactions,
    stream_interactions,
)
from hecf.errors import InvalidInput

IDS = ["user_id", "item_id"]


def log(rows: int, users: int = 300, items: int = 90, seed: int = 1) -> pd.DataFrame:
    """A log of purchases in which most pairs repeat."""
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "user_id": [f"u{n:04}" for n in generator.integers(users, size=rows)],
            "item_id": [f"i{n}" for n in generator.integers(items, size=rows)],
            "rating": generator.integers(0, 4, rows),
        }
    )


def pivot(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.pivot_table("rating", "user_id", "item_id", "sum", fill_value=0)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "inter"])
@pytest.mark.parametrize("rows", [97, 1 << 18])
def test_streamed_file_equals_a_pandas_pivot(tmp_path, suffix, rows) -> None:
    frame = log(2000)
    path = tmp_path / f"log.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        kinds = {"user_id": "user_id:token", "item_id": "item_id:token", "rating": "rating:float"}
        frame.rename(columns=kinds).to_csv(path, sep="\t", index=False)
    matrix = UserItems.from_tables(stream_interactions(path, rows=rows))
    expected = pivot(frame)
    assert matrix.user_ids == tuple(expected.index)
    assert matrix.item_ids == tuple(expected.columns)
    np.testing.assert_array_equal(matrix.counts.toarray(), expected.to_numpy())
    assert matrix.counts.nnz == np.count_nonzero(expected.to_numpy())


def test_a_streamed_parquet_file_is_fetched_by_row_groups(tmp_path) -> None:
    path, groups = tmp_path / "log.parquet", 40
    long = [f"a-loyalty-card-of-many-letters-{number:032}" for number in range(4000)]
    table = pa.table({"user_id": long, "item_id": long})
    with pq.ParquetWriter(path, table.schema, use_dictionary=False, compression="none") as writer:
        for _ in range(groups):
            writer.write_table(table)
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in stream_interactions(path, rows=1000)]
    assert len(held) == 4 * groups
    assert max(held) < path.stat().st_size / 8
    # Arrow counts what is held: a whole file is.
    whole = pq.read_table(path)
    assert pa.total_allocated_bytes() - before > path.stat().st_size / 2
    assert len(whole) == 4000 * groups


def test_a_streamed_file_may_be_larger_than_the_memory_used(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("hecf.data.user_items._PENDING", 4000)
    path, rows = tmp_path / "log.csv", 60_000
    pa.csv.write_csv(pa.Table.from_pandas(log(rows, users=50, items=20)), path)

    def peak(read) -> int:
        tracemalloc.start()
        try:
            read()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    streamed = peak(lambda: UserItems.from_tables(stream_interactions(path, rows=2000)))
    # The negative control holds all rows at once.
    whole = peak(lambda: list(stream_interactions(path, rows=rows)))
    assert streamed < path.stat().st_size < whole


def test_many_parts_are_summed_before_they_fill_memory(monkeypatch) -> None:
    monkeypatch.setattr("hecf.data.user_items._PENDING", 100)
    frames = [log(60, seed=seed) for seed in range(9)]
    matrix = UserItems.from_tables(
        table for frame in frames for table in [interactions_from_frame(frame.drop_duplicates(IDS))]
    )
    expected = pivot(pd.concat([frame.drop_duplicates(IDS) for frame in frames]))
    np.testing.assert_array_equal(matrix.counts.toarray(), expected.to_numpy())


def test_any_frame_gives_the_same_matrix() -> None:
    frame = log(400).drop_duplicates(IDS)
    expected = UserItems.from_frame(frame)
    others = [pl.from_pandas(frame), pl.from_pandas(frame).lazy(), pa.Table.from_pandas(frame)]
    renamed = frame.rename(columns={"user_id": "member", "item_id": "sku", "rating": "n"})
    names = ColumnNames(user="member", item="sku", rating="n")
    for matrix in [*map(UserItems.from_frame, others), UserItems.from_frame(renamed, names)]:
        assert (matrix.user_ids, matrix.item_ids) == (expected.user_ids, expected.item_ids)
        assert (matrix.counts != expected.counts).nnz == 0


def test_scipy_matrix_with_and_without_ids() -> None:
    dense = np.array([[0, 2.0], [1, 0], [0, 0]])
    matrix = UserItems.from_csr(csr_matrix(dense))
    assert matrix.user_ids == ("0", "1", "2")
    np.testing.assert_array_equal(matrix.counts.toarray(), dense)
    named = UserItems.from_csr(csr_array(dense), ["a", "b", "c"], ["x", "y"])
    assert named.item_columns == {"x": 0, "y": 1}
    assert repr(named) == "UserItems(3 users x 2 items, 2 entries)"
    shared = named.with_items(["y", "z", "x"]).with_users(["c", "new", "a"])
    np.testing.assert_array_equal(shared.counts.toarray(), [[0, 0, 0], [0, 0, 0], [2, 0, 0]])


def test_recbole_header_and_timestamps(tmp_path) -> None:
    path = tmp_path / "ml.inter"
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    path.write_text(header + '007\t"x\t3\t978300760.0\n8\ty\t4.5\t978300761\n')
    table = read_interactions(path)
    assert table.user_ids.tolist() == ["007", "8"]
    assert table.item_ids.tolist() == ['"x', "y"]
    assert table.counts.tolist() == [3.0, 4.5]
    assert table.timestamps.tolist() == [978300760, 978300761]


def test_what_cannot_be_used_is_refused(tmp_path) -> None:
    with pytest.raises(InvalidInput, match="got ndarray"):
        UserItems.from_csr(np.ones((2, 2)))
    with pytest.raises(InvalidInput, match=r"1 values NaN, infinite or negative"):
        UserItems.from_csr(csr_array([[1.0, -1.0]]))
    with pytest.raises(InvalidInput, match="user_ids do not fit"):
        UserItems.from_csr(csr_array([[1.0, 1.0]]), ["a", "b"])
    with pytest.raises(InvalidInput, match="1 doubled of 2"):
        UserItems.from_csr(csr_array([[1.0, 1.0]]), ["a"], ["x", "x"])
    with pytest.raises(InvalidInput, match="0 rows"):
        UserItems.from_tables([])
    path = tmp_path / "log.csv"
    path.write_text("user_id,item_id,rating\n" + "a,x,1\n" * 5 + "a,x,-1\n")
    with pytest.raises(InvalidInput, match=r"after row 4 of the file.*the first is row 2"):
        UserItems.from_tables(stream_interactions(path, rows=4))
    with pytest.raises(InvalidInput, match="a part has no rows"):
        next(stream_interactions(path, rows=0))
    log(0).to_parquet(tmp_path / "e.parquet")
    for read in (lambda p: list(stream_interactions(p)), read_interactions):
        with pytest.raises(InvalidInput, match="0 rows"):
            read(tmp_path / "e.parquet")
    secret = tmp_path / "bad.inter"
    secret.write_text("user_id:token\titem_id:token\nhush\n")
    with pytest.raises(InvalidInput, match="number of fields") as caught:
        read_interactions(secret)
    assert "hush" not in str(caught.value)
