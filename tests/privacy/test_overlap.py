"""Which sums and which batches of shoppers say too much together."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecf.errors import ReleaseRefused
from hecf.privacy.overlap import check_shoppers, check_sums

ALL = {"alder": 1, "birch": 1, "cedar": 1, "dogwood": 1}


def without(*names: str) -> dict[str, int]:
    return {name: weight for name, weight in ALL.items() if name not in names}


def refused(*sums: dict[str, int], minimum: int = 2) -> bool:
    try:
        check_sums(sums[:-1], sums[-1], minimum)
    except ReleaseRefused:
        return True
    return False


def test_one_sum_as_often_as_one_likes_singles_out_nobody() -> None:
    assert not refused(ALL)
    assert not refused(ALL, ALL, ALL)
    assert not refused(ALL, dict.fromkeys(ALL, -2))


def test_a_sum_without_one_contributor_is_refused_by_name() -> None:
    with pytest.raises(ReleaseRefused, match=r"too few contributors: got cedar, expected at least"):
        check_sums([ALL], without("cedar"), 2)
    assert refused(without("cedar"), ALL)
    # Two retailers together are enough for a minimum of two, and not for one of three.
    assert not refused(ALL, without("cedar", "dogwood"))
    assert refused(ALL, without("cedar", "dogwood"), minimum=3)


def test_another_weight_singles_out_as_well() -> None:
    assert refused(ALL, {**ALL, "birch": 2})
    assert refused(ALL, {**dict.fromkeys(ALL, 3), "birch": -1})


def test_three_sums_of_which_no_two_differ_by_one_are_refused() -> None:
    pairs = [without("cedar", "dogwood"), without("alder", "dogwood"), without("birch", "dogwood")]
    assert not refused(*pairs[:2])
    assert refused(*pairs)


def test_what_cannot_be_compared_is_refused() -> None:
    many = {f"retailer-{number}": 1 for number in range(40)}
    with pytest.raises(ReleaseRefused, match="so many retailers cannot be compared"):
        check_sums([many], {**many, "retailer-0": 2}, 20)
    check_sums([many], many, 20)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(-1, 1)] * 3).filter(any), min_size=2, max_size=3),
    st.integers(2, 3),
)
def test_a_search_through_small_combinations_agrees(
    rows: list[tuple[int, int, int]], minimum: int
) -> None:
    """The oracle tries multiples: those that cancel columns of -1, 0 and 1 are small."""
    sums = [dict(zip("abc", row, strict=True)) for row in rows]
    combined = [
        [sum(map(int.__mul__, factors, column)) for column in zip(*rows, strict=True)]
        for factors in product(range(-4, 5), repeat=len(rows))
    ]
    fewest = min(sum(map(bool, each)) for each in combined if any(each))
    # Multiples of one sum are one sum again.
    several = any(row not in (rows[0], tuple(-value for value in rows[0])) for row in rows)
    assert refused(*sums, minimum=minimum) == (several and fewest < minimum)


def batch(**rows: str) -> dict[bytes, bytes]:
    return {shopper.encode(): brought.encode() for shopper, brought in rows.items()}


def test_a_batch_differs_by_nobody_or_by_enough() -> None:
    before = batch(ann="milk", ben="bread", cid="eggs")
    check_shoppers([before], before, 2)
    check_shoppers([], batch(ann="milk"), 2)
    for now in (
        batch(ann="milk", ben="bread"),
        batch(ann="milk", ben="bread", cid="eggs", dan="tea"),
        batch(ann="milk", ben="bread", cid="eggs and tea"),
    ):
        with pytest.raises(ReleaseRefused, match="got 1 shoppers, expected none, or at least 2"):
            check_shoppers([batch(zoe="fish", yan="rice"), before], now, 2)
    check_shoppers([before], batch(ann="milk", ben="rye", dan="tea"), 3)
