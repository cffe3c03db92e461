"""Rules about the code itself, control C10 among them, checked on its syntax trees.

Every rule is a function from source text to findings, and every rule is shown to find a violation
that was planted, so that a rule which has gone blind fails here.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = [
    path
    for package in ("hecf", "parties", "benchmarks")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "api" not in path.relative_to(ROOT).parts
]
PURE = [
    path
    for path in CODE
    if path.relative_to(ROOT).parts[:2]
    in {("hecf", name) for name in ("he", "models", "evaluation", "protocol", "privacy")}
]

UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal"} | {
    "shelve",
    "jsonpickle",
}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
UNSAFE_YAML = {"load", "load_all", "unsafe_load", "full_load", "unsafe_load_all", "full_load_all"}

MAY_USE_PLAIN_RANDOMNESS = ("hecf/data/synthetic", "benchmarks/")
"""Generated data and measurements, of which nothing is secret."""

DETERMINISTIC_START = {"hecf/models/embedding.py": "numpy.random"}
"""The start vector of the singular value decomposition: a constant that only has to be the same
on every run and is no secret."""

IMPURE_MODULES = {"grpc", "grpc_health", "google", "logging", "structlog", "time", "datetime"} | {
    "socket",
    "requests",
    "urllib",
}
OPENING_METHODS = {"open", "fdopen", "read_text", "read_bytes", "write_text", "write_bytes"} | {
    "savez",
    "savetxt",
    "loadtxt",
    "genfromtxt",
    "fromfile",
    "tofile",
    "memmap",
}
MEMORY_FILES = {"hecf/he/seal.py": {"os.fdopen"}}
"""SEAL reads and writes files only, so its one module hands it files that live in memory."""


def name_of(node: ast.expr) -> str:
    """``a.b.c`` of an attribute or name, or an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return ""


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything that is imported, absolute imports of names included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def numpy_names(tree: ast.AST) -> set[str]:
    """Names under which a module knows NumPy."""
    return {"numpy"} | {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "numpy"
    }


def unsafe_loaders(source: str) -> list[str]:
    """C10: pickle and its relatives, eval-like calls, unsafe YAML and NumPy loads."""
    tree = ast.parse(source)
    found = [name for name in imported(tree) if name.split(".")[0] in UNSAFE_MODULES]
    for name in imported(tree):
        head, _, tail = name.rpartition(".")
        if head == "yaml" and tail in UNSAFE_YAML:
            found.append(name)
        if head == "builtins" and tail in UNSAFE_CALLS:
            found.append(name)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = name_of(node.func)
        head, _, tail = name.rpartition(".")
        if name in UNSAFE_CALLS or (head == "builtins" and tail in UNSAFE_CALLS):
            found.append(name)
        if head == "yaml" and tail in UNSAFE_YAML:
            found.append(name)
        if tail in {"read_pickle", "to_pickle", "allow_pickle"}:
            found.append(name)
        for keyword in node.keywords:
            value = keyword.value
            safe = isinstance(value, ast.Constant) and value.value is False
            if keyword.arg == "allow_pickle" and not safe:
                found.append(f"{name}(allow_pickle)")
    return found


def plain_randomness(source: str) -> list[str]:
    """Generators that are not cryptographic: the random module and numpy.random."""
    tree = ast.parse(source)
    found = [
        name
        for name in imported(tree)
        if name == "random" or name.startswith(("random.", "numpy.random"))
    ]
    prefixes = {f"{name}.random" for name in numpy_names(tree)}
    for node in ast.walk(tree):
        # The type annotation of a generator that somebody else made is no draw.
        if isinstance(node, ast.Attribute) and name_of(node) in prefixes:
            found.append("numpy.random")
    return found


def impurities(source: str) -> list[str]:
    """Network, logging, clocks, printing and files, in code that is meant to be pure."""
    tree = ast.parse(source)
    found = [name for name in imported(tree) if name.split(".")[0] in IMPURE_MODULES]
    numpy = numpy_names(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = name_of(node.func)
        head, _, tail = name.rpartition(".")
        if name in {"open", "print", "input"} or tail in OPENING_METHODS:
            found.append(name)
        if head in numpy and tail in {"load", "save", "savez_compressed"}:
            found.append(name)
    return found


Rule = Callable[[str], list[str]]

PLANTED: list[tuple[Rule, str]] = [
    (unsafe_loaders, "import pickle"),
    (unsafe_loaders, "import pickle as p"),
    (unsafe_loaders, "from pickle import loads"),
    (unsafe_loaders, "def f():\n    import marshal"),
    (unsafe_loaders, "import shelve"),
    (unsafe_loaders, "import yaml\nyaml.load(text)"),
    (unsafe_loaders, "from yaml import load"),
    (unsafe_loaders, "eval(text)"),
    (unsafe_loaders, "class A:\n    def f(self):\n        return exec('1')"),
    (unsafe_loaders, "import builtins\nbuiltins.eval('1')"),
    (unsafe_loaders, "from builtins import exec"),
    (unsafe_loaders, "__import__('pickle')"),
    (unsafe_loaders, "import numpy as np\nnp.load(path, allow_pickle=True)"),
    (unsafe_loaders, "import numpy\nnumpy.load(path, allow_pickle=flag)"),
    (unsafe_loaders, "import pandas\npandas.read_pickle(path)"),
    (plain_randomness, "import random"),
    (plain_randomness, "from random import random"),
    (plain_randomness, "import numpy as np\nnp.random.default_rng(0)"),
    (plain_randomness, "import numpy as n\nx = n.random.rand(3)"),
    (plain_randomness, "from numpy.random import default_rng"),
    (plain_randomness, "import numpy.random"),
    (plain_randomness, "from numpy import random"),
    (impurities, "import grpc"),
    (impurities, "from google.protobuf import message"),
    (impurities, "import logging"),
    (impurities, "from time import monotonic"),
    (impurities, "def f():\n    import time"),
    (impurities, "open('a')"),
    (impurities, "with path.open() as file:\n    pass"),
    (impurities, "path.read_text()"),
    (impurities, "import os\nos.fdopen(3)"),
    (impurities, "import numpy as np\nnp.save('a', b)"),
    (impurities, "import numpy as np\nnp.load('a')"),
    (impurities, "print('x')"),
]

HARMLESS: list[tuple[Rule, str]] = [
    (unsafe_loaders, "import json\njson.loads(text)"),
    (unsafe_loaders, "import re\nre.compile(text)"),
    (unsafe_loaders, "import numpy as np\nnp.load(path, allow_pickle=False)"),
    (unsafe_loaders, "'pickle' in text"),
    (unsafe_loaders, "import yaml\nyaml.safe_load(text)"),
    (plain_randomness, "import secrets\nsecrets.token_bytes(3)"),
    (plain_randomness, "def f(random):\n    return random(3)"),
    (impurities, "from hecf.he.matrices import open_header\nopen_header(data)"),
    (impurities, "import numpy as np\nnp.frombuffer(data)"),
]


@pytest.mark.parametrize(("rule", "source"), PLANTED)
def test_planted_violations_are_found(rule: Rule, source: str) -> None:
    assert rule(source)
    assert rule(f"from __future__ import annotations\n\nx = 1\n{source}\n")


@pytest.mark.parametrize(("rule", "source"), HARMLESS)
def test_harmless_code_is_not_blamed(rule: Rule, source: str) -> None:
    assert rule(source) == []


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_rules_look_at_the_code() -> None:
    names = {relative(path) for path in CODE}
    assert {
        "hecf/he/kernels.py",
        "hecf/rpc/identity.py",
        "parties/provisioning/provision.py",
    } <= names
    assert {relative(path).split("/")[1] for path in PURE} == {
        "he",
        "models",
        "evaluation",
        "protocol",
        "privacy",
    }
    assert all((ROOT / name).exists() for name in (*DETERMINISTIC_START, *MEMORY_FILES))


@pytest.mark.parametrize("path", CODE, ids=relative)
def test_no_code_can_be_loaded_from_data(path: Path) -> None:
    assert unsafe_loaders(path.read_text()) == []


@pytest.mark.parametrize("path", CODE, ids=relative)
def test_randomness_is_cryptographic(path: Path) -> None:
    name = relative(path)
    found = set(plain_randomness(path.read_text()))
    if not name.startswith(MAY_USE_PLAIN_RANDOMNESS):
        assert found - {DETERMINISTIC_START.get(name, "")} == set()


def test_the_one_deterministic_start_is_a_constant() -> None:
    for name in DETERMINISTIC_START:
        tree = ast.parse((ROOT / name).read_text())
        calls = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ".random." in name_of(node.func)
        ]
        assert [name_of(call.func) for call in calls] == ["np.random.default_rng"]
        assert [ast.literal_eval(argument) for argument in calls[0].args] == [0]


@pytest.mark.parametrize("path", PURE, ids=relative)
def test_the_core_does_no_input_or_output(path: Path) -> None:
    found = set(impurities(path.read_text()))
    assert found - MEMORY_FILES.get(relative(path), set()) == set()


NODE_MODULES = ("hecf.he.evaluator", "hecf.he.scheme", "hecf.protocol.computation")
LIBRARIES = ("tenseal", "phe")


def loaded_by(*modules: str) -> set[str]:
    """Which HE libraries a fresh interpreter has loaded after importing some modules."""
    program = "\n".join(
        [
            "import sys",
            *(f"import {module}" for module in modules),
            f"found = [n for n in sys.modules if n.split('.')[0] in {LIBRARIES!r}]",
            "print(*sorted({n.split('.')[0] for n in found}))",
        ]
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(finished.stdout.split())


def test_a_compute_node_loads_no_encryption_library() -> None:
    assert loaded_by(*NODE_MODULES) == set()


def test_a_key_holder_does_load_one() -> None:
    """Negative control of the test above."""
    assert loaded_by("hecf.he.ckks") == {"tenseal"}
    assert loaded_by(*NODE_MODULES, "hecf.he.seal") == {"tenseal"}


def test_only_one_module_imports_each_encryption_library() -> None:
    # A benchmark may import a library by itself, to compare with it.
    product = [path for path in CODE if not relative(path).startswith("benchmarks/")]
    for library in LIBRARIES:
        importers = {
            relative(path)
            for path in product
            if any(name.split(".")[0] == library for name in imported(ast.parse(path.read_text())))
        }
        assert len(importers) <= 1
        if library == "tenseal":
            assert importers == {"hecf/he/seal.py"}
