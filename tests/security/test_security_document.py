"""SECURITY.md names tests that exist, a test for every control, and every attack of the library."""

from __future__ import annotations

import re
from pathlib import Path

from hecf.protocol.terms import NOT_BUILT, TOPOLOGIES

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "SECURITY.md").read_text()
HELPERS = {"__init__", "outcome", "polynomials"}


def named_paths(text: str) -> set[str]:
    """Paths of tests, documents and code in backquotes or after them."""
    return set(re.findall(r"\b(?:tests|docs|hecf|parties)/[\w/.-]*\w/?", text))


def controls(text: str) -> dict[str, str]:
    """Rows of the table of controls: identifier and cell of tests."""
    rows = re.findall(r"^\| (C\d\d)[^|]*\|[^|]*\|([^|]*)\|$", text, flags=re.MULTILINE)
    return dict(rows)


def missing(text: str) -> set[str]:
    return {path for path in named_paths(text) if not (ROOT / path).exists()}


def test_every_path_that_is_named_exists() -> None:
    assert len(named_paths(TEXT)) > 20
    assert missing(TEXT) == set()
    # Negative control: one that does not would be found.
    assert missing("| C99 | x | `tests/security/test_nothing.py` |") == {
        "tests/security/test_nothing.py"
    }


def test_every_control_names_a_test() -> None:
    found = controls(TEXT)
    assert len(found) > 15
    for name, cell in found.items():
        assert "`tests/" in cell, name
    assert controls("| C98 (part) | said only | later |") == {"C98": " later "}


def test_every_attack_of_the_library_is_in_the_table() -> None:
    attacks = {path.stem for path in (ROOT / "hecf/privacy/attacks").glob("*.py")} - HELPERS
    assert len(attacks) >= 9
    named = {"concealment": "test_conceal"}
    for attack in attacks:
        assert f"`tests/security/{named.get(attack, 'test_' + attack)}.py`" in TEXT, attack


def test_every_topology_is_described() -> None:
    for name in (*TOPOLOGIES, *NOT_BUILT):
        assert f"`{name}`" in TEXT
