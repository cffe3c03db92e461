from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hecf.errors import InvalidInput
from hecf.he.plan import LEFT, RIGHT
from hecf.protocol.tasks import (
    EMBEDDING_BOUND,
    GRAM_PRECISION,
    MODEL,
    MOST_ITEMS,
    SCORE_PRECISION,
    SCORES,
    GramTask,
    ScoreTask,
    gram_plan,
)
from hecf.protocol.terms import Terms

TERMS = Terms(
    coalition="loyal",
    identifier="0" * 32,
    scheme="ckks",
    retailers=("grocer", "butcher", "florist", "drugstore"),
    shoppers=500,
    directory="1" * 64,
    factors=4,
    top_k=5,
)
GRAM = GramTask(TERMS)
SCORE = ScoreTask(TERMS, "florist", (0, 17, 499), 40)


def test_every_pair_has_one_block_and_every_retailer_its_sides() -> None:
    names = TERMS.retailers
    expected = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    assert GRAM.pairs == expected
    assert GRAM.results == [f"{a}/{b}" for a, b in expected]
    assert len(set(GRAM.parts)) == len(GRAM.parts) == 6
    needed = {(a, LEFT) for a, _ in expected} | {(b, RIGHT) for _, b in expected}
    assert set(GRAM.parts) == needed
    assert GRAM.recipients == names
    pair = GramTask(replace(TERMS, retailers=("grocer", "butcher")))
    assert pair.parts == [("grocer", LEFT), ("butcher", RIGHT)]
    assert pair.results == ["grocer/butcher"]


def test_a_score_has_the_other_retailers_as_sources_and_its_target_as_recipient() -> None:
    assert SCORE.sources == ("grocer", "butcher", "drugstore")
    assert SCORE.parts == [*((name, LEFT) for name in SCORE.sources), ("florist", MODEL)]
    assert SCORE.results == [SCORES]
    assert SCORE.recipients == ("florist",)


def test_plans_are_those_of_the_terms() -> None:
    plan = GRAM.plan
    assert (plan.operation, plan.inner, plan.left, plan.right) == ("gram", 500, 4, 4)
    assert plan.flooding <= GRAM_PRECISION
    score = SCORE.plan
    assert (score.operation, score.inner, score.left, score.right) == ("score", 4, 3, 40)
    assert score.summands == 3
    assert score.operand_bound == EMBEDDING_BOUND
    assert score.flooding <= SCORE_PRECISION
    # One key for both.
    assert score.parameters == plan.parameters == gram_plan(TERMS).parameters
    for each in (plan, score):
        assert each.scheme == TERMS.scheme
        assert each.releases == TERMS.releases
        assert each.statistical_bits == TERMS.statistical_bits


def test_a_single_shopper_can_be_scored() -> None:
    one = ScoreTask(TERMS, "florist", (3,), TERMS.top_k)
    assert one.plan.left == 1
    assert one.plan.parameters == GRAM.plan.parameters


def test_identifiers_depend_on_every_field() -> None:
    changed_terms = [
        replace(TERMS, coalition="royal"),
        replace(TERMS, identifier="1" * 32),
        replace(TERMS, scheme="clear"),
        replace(TERMS, retailers=TERMS.retailers[::-1]),
        replace(TERMS, shoppers=501),
        replace(TERMS, directory="2" * 64),
        replace(TERMS, factors=5),
        replace(TERMS, ridge=0.2),
        replace(TERMS, decay=0.6),
        replace(TERMS, top_k=6),
        replace(TERMS, statistical_bits=31),
        replace(TERMS, releases=4095),
        replace(TERMS, minimum_shoppers=99),
    ]
    grams = [GramTask(terms).identifier for terms in (TERMS, *changed_terms)]
    scores = [replace(SCORE, terms=terms).identifier for terms in (TERMS, *changed_terms)]
    scores += [
        replace(SCORE, target="grocer").identifier,
        replace(SCORE, rows=(0, 17, 498)).identifier,
        replace(SCORE, rows=(0, 17)).identifier,
        replace(SCORE, items=41).identifier,
    ]
    assert len(set(grams + scores)) == len(grams) + len(scores)
    assert GramTask(TERMS).identifier == GRAM.identifier
    assert all(len(identifier) == 64 for identifier in grams + scores)


@given(st.sets(st.integers(0, 499), min_size=1, max_size=30))
def test_ascending_rows_of_the_directory_are_accepted(rows: set[int]) -> None:
    assert ScoreTask(TERMS, "grocer", tuple(sorted(rows)), 40).rows == tuple(sorted(rows))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"target": "baker"}, "unknown retailer"),
        ({"target": ""}, "unknown retailer"),
        ({"rows": ()}, "names no shopper"),
        ({"rows": (-1, 3)}, "do not fit the directory"),
        ({"rows": (500,)}, "do not fit the directory"),
        ({"rows": (3, 3)}, "do not fit the directory"),
        ({"rows": (4, 3)}, "do not fit the directory"),
        ({"rows": (1, 2, 3, 2**40)}, "do not fit the directory"),
        ({"items": 4}, "unsuitable size"),
        ({"items": 0}, "unsuitable size"),
        ({"items": MOST_ITEMS + 1}, "unsuitable size"),
    ],
)
def test_score_tasks_that_do_not_fit_the_terms_are_refused(
    changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        replace(SCORE, **changes)


def test_an_error_about_rows_names_none_of_them() -> None:
    with pytest.raises(InvalidInput) as caught:
        replace(SCORE, rows=(123, 77, 321))
    assert "123" not in str(caught.value)
    assert "77" not in str(caught.value)
