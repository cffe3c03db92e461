"""A second fit that would show one shopper is refused before anything is sent (control C20)."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from hecf.coalition.fits import FittedShoppers
from hecf.data.user_items import UserItems
from hecf.errors import ConfigurationError, ReleaseRefused

COUNTS = np.random.default_rng(8).poisson(0.7, (300, 12)).astype(float)
MINIMUM = 100
USERS = tuple(f"card-{number}" for number in range(300))
ITEMS = tuple(f"item-{number}" for number in range(12))


def shoppers(counts: np.ndarray = COUNTS, users: tuple[str, ...] = USERS) -> UserItems:
    return UserItems(csr_array(counts), users, ITEMS)


def test_one_shopper_is_the_difference_of_two_fits_and_the_second_is_refused(
    tmp_path: Path,
) -> None:
    fitted = FittedShoppers(tmp_path / "fits")
    fitted.enter(shoppers(), MINIMUM)
    fewer = shoppers(COUNTS[1:], USERS[1:])
    # What everybody who receives the sums of both fits would have: the attack is alive.
    shown = shoppers().counts.sum(axis=0) - fewer.counts.sum(axis=0)
    np.testing.assert_array_equal(shown, COUNTS[0])
    with pytest.raises(ReleaseRefused, match="got 1 shoppers, expected none, or at least 100"):
        fitted.enter(fewer, MINIMUM)
    bought = COUNTS.copy()
    bought[7, 3] += 1
    with pytest.raises(ReleaseRefused, match="got 1 shoppers"):
        fitted.enter(shoppers(bought), MINIMUM)
    # A refused batch is not noted, and enough shoppers hide in each other.
    fitted.enter(shoppers(COUNTS[:200], USERS[:200]), MINIMUM)
    with pytest.raises(ReleaseRefused, match="got 1 shoppers"):
        fitted.enter(fewer, MINIMUM)


def test_the_same_shoppers_in_another_order_are_the_same(tmp_path: Path) -> None:
    fitted = FittedShoppers(tmp_path)
    fitted.enter(shoppers(), MINIMUM)
    order = np.random.default_rng(1).permutation(12)
    items = tuple(ITEMS[place] for place in order)
    same = UserItems(csr_array(COUNTS[::-1][:, order]), USERS[::-1], items)
    FittedShoppers(tmp_path).enter(same, MINIMUM)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_record_names_nobody_and_is_private(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "other"):
        FittedShoppers(tmp_path / name).enter(shoppers(), MINIMUM)
        for path in (tmp_path / name).iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            contents.append(path.read_bytes())
    assert len(set(contents)) == 4, "salted: two retailers' records of one shopper are different"
    assert not any(b"card-" in content for content in contents)


def test_a_broken_record_is_refused(tmp_path: Path) -> None:
    fitted = FittedShoppers(tmp_path)
    fitted.enter(shoppers(), MINIMUM)
    [path] = [path for path in tmp_path.iterdir() if path.name != "salt"]
    path.write_bytes(b"half")
    with pytest.raises(ConfigurationError, match="record of fitted shoppers is broken: got 4"):
        fitted.enter(shoppers(), MINIMUM)
