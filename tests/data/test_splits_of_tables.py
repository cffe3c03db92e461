from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hecf.data import InteractionTable, leave_last, split_by_party, split_by_time
from hecf.errors import InvalidInput


def table(rows: int = 300, seed: int = 4) -> InteractionTable:
    generator = np.random.default_rng(seed)
    return InteractionTable(
        np.array([f"u{n}" for n in generator.integers(40, size=rows)], dtype=object),
        np.array([f"i{n}" for n in generator.integers(15, size=rows)], dtype=object),
        generator.integers(1, 5, rows).astype(float),
        generator.integers(0, 50, rows),
    )


def frame(of: InteractionTable) -> pd.DataFrame:
    columns = (of.user_ids, of.item_ids, of.counts, of.timestamps)
    return pd.DataFrame(dict(zip(("user", "item", "count", "stamp"), columns, strict=True)))


def test_time_parts_the_rows() -> None:
    whole = table()
    earlier, later = split_by_time(whole, 30)
    pd.testing.assert_frame_equal(
        frame(later), frame(whole).query("stamp >= 30").reset_index(drop=True)
    )
    assert earlier.timestamps.max() < 30
    assert len(earlier) + len(later) == len(whole)
    with pytest.raises(InvalidInput, match="0 of 300 rows"):
        split_by_time(whole, 99)


@pytest.mark.parametrize("count", [1, 3])
def test_last_interactions_equal_pandas(count) -> None:
    whole = table()
    pandas = frame(whole)
    ordered = pandas.sort_values("stamp", kind="stable").groupby("user")
    expected = ordered.tail(count).index
    large = pandas.groupby("user")["item"].transform("size") > count
    expected = sorted(set(expected) & set(pandas.index[large]))
    earlier, last = leave_last(whole, count)
    pd.testing.assert_frame_equal(frame(last), pandas.loc[expected].reset_index(drop=True))
    assert len(earlier) + len(last) == len(whole)
    # Everybody keeps a history.
    assert set(earlier.user_ids) == set(whole.user_ids)


def test_nobody_loses_a_whole_history() -> None:
    ids = np.array(["a", "a", "b"], dtype=object)
    earlier, last = leave_last(InteractionTable(ids, ids, np.ones(3), np.array([2, 1, 5])))
    assert (last.timestamps.tolist(), sorted(earlier.timestamps.tolist())) == ([2], [1, 5])


def test_parties_get_their_rows() -> None:
    whole = table()
    party_of = {f"i{n}": ("left", "right")[n % 2] for n in range(14)}
    parts = split_by_party(whole, party_of, "item")
    assert list(parts) == ["left", "right"]
    for name, part in parts.items():
        mine = [i for i, party in party_of.items() if party == name]
        expected = frame(whole)[frame(whole)["item"].isin(mine)].reset_index(drop=True)
        pd.testing.assert_frame_equal(frame(part), expected)
    users = split_by_party(whole, {f"u{n}": "only" for n in range(5)}, "user")
    assert set(users["only"].user_ids) == {f"u{n}" for n in range(5)}


def test_unclear_splits_are_refused() -> None:
    whole = table()
    timeless = InteractionTable(whole.user_ids, whole.item_ids, whole.counts)
    for split in (lambda t: split_by_time(t, 3), leave_last):
        with pytest.raises(InvalidInput, match="no timestamps"):
            split(timeless)
    with pytest.raises(InvalidInput, match="too small"):
        leave_last(whole, 0)
    with pytest.raises(InvalidInput, match="0 of 300"):
        leave_last(whole, 299)
    with pytest.raises(InvalidInput, match="expected user or item"):
        split_by_party(whole, {}, "store")
    with pytest.raises(InvalidInput, match="no row belongs"):
        split_by_party(whole, {"other": "left"}, "item")
    with pytest.raises(InvalidInput, match="marks do not fit"):
        whole.where(np.ones(3, dtype=bool))
