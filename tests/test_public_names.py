from __future__ import annotations

import subprocess
import sys

import pytest

import hecf


def test_public_names_are_few_sorted_and_there() -> None:
    assert len(hecf.__all__) <= 20
    assert hecf.__all__ == sorted(hecf.__all__, key=lambda name: (not name.isupper(), name))
    for name in hecf.__all__:
        assert getattr(hecf, name).__doc__
        assert name in dir(hecf)
    with pytest.raises(AttributeError, match="no attribute 'Coalitions'"):
        _ = hecf.Coalitions


def test_importing_hecf_loads_nothing_else() -> None:
    program = "import sys, hecf; print([m for m in sys.modules if m.startswith(('hecf', 'numpy'))])"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "['hecf']"
