from __future__ import annotations

import hashlib
import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecf.data.splits import held_out
from hecf.errors import InvalidInput

SHOPS = ("grocer", "drugstore", "butcher", "produce")
IDS = [str(number) for number in range(4000)]


@settings(deadline=None)
@given(st.text(alphabet="0123456789abc", min_size=1), st.integers(), st.sampled_from([0.05, 0.25]))
def test_every_member_is_hidden_where_the_exact_draw_says(member, seed, fraction) -> None:
    digest = hashlib.sha256(f"{seed}:{member}".encode()).digest()
    draw = Fraction(int.from_bytes(digest[:8], "big"), 1 << 64)
    place = int(draw / Fraction(fraction))
    expected = [place == number for number in range(len(SHOPS))]
    assert [held_out(member, shop, SHOPS, fraction, seed) for shop in SHOPS] == expected


def test_shares_are_near_the_fraction_and_seeds_differ() -> None:
    hidden = {shop: {i for i in IDS if held_out(i, shop, SHOPS, 0.2, 0)} for shop in SHOPS}
    assert sum(len(members) for members in hidden.values()) == len(set().union(*hidden.values()))
    for members in hidden.values():
        # Five standard deviations of a binomial share around 0.2.
        assert abs(len(members) / len(IDS) - 0.2) < 5 * (0.2 * 0.8 / len(IDS)) ** 0.5
    other = {i for i in IDS if held_out(i, "grocer", SHOPS, 0.2, 1)}
    assert other != hidden["grocer"]
    # An order of retailers that was not agreed on would hide a member twice.
    swapped = {i for i in IDS if held_out(i, "grocer", SHOPS[::-1], 0.2, 0)}
    assert swapped == hidden["produce"]


def test_the_ends_of_the_range() -> None:
    assert not any(held_out(i, shop, SHOPS, 0.0, 0) for i in IDS[:100] for shop in SHOPS)
    for member in IDS[:200]:
        assert sum(held_out(member, shop, SHOPS, 0.25, 0) for shop in SHOPS) == 1


def test_another_process_decides_alike() -> None:
    program = (
        "from hecf.data.splits import held_out\n"
        f"print([i for i in range(300) if held_out(str(i), 'butcher', {SHOPS!r}, 0.2, 7)])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    here = [i for i in range(300) if held_out(str(i), "butcher", SHOPS, 0.2, 7)]
    assert answer.stdout.strip() == str(here)
    assert here


@pytest.mark.parametrize(
    ("retailer", "retailers", "fraction", "message"),
    [
        ("baker", SHOPS, 0.2, "got baker"),
        ("grocer", SHOPS, 0.26, "got 0.26, expected 0 to 1/4"),
        ("grocer", SHOPS, -0.1, "got -0.1"),
        ("grocer", SHOPS, float("nan"), "got nan"),
        ("grocer", ("grocer", "grocer"), 0.2, "named more than once"),
    ],
)
def test_bad_arguments_are_refused(retailer, retailers, fraction, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        held_out("12", retailer, retailers, fraction, 0)


def test_the_member_must_have_an_id() -> None:
    assert held_out(" 12", "grocer", SHOPS, 0.25, 0) == held_out("12", "grocer", SHOPS, 0.25, 0)
    with pytest.raises(InvalidInput, match="empty"):
        held_out(" ", "grocer", SHOPS, 0.2, 0)
