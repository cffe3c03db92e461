"""The synthetic coalition: reproducible, skewed, partly absent, and with tastes to learn."""

from __future__ import annotations

import numpy as np
import pytest

from hecf.data.synthetic import BLOCK_ROWS, SyntheticCoalition
from hecf.errors import InvalidInput
from hecf.models import LocalEmbedding

SMALL = SyntheticCoalition(3000, retailers=("alder", "birch"), items=60)


def test_the_same_fields_give_the_same_purchases_and_another_seed_gives_others() -> None:
    first, again = SMALL.counts("alder"), SMALL.counts("alder")
    assert (first != again).nnz == 0
    other = SyntheticCoalition(3000, retailers=("alder", "birch"), items=60, seed=1)
    assert (first != other.counts("alder")).nnz > 1000
    assert (first != SMALL.counts("birch")).nnz > 1000


def test_rows_come_in_blocks_that_add_up() -> None:
    large = SyntheticCoalition(BLOCK_ROWS + 5, retailers=("alder",), items=20)
    sizes = [block.shape for block in large.blocks("alder")]
    assert sizes == [(BLOCK_ROWS, 20), (5, 20)]
    assert large.counts("alder").shape == (BLOCK_ROWS + 5, 20)


def test_presence_basket_and_skew_are_those_asked_for() -> None:
    counts = SMALL.counts("alder")
    present = np.diff(counts.indptr) > 0
    # A shopper who comes in buys nothing at all with a probability below 1 in 1000.
    assert abs(present.mean() - SMALL.presence) < 0.03
    buyers = np.sort(np.asarray((counts > 0).sum(axis=0)).ravel())[::-1]
    assert buyers[:6].sum() > 3 * buyers[-6:].sum()
    alike = SyntheticCoalition(3000, retailers=("alder",), items=60, skew=0.0, strength=0.0)
    even = np.asarray((alike.counts("alder") > 0).sum(axis=0)).ravel()
    assert even.max() < 1.2 * even.min()


def second_correlation(coalition: SyntheticCoalition) -> float:
    """Canonical correlation between two retailers beyond the first, which is activity."""
    first, second = (LocalEmbedding.fit(coalition.counts(name), 4) for name in ("alder", "birch"))
    return float(np.linalg.svd(first.shoppers.T @ second.shoppers)[1][1])


def test_one_retailer_says_something_of_another_because_of_tastes() -> None:
    assert second_correlation(SMALL) > 0.25
    tasteless = SyntheticCoalition(3000, retailers=("alder", "birch"), items=60, strength=0.0)
    assert second_correlation(tasteless) < 0.1


def test_the_table_says_what_the_matrix_says() -> None:
    table, counts = SMALL.table("birch"), SMALL.counts("birch")
    assert len(table) == counts.nnz
    assert table.counts.sum() == counts.sum()
    assert set(table.user_ids.tolist()) <= set(SMALL.members)
    assert len(set(table.item_ids.tolist())) == SMALL.items


@pytest.mark.parametrize(
    "change",
    [
        {"shoppers": 0},
        {"items": 1},
        {"presence": 1.5},
        {"basket": -1.0},
        {"strength": float("nan")},
        {"retailers": ()},
        {"retailers": ("alder", "alder")},
    ],
)
def test_fields_out_of_range_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="synthetic coalition"):
        SyntheticCoalition(**({"shoppers": 10} | change))  # type: ignore[arg-type]


def test_an_unknown_retailer_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no such retailer: got cedar"):
        SMALL.counts("cedar")
