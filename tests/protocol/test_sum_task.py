from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hecf.errors import InvalidInput, MalformedMessage, Mismatch, ParameterError
from hecf.he.plan import LEFT
from hecf.protocol.released import ReleasedSum
from hecf.protocol.tasks import MOST_VALUES, SumTask, gram_plan
from hecf.protocol.terms import Terms

TERMS = Terms(
    coalition="loyal",
    identifier="0" * 32,
    scheme="ckks",
    retailers=("grocer", "butcher", "florist", "drugstore"),
    shoppers=500,
    directory="1" * 64,
    factors=4,
    minimum_contributors=3,
)
SUM = SumTask(TERMS, "butcher", "item-counts", 50, 100.0)


def test_a_sum_is_of_all_retailers_and_for_all_unless_it_says_otherwise() -> None:
    assert SUM.contributors == SUM.recipients == TERMS.retailers
    assert SUM.weights == (1, 1, 1, 1)
    assert SUM.parts == [(name, LEFT) for name in TERMS.retailers]
    assert SUM.name == SumTask.name_of("butcher", "item-counts") == "sum/butcher/item-counts"
    some = replace(
        SUM, contributors=TERMS.retailers[1:], recipients=("grocer",), weights=(1, -2, 3)
    )
    assert some.parts == [(name, LEFT) for name in TERMS.retailers[1:]]
    assert some.plan.summands == 3
    assert some.plan.weight_bound == 6


def test_its_plan_is_under_the_key_of_the_coalition() -> None:
    plan = replace(SUM, fraction_bits=5).plan
    assert plan.parameters == gram_plan(TERMS).parameters
    assert (plan.fraction_bits, plan.values, plan.summands) == (5, 50, 4)


def test_identifiers_depend_on_every_field() -> None:
    others = [
        replace(SUM, declarer="grocer"),
        replace(SUM, label="item-sums"),
        replace(SUM, values=51),
        replace(SUM, value_bound=101.0),
        replace(SUM, fraction_bits=1),
        SumTask(TERMS, "butcher", "item-counts", 50, 100.0, 0, TERMS.retailers[:3]),
        replace(SUM, recipients=("grocer",)),
        replace(SUM, weights=(1, 1, 1, -1)),
        replace(SUM, weights=(1, 1, -1, 1)),
        replace(SUM, terms=replace(TERMS, minimum_contributors=2)),
    ]
    assert len({task.identifier for task in (SUM, *others)}) == len(others) + 1
    assert SumTask(TERMS, "butcher", "item-counts", 50, 100).identifier == SUM.identifier


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"declarer": "baker"}, "unknown retailer: got baker"),
        ({"contributors": ("grocer", "butcher", "baker"), "weights": ()}, "unknown retailer"),
        ({"contributors": ("grocer", "florist", "butcher"), "weights": ()}, "each of them once"),
        ({"contributors": ("grocer",) * 3, "weights": ()}, "each of them once"),
        ({"contributors": ("grocer", "butcher"), "weights": ()}, "too few contributors: got 2"),
        ({"recipients": ("butcher", "grocer")}, "each of them once"),
        ({"label": "Item Counts"}, "unsuitable label"),
        ({"label": ""}, "unsuitable label"),
        ({"values": 0}, "unsuitable length"),
        ({"values": MOST_VALUES + 1}, "unsuitable length"),
        ({"weights": (1, 1, 1)}, "unsuitable weights"),
        ({"weights": (1, 1, 0, 1)}, "unsuitable weights"),
        ({"weights": (1, 1, 1 << 21, 1)}, "unsuitable weights"),
    ],
)
def test_sums_that_do_not_fit_the_terms_are_refused(
    changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        replace(SUM, **changes)


@pytest.mark.parametrize(
    "changes", [{"value_bound": 0.0}, {"value_bound": 2.0**60}, {"fraction_bits": 64}]
)
def test_bounds_that_do_not_fit_the_key_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        replace(SUM, **changes)


def test_a_released_sum_survives_its_bytes_and_no_other_task_reads_it() -> None:
    values = np.random.default_rng(1).standard_normal(50)
    released = ReleasedSum(values, ("grocer", "butcher", "drugstore"))
    data = released.to_bytes(SUM)
    back = ReleasedSum.from_bytes(SUM, data)
    np.testing.assert_array_equal(back.values, values)
    assert back.contributors == released.contributors
    with pytest.raises(Mismatch):
        ReleasedSum.from_bytes(replace(SUM, label="others"), data)
    fewer = ReleasedSum(values, ("grocer", "butcher")).to_bytes(SUM)
    with pytest.raises(MalformedMessage, match="too few contributors: got 2"):
        ReleasedSum.from_bytes(SUM, fewer)
    nowhere = ReleasedSum(values * np.nan, released.contributors).to_bytes(SUM)
    with pytest.raises(MalformedMessage, match="not finite"):
        ReleasedSum.from_bytes(SUM, nowhere)
