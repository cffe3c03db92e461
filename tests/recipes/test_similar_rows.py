from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from coalitions import Coalition, make_terms

from hecf.errors import InvalidInput, Mismatch, ReleaseRefused
from hecf.he.similarity.plan import normalise_rows
from hecf.measure import Measurements
from hecf.recipes.similarity import SimilarityRetailer


@pytest.fixture
def coalition(tmp_path: Path) -> Coalition:
    return Coalition(make_terms(), tmp_path, patience=5.0)


def retailer(coalition: Coalition, name: str) -> SimilarityRetailer:
    return SimilarityRetailer(
        coalition.terms, name, coalition.node(name), coalition.key_holder(name), Measurements()
    )


def rows(seed: int, count: int) -> np.ndarray:
    return normalise_rows(np.random.default_rng(seed).standard_normal((count, 5)))


def test_the_best_rows_are_found_among_those_of_the_other(coalition: Coalition) -> None:
    mine, theirs = rows(1, 6), rows(2, 20)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(retailer(coalition, "birch").answer, "cedar", "items", theirs, 3)
        top = retailer(coalition, "cedar").ask("items", "birch", mine, 20, 3)
        answer.result()
    exact = mine @ theirs.T
    np.testing.assert_array_equal(top.columns, np.argsort(-exact, axis=1)[:, :3])
    assert not np.array_equal(top.columns, np.argsort(exact, axis=1)[:, :3])


def test_nothing_is_uploaded_for_another_question(coalition: Coalition) -> None:
    asking, asked = retailer(coalition, "cedar"), retailer(coalition, "birch")
    with pytest.raises(InvalidInput, match="row's norm exceeds"):
        asking.ask("items", "birch", 2 * rows(1, 6), 20, 3)
    with pytest.raises(ReleaseRefused, match="than agreed"):
        asking.ask("items", "birch", rows(1, 6), 20, 6)
    with pytest.raises(InvalidInput, match="another shape"):
        asking.ask("items", "birch", np.zeros(5), 20, 3)
    with ThreadPoolExecutor(1) as pool:
        question = pool.submit(asking.ask, "items", "birch", rows(1, 6), 20, 3)
        with pytest.raises(Mismatch, match="than agreed"):
            asked.answer("cedar", "items", rows(2, 20), 2)
        with pytest.raises(Mismatch, match="for other rows"):
            asked.answer("cedar", "items", rows(2, 21), 3)
        asked.answer("cedar", "items", rows(2, 20), 3)
        assert question.result().columns.shape == (6, 3)
