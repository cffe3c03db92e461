"""Two releases that differ by one shopper, and the noise that it takes to hide her."""

from __future__ import annotations

import secrets

import numpy as np
import pytest

from hecf.he.sampling import gaussian
from hecf.privacy.attacks.differencing import experiment, rank_one, similarity


def noisy(deviation: float):
    return lambda block: block + deviation * gaussian(block.shape, secrets.token_bytes)


def test_the_difference_of_two_exact_blocks_is_the_shoppers_rows() -> None:
    random = np.random.default_rng(3)
    left, right = random.standard_normal((2, 400, 6))
    first, second = rank_one(left.T @ right, left[1:].T @ right[1:])
    assert similarity(first, left[0]) > 1 - 1e-9
    assert similarity(second, right[0]) > 1 - 1e-9
    # One sign is unknown, and it is the same for both.
    assert np.sign(first @ left[0]) == np.sign(second @ right[0])
    # Another shopper's row is not found.
    assert similarity(first, left[5]) < 0.95


def test_flooding_does_not_hide_a_shopper() -> None:
    """The gate's flooding protects the key, not her: said in SECURITY.md, shown here."""
    outcome = experiment(2467, 32, noisy(2.0**-18), secrets.token_bytes, "flooding")
    assert outcome.alive
    assert outcome.succeeded


def test_noise_of_the_size_of_a_row_hides_her() -> None:
    # A row has norm sqrt(32 / 2467), and the rank-one difference the product of two such.
    sensitivity = 32 / 2467
    outcome = experiment(2467, 32, noisy(sensitivity), secrets.token_bytes, "noise")
    assert outcome.alive
    assert not outcome.succeeded
    assert outcome.protected < 0.75


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_similarity_ignores_scale_and_sign(scale: float) -> None:
    vector = np.array([1.0, 2.0, -3.0])
    assert similarity(-scale * vector, vector) == pytest.approx(1.0)
