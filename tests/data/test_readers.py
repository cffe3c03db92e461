from __future__ import annotations

import datetime
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hecf.data.readers import ColumnNames, interactions_from_frame, read_interactions
from hecf.errors import ConfigurationError, InvalidInput

IDS = {"user_id": ["a", "b", "c"], "item_id": ["x", "x", "y"]}


def rows(table) -> list[tuple[object, ...]]:
    columns = [table.user_ids.tolist(), table.item_ids.tolist(), table.counts.tolist()]
    if table.timestamps is not None:
        columns.append(table.timestamps.tolist())
    return list(zip(*columns, strict=True))


def write(folder, name: str, content: bytes):
    path = folder / name
    path.write_bytes(content)
    return path


def test_csv_keeps_leading_zeros_quotes_and_words_like_null(tmp_path) -> None:
    text = '\ufeffuser_id,other,item_id,rating\n0012,?,NA,2\n12,?,"a,\nb",0.5\nnull,?,é,1e2\n'
    table = read_interactions(write(tmp_path, "purchases.CSV", text.encode()))
    assert rows(table) == [("0012", "NA", 2.0), ("12", "a,\nb", 0.5), ("null", "é", 100.0)]


def test_parquet_equals_pandas(tmp_path) -> None:
    generator = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "user_id": np.arange(200) // 7,
            "item_id": pd.Categorical([f"i{i % 7}" for i in range(200)]),
            "rating": generator.integers(0, 6, 200),
            "timestamp": generator.integers(0, 1 << 40, 200),
        }
    )
    frame.to_parquet(tmp_path / "purchases.parquet")
    table = read_interactions(tmp_path / "purchases.parquet")
    assert table.user_ids.tolist() == frame["user_id"].astype(str).tolist()
    assert table.item_ids.tolist() == frame["item_id"].astype(str).tolist()
    np.testing.assert_array_equal(table.counts, frame["rating"].to_numpy())
    np.testing.assert_array_equal(table.timestamps, frame["timestamp"].to_numpy())
    frame.to_csv(tmp_path / "purchases.csv", index=False)
    assert rows(read_interactions(tmp_path / "purchases.csv")) == rows(table)


def test_columns_by_other_names_and_no_rating(tmp_path) -> None:
    path = write(tmp_path, "p.csv", b"member,sku,rating\n1,2,9\n1,3,8\n")
    names = ColumnNames(user="member", item="sku", rating=None)
    assert rows(read_interactions(path, names)) == [("1", "2", 1.0), ("1", "3", 1.0)]


@pytest.mark.parametrize("make", [pd.DataFrame, pa.table])
def test_frames_of_mixed_kinds(make) -> None:
    day = datetime.date(2020, 1, 1)
    table = interactions_from_frame(make({"user_id": [7, 8], "item_id": ["x", "y"]}))
    assert rows(table) == [("7", "x", 1.0), ("8", "y", 1.0)]
    dated = make(
        {"user_id": ["a", "a"], "item_id": ["x", "x"], "timestamp": [day, day.replace(day=2)]}
    )
    stamps = interactions_from_frame(dated).timestamps
    assert stamps is not None
    expected = pd.to_datetime(["2020-01-01", "2020-01-02"]).as_unit("us").asi8
    np.testing.assert_array_equal(stamps, expected)


@pytest.mark.parametrize(
    "stamps",
    [
        pa.array([1577836800000000001, 1], pa.timestamp("ns")),
        pa.array([1577836800, 0], pa.timestamp("s", "Europe/Berlin")),
        ["2020-01-01", "1970-01-01T01:00:00+01:00"],
    ],
)
def test_times_become_microseconds_of_utc(stamps) -> None:
    table = pa.table({"user_id": ["a", "b"], "item_id": ["x", "x"], "timestamp": stamps})
    assert interactions_from_frame(table).timestamps.tolist() == [1577836800000000, 0]


def test_pandas_column_of_text_and_numbers() -> None:
    users = pd.Series([1, "01"], dtype=object)
    table = interactions_from_frame(pd.DataFrame({"user_id": users, "item_id": ["x", "x"]}))
    assert table.user_ids.tolist() == ["1", "01"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.csv", b"", "'p.csv' is empty"),
        ("p.csv", b"\n\n", "'p.csv' cannot be read as CSV"),
        ("p.csv", b"user_id,item_id\n", "no interactions: got 0 rows"),
        (
            "p.csv",
            b"user_id;item_id\nsecret;2\n",
            "no user column 'user_id': got columns 'user_id;",
        ),
        (
            "p.csv",
            b"user_id,thing\nsecret,2\n",
            "no item column 'item_id': got columns 'user_id', ",
        ),
        ("p.csv", b"user_id,item_id,item_id\n1,2,3\n", "'item_id' occurs more than once"),
        ("p.csv", b"user_id,item_id\n1,2\nsecret,4,5\n", "line 3 of 'p.csv' .* got 3, expected 2"),
        ("p.csv", "user_id,item_id\nsecrét,2\n".encode("latin-1"), "cannot be read as CSV"),
        ("p.csv", "usér,item_id\nsecrét,2\n".encode("latin-1"), "cannot be read as CSV"),
        ("p.csv", bytes(range(256)) * 9, "line 3 of 'p.csv' has another number of fields"),
        ("p.csv", b"user_id,item_id\n1,2\n,3\n", "user id .* got 1 of 2 rows, the first is row 2"),
        ("p.csv", b"user_id,item_id\n1,\n2,3\n", "item id .* got 1 of 2 rows, the first is row 1"),
        ("p.csv", b"user_id,item_id,rating\n1,2,3\n1,3,secret\n", "not a number: got 1 .* row 2"),
        ("p.csv", b"user_id,item_id,rating\n1,2,1_0\n", "is not a number: got 1 .* row 1"),
        ("p.csv", b"user_id,item_id,rating\n1,2,3\n1,3,\n", "is missing: got 1 .* row 2"),
        ("p.csv", b"user_id,item_id,rating\n1,2,nan\n", "NaN or infinite: got 1 .* row 1"),
        ("p.csv", b"user_id,item_id,rating\n1,2,-1\n", "negative: got 1 .* row 1"),
        ("p.csv", b"user_id,item_id\n1,2\n1,3\n1,2\n1,2\n", "user and item: got 2 of 4 .* row 3"),
        ("p.csv", b"user_id,item_id,timestamp\n1,2,5\n1,2,6\n1,2,5\n", "timestamp: got 1 .* row 3"),
        (
            "p.csv",
            b"user_id,item_id,timestamp\n1,2,5\n1,2,2020-01-01\n",
            "cannot be read: got 1 .* row 2",
        ),
        ("p.csv", b"user_id,item_id,timestamp\n1,2,5\n1,3,\n", "is missing: got 1 .* row 2"),
        (
            "p.csv",
            b"user_id,item_id,timestamp\n1,2,99999999999999999999\n",
            "cannot be read: got 1",
        ),
        ("p.parquet", b"junk", "'p.parquet' cannot be read as Parquet"),
        ("p.parquet", b"PAR1secretPAR1", "'p.parquet' cannot be read as Parquet"),
        ("p.xlsx", b"junk", "extension '.xlsx', expected one of .parquet, .csv"),
        ("p", b"junk", "extension ''"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(tmp_path, name, content, message) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        read_interactions(write(tmp_path, name, content))
    assert "\n" not in str(caught.value)
    assert "secr" not in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path) -> None:
    with pytest.raises(InvalidInput, match="there is no file"):
        read_interactions(tmp_path / "none.csv")
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(InvalidInput, match="is not a file"):
        read_interactions(tmp_path / "folder.parquet")


def test_truncated_parquet_is_refused(tmp_path) -> None:
    pq.write_table(pa.table(IDS), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    assert len(read_interactions(tmp_path / "whole.parquet")) == 3
    with pytest.raises(InvalidInput, match="cannot be read as Parquet"):
        read_interactions(write(tmp_path, "cut.parquet", whole[: len(whole) // 2]))


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("user_id", [1.0, 2.0, 3.0], "does not hold ids: got Float64"),
        ("item_id", [True, False, True], "does not hold ids: got Boolean"),
        ("user_id", ["a", None, "b"], "1 of 3 rows, the first is row 2"),
        ("user_id", pa.array([None, None, None]), "3 of 3 rows"),
        ("item_id", [b"x", b"y", b"z"], "does not hold ids: got Binary"),
        ("rating", [True, False, True], "got Boolean"),
        ("rating", [1.0, None, 2.0], "is missing: got 1 of 3 rows, the first is row 2"),
        (
            "rating",
            [1.0, 2.0, float("nan")],
            "NaN or infinite: got 1 of 3 rows, the first is row 3",
        ),
        ("timestamp", [1.5, 2.5, 3.5], "another kind: got Float64"),
        ("timestamp", [1, None, 3], "is missing: got 1 of 3 rows, the first is row 2"),
    ],
)
def test_bad_columns_of_frames_are_refused(column, values, message) -> None:
    good = {**IDS, "rating": [1, 2, 3], "timestamp": [1, 2, 3]}
    assert len(interactions_from_frame(pa.table(good))) == 3
    with pytest.raises(InvalidInput, match=message):
        interactions_from_frame(pa.table({**good, column: values}))


@pytest.mark.parametrize("thing", [[1, 2], {"user_id": [1]}, np.zeros((2, 2)), None, "p.csv"])
def test_what_is_no_frame_is_refused(thing) -> None:
    with pytest.raises(InvalidInput, match=f"got {type(thing).__name__}"):
        interactions_from_frame(thing)


def test_frames_with_doubled_columns_are_refused() -> None:
    with pytest.raises(InvalidInput, match="the same name"):
        interactions_from_frame(
            pd.DataFrame([[1, 2, 3]], columns=["user_id", "item_id", "item_id"])
        )


def test_optional_columns_must_exist_once_somebody_names_them() -> None:
    frame = pa.table(IDS)
    assert interactions_from_frame(frame).counts.tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(InvalidInput, match="no rating column 'stars'"):
        interactions_from_frame(frame, ColumnNames(rating="stars"))


@pytest.mark.parametrize("names", [{"user": ""}, {"user": "item_id"}, {"rating": "timestamp"}])
def test_column_names_are_validated(names) -> None:
    with pytest.raises(InvalidInput):
        ColumnNames(**names)


@pytest.mark.parametrize("package", ["narwhals", "pyarrow"])
def test_a_missing_package_names_the_extra(monkeypatch, tmp_path, package) -> None:
    path = write(tmp_path, "p.csv", b"user_id,item_id\n1,2\n")
    assert len(read_interactions(path)) == 1
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=rf"{package} .* pip install 'hecf\[data\]'"):
        read_interactions(path)
