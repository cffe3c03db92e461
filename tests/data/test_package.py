from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PACKAGES = ("hecf.data", "hecf.models", "hecf.evaluation")


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_exist_and_are_sorted(name) -> None:
    package = importlib.import_module(name)
    assert package.__all__ == sorted(
        package.__all__, key=lambda text: (not text[0].isupper(), text)
    )
    assert all(hasattr(package, public) for public in package.__all__)


@pytest.mark.parametrize("name", PACKAGES)
def test_importing_loads_neither_optional_packages_nor_higher_layers(name) -> None:
    others = ["pyarrow", "narwhals", "pandas", "tenseal", "grpc", "hecf.protocol", "hecf.he"]
    others += {"hecf.data": ["hecf.models"], "hecf.models": ["hecf.data"]}.get(name, ["hecf.data"])
    program = f"import sys, {name}; print([m for m in {[*others, name]!r} if m in sys.modules])"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    # The package itself is in the list, so an empty answer cannot pass for a clean one.
    assert answer.stdout.strip() == str([name])
