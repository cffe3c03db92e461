"""One block in which a dishonest retailer singles out shoppers of another."""

from __future__ import annotations

import secrets

import numpy as np

from hecf.he.sampling import gaussian
from hecf.privacy.attacks.isolation import experiment, singled_out


def reached(deviation: float, largest: float = 1.0) -> float:
    def release(block):
        return block + deviation * gaussian(block.shape, secrets.token_bytes)

    found = experiment(2467, 32, release, secrets.token_bytes, largest=largest, protection="noise")
    assert found.alive
    return found.protected


def test_a_block_holds_the_rows_of_those_singled_out() -> None:
    other = np.random.default_rng(2).standard_normal((50, 4))
    mine = singled_out(50, 4, 1.0)
    assert np.array_equal(mine.T @ mine, np.eye(4))  # As an honest embedding has it.
    assert np.array_equal(mine.T @ other, other[:4])


def test_flooding_hides_nobody() -> None:
    assert reached(2.0**-18) > 0.99


def test_the_largest_product_is_what_noise_can_be_measured_by() -> None:
    # The entries of an upload are encrypted, so an attacker takes them as large as a block may be.
    row = (32 / 2467) ** 0.5
    assert reached(4 * row) < 0.9
    assert reached(4 * row, largest=1000.0) > 0.99
