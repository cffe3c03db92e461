from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from coalitions import make_terms

from hecf.errors import ConfigurationError
from parties.processes import retailer


def test_members_are_not_scored_under_paillier() -> None:
    kit: Any = SimpleNamespace(terms=make_terms(scheme="paillier"))
    nobody: Any = None
    with pytest.raises(ConfigurationError, match=r"sums only.*got scheme paillier"):
        retailer.run(kit, nobody, nobody, nobody)
