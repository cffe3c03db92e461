"""The ledger: a chain that only grows, within its budgets (controls C21 and C23)."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import dp_accounting
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecf.errors import InvalidInput, LimitExceeded
from hecf.privacy.accounting import composed_multiplier, noise_multiplier, spent_epsilon
from hecf.privacy.ledger import Ledger, LedgerEntry, LedgerHead

COALITION, EPOCH, NEXT_EPOCH, TASK = ("ab" * 32, "01" * 32, "02" * 32, "ef" * 32)
EMPTY = Ledger(COALITION, releases=10)


def debited(ledger: Ledger, ciphertexts: int, noise: float = 0.0, epoch: str = EPOCH) -> Ledger:
    return ledger.debit(
        epoch=epoch,
        task=TASK,
        ciphertexts=ciphertexts,
        noise_multiplier=noise,
        time="2026-01-01T00:00:00+00:00",
    )


THREE = debited(debited(debited(EMPTY, 2), 3), 1)


def test_releases_are_counted_by_epoch_and_refused_past_their_limit() -> None:
    assert (THREE.spent(EPOCH), THREE.spent(NEXT_EPOCH)) == (6, 0)
    full = debited(THREE, 4)
    with pytest.raises(LimitExceeded, match="got 10 spent and 1 more, expected at most 10"):
        debited(full, 1)
    with pytest.raises(LimitExceeded):
        debited(EMPTY, 11)
    assert debited(full, 10, epoch=NEXT_EPOCH).spent(NEXT_EPOCH) == 10


@settings(deadline=None)
@given(st.lists(st.floats(0.05, 50), min_size=1, max_size=6))
def test_epsilon_is_dp_accountings(multipliers: list[float]) -> None:
    ledger = Ledger(COALITION, 10**6, epsilon=1e6, delta=1e-6)
    for multiplier in multipliers:
        ledger = debited(ledger, 1, multiplier)
    one = 1 / math.sqrt(sum(1 / z**2 for z in multipliers))
    assert abs(ledger.spent_epsilon - dp_accounting.get_epsilon_gaussian(one, 1e-6)) < 1e-6


def test_epsilon_agrees_with_accountants_of_another_kind() -> None:
    """Composition by privacy loss distributions is a little pessimistic, by Rényi more so."""
    multipliers = [2.0, 3.0, 3.0]
    found = spent_epsilon(multipliers, 1e-6)
    loss, renyi = dp_accounting.pld.PLDAccountant(), dp_accounting.rdp.RdpAccountant()
    for accountant in (loss, renyi):
        for multiplier in multipliers:
            accountant.compose(dp_accounting.GaussianDpEvent(multiplier))
    assert found <= loss.get_epsilon(1e-6) + 1e-9 < found + 1e-3
    assert loss.get_epsilon(1e-6) < renyi.get_epsilon(1e-6) < 1.2 * found
    # The control: a mechanism that is forgotten shows.
    assert spent_epsilon(multipliers[:2], 1e-6) < found - 0.1


@settings(deadline=None)
@given(st.floats(0.1, 20), st.floats(1e-9, 1e-3), st.integers(1, 5))
def test_the_calibrated_noise_spends_exactly_the_budget(
    epsilon: float, delta: float, mechanisms: int
) -> None:
    multiplier = noise_multiplier(epsilon, delta, mechanisms)
    assert abs(spent_epsilon([multiplier] * mechanisms, delta) - epsilon) < 1e-6 * max(1, epsilon)


def test_nothing_released_spends_nothing_and_no_noise_is_no_mechanism() -> None:
    assert spent_epsilon([], 1e-6) == 0.0
    assert math.isinf(composed_multiplier([]))
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(InvalidInput, match="noise multiplier"):
            spent_epsilon([wrong], 1e-6)
    for delta in (0.0, 1.0, math.nan):
        with pytest.raises(InvalidInput, match="delta"):
            spent_epsilon([1.0], delta)
    for epsilon in (0.0, math.inf, math.nan):
        with pytest.raises(InvalidInput, match="budget"):
            noise_multiplier(epsilon, 1e-6)


def test_the_privacy_budget_is_of_all_epochs_together() -> None:
    multiplier = noise_multiplier(1.0, 1e-6, 2)
    ledger = Ledger(COALITION, 10, epsilon=1.0, delta=1e-6)
    ledger = debited(debited(ledger, 1, multiplier), 1, multiplier, NEXT_EPOCH)
    assert abs(ledger.spent_epsilon - 1.0) < 1e-6
    with pytest.raises(LimitExceeded, match="privacy budget is used up: got epsilon"):
        debited(ledger, 1, multiplier, "03" * 32)
    # A release without a mechanism of its own, such as scores, spends releases only.
    assert debited(ledger, 1).spent(EPOCH) == 2


@pytest.mark.parametrize(
    "budget",
    [
        {"epsilon": math.nan},
        {"epsilon": -1.0},
        {"epsilon": math.inf},
        {"epsilon": 1.0, "delta": 0.0},
        {"epsilon": 1.0, "delta": math.nan},
        {"epsilon": 1.0, "delta": 1.0},
        {"releases": math.nan},
        {"releases": -1},
        {"releases": True},
    ],
)
def test_budgets_that_nothing_could_exceed_are_refused(budget: dict[str, float]) -> None:
    content: dict[str, Any] = {"releases": 10, "epsilon": 1.0, "delta": 1e-6} | budget
    with pytest.raises(InvalidInput, match="budgets of a ledger are out of range"):
        Ledger("a" * 64, **content)


def test_the_text_comes_back() -> None:
    assert EMPTY.with_text(THREE.to_text()) == THREE
    assert EMPTY.with_text("") == EMPTY


@pytest.mark.parametrize("line", [0, 1, 2])
@pytest.mark.parametrize(
    "change",
    [
        {"ciphertexts": 7},
        {"number": 9},
        {"epoch": NEXT_EPOCH},
        {"task": EPOCH},
        {"previous": TASK},
        {"noise_multiplier": 1.0},
        {"time": "later"},
        {"digest": "00" * 32},
    ],
)
def test_a_changed_entry_is_noticed(line: int, change: dict[str, object]) -> None:
    lines = THREE.to_text().splitlines()
    lines[line] = json.dumps(json.loads(lines[line]) | change)
    with pytest.raises(InvalidInput, match="ledger"):
        EMPTY.with_text("\n".join(lines))


def test_a_recomputed_digest_breaks_the_chain_after_it() -> None:
    lines = THREE.to_text().splitlines()
    forged = replace(THREE.entries[1], ciphertexts=1)
    lines[1] = json.dumps({**asdict(forged), "digest": forged.digest})
    with pytest.raises(InvalidInput, match="not one chain: got another entry at position 3"):
        EMPTY.with_text("\n".join(lines))


@pytest.mark.parametrize("order", [(1, 2), (0, 2), (0, 2, 1), (0, 1, 1, 2), (2, 1, 0)])
def test_removed_doubled_and_moved_entries_are_noticed(order: tuple[int, ...]) -> None:
    lines = THREE.to_text().splitlines()
    with pytest.raises(InvalidInput, match="not one chain"):
        EMPTY.with_text("\n".join(lines[index] for index in order))


def test_the_ledger_of_another_coalition_is_no_continuation() -> None:
    with pytest.raises(InvalidInput, match="not one chain: got another entry at position 1"):
        Ledger("cd" * 32, 10).with_text(THREE.to_text())


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", "{}", '{"number": 1}', "[" * 10_000, '{"number":1,"more":2}']
)
def test_other_lines_are_refused(text: str) -> None:
    for parse in (EMPTY.with_text, LedgerHead.from_text):
        with pytest.raises(InvalidInput):
            parse(text)


def test_the_witness_notices_a_rollback_and_another_past() -> None:
    two = Ledger(COALITION, 10, entries=THREE.entries[:2])
    THREE.check_witness(THREE.head)
    THREE.check_witness(two.head)
    with pytest.raises(InvalidInput, match="rolled back: got 2 entries, expected at least the 3"):
        two.check_witness(THREE.head)
    with pytest.raises(InvalidInput, match="rolled back"):
        EMPTY.check_witness(THREE.head)
    other = debited(debited(debited(EMPTY, 1), 1), 1)
    for witness in (other.head, EMPTY.head):
        with pytest.raises(InvalidInput, match="does not continue"):
            THREE.check_witness(witness)
    assert LedgerHead.from_text(THREE.head.to_text()) == THREE.head


@pytest.mark.parametrize(
    "change",
    [
        {"number": 0},
        {"ciphertexts": -1},
        {"ciphertexts": True},
        {"ciphertexts": 1.0},
        {"noise_multiplier": -1.0},
        {"noise_multiplier": math.nan},
        {"epoch": "AB" * 32},
        {"task": "short"},
    ],
)
def test_entries_out_of_range_are_refused(change: dict[str, object]) -> None:
    content = asdict(THREE.entries[0]) | change
    with pytest.raises(InvalidInput, match="out of range"):
        LedgerEntry(**content)
