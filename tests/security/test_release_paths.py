"""There is one way out for a decrypted value, shown on the source and by trying the others.

Controls C12 and C18: who holds a decryptor, who unwraps what it returns, and what the wrapper
refuses.
"""

from __future__ import annotations

import ast
import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from encryption import gram_plan

from hecf.he.keys import Decrypted

ROOT = Path(__file__).resolve().parents[2]
GATE = "hecf/privacy/release.py"
PRODUCT = [
    path
    for package in ("hecf", "parties")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "api" not in path.relative_to(ROOT).parts
]

HOLDERS = {
    "hecf/rpc/key_holder.py",
    "parties/calibration.py",
    "parties/doctor.py",
}
"""Who makes a decryptor of the scheme interface: the key holder's service, and two self-tests on
their own keys."""

DECRYPTING_MODULES = (
    "hecf.he.paillier.decryptor",
    "hecf.he.paillier.phe_bridge",
    "hecf.he.seal",
    "hecf.he.secret",
)
EXACT_METHODS = {"decrypt_digits", "panels", "plaintexts", "expose"}

Rule = Callable[[str], list[str]]


def unwraps(source: str) -> list[str]:
    """Accesses to the exact values of a Decrypted, by its method or past it."""
    return [
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in {"unwrap", "_exact"}
    ]


def makes_decryptors(source: str) -> list[str]:
    """Calls of the scheme interface's `decryptor`."""
    return [
        "decryptor"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "decryptor"
    ]


def declares_flooded(source: str) -> list[str]:
    """Marks of a panel as flooded."""
    return [
        "flooded"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.keyword) and node.arg == "flooded"
    ]


def floods_blinded_results(source: str) -> list[str]:
    """Imports of the step that makes a blinded decryption fit to travel."""
    return [
        alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module == "hecf.he.blinding"
        for alias in node.names
        if alias.name == "flooded"
    ]


def decrypts_by_itself(source: str) -> list[str]:
    """Imports of what decrypts, and calls of methods that return exact values or keys."""
    tree = ast.parse(source)
    names = [
        node.module if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    found = [name for name in names if name in DECRYPTING_MODULES]
    found += [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name.endswith("Decryptor")
    ]
    return found + [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in EXACT_METHODS
    ]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (unwraps, "x = decrypted.unwrap()"),
        (unwraps, "x = decrypted._exact"),
        (unwraps, "reveal = Decrypted.unwrap\nreveal(x)"),
        (makes_decryptors, "d = scheme.decryptor(secret)"),
        (declares_flooded, "replace(panel, flooded=True)"),
        (declares_flooded, "Panel(plan, 0, 0, values, flooded=True)"),
        (floods_blinded_results, "from hecf.he.blinding import flooded"),
        (decrypts_by_itself, "from hecf.he.ckks import CkksDecryptor"),
        (decrypts_by_itself, "import hecf.he.seal"),
        (decrypts_by_itself, "from hecf.he.ckks import CkksEncryptor, CkksDecryptor"),
        (decrypts_by_itself, "list(decryptor.panels(plan, tiles))"),
    ],
)
def test_planted_ways_out_are_found(rule: Rule, source: str) -> None:
    assert rule(source)


ATTACKS = "hecf/privacy/attacks/"
"""Attackers open what they draw the keys of themselves."""

OUTSIDE = [path for path in PRODUCT if not relative(path).startswith(("hecf/he/", ATTACKS))]


def users(rule: Rule, paths: list[Path] = PRODUCT) -> set[str]:
    return {relative(path) for path in paths if rule(path.read_text())}


def test_only_the_gate_unwraps_a_decryption() -> None:
    assert users(unwraps) == {GATE, "hecf/he/keys.py"}


def test_only_the_gate_calls_a_panel_flooded() -> None:
    assert users(declares_flooded) == {GATE}


def test_only_the_gate_lets_blinded_results_out() -> None:
    assert users(floods_blinded_results) == {GATE}


def test_decryptors_are_made_by_the_key_holder_and_by_self_tests_only() -> None:
    assert users(makes_decryptors, OUTSIDE) == HOLDERS


def test_nothing_outside_of_the_algebra_decrypts_by_itself() -> None:
    # The key store writes the secret key, encrypted. The key holder hands the panels of a
    # similarity to the gate as they are decrypted. The calibration counts panels of zeros under a
    # key that it drew for that. Who asks under its own key keeps that key at home.
    allowed = {
        "hecf/recipes/own_key.py",
        "hecf/rpc/key_holder.py",
        "parties/custody/keystore.py",
        "parties/calibration.py",
    }
    assert users(decrypts_by_itself, OUTSIDE) - allowed == set()


def test_attacks_decrypt_under_keys_of_their_own_only() -> None:
    attacks = [path for path in PRODUCT if relative(path).startswith(ATTACKS)]
    opening = [path for path in attacks if decrypts_by_itself(path.read_text())]
    assert opening
    for path in opening:
        source = path.read_text()
        assert "generate_keys(" in source
        assert "SecretKey(" not in source


def test_a_decryption_does_not_travel() -> None:
    decrypted = Decrypted(gram_plan(), np.full((3, 5), 0.1234567))
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, bytes, np.float64):
        with pytest.raises(TypeError):
            attempt(decrypted)
    with pytest.raises(TypeError):
        list(decrypted)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        decrypted + 0.0  # type: ignore[operator]
    with pytest.raises(TypeError):
        np.asarray(decrypted, dtype=np.float64)
    assert "0.12" not in f"{decrypted!r} {decrypted!s} {decrypted:}"
    assert not hasattr(decrypted, "values")
