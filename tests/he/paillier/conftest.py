"""Keys that are drawn once: a small one that is quick, and one of the size that protects."""

from __future__ import annotations

import pytest
from paillier_party import Party

from hecf.he.paillier.parameters import PaillierParameters


@pytest.fixture(scope="session")
def small() -> Party:
    """Return a party whose key is far too short, for tests with many cases."""
    return Party.draw(PaillierParameters.insecure_for_tests(512))


@pytest.fixture(scope="session")
def large() -> Party:
    """Return a party with a key of 3072 bits."""
    return Party.draw(PaillierParameters())
