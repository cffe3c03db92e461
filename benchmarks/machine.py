"""Where and with what results were made."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from hecf import __version__


def machine() -> dict[str, Any]:
    """Where and with what a result was made."""
    packages = ("numpy", "scipy", "tenseal", "grpcio")
    return {
        "hecf": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "blas": [
            {"library": pool["internal_api"], "threads": pool["num_threads"]}
            for pool in threadpool_info()
        ],
        "packages": {name: metadata.version(name) for name in packages},
        "numpy_simd": _simd(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _simd() -> list[str]:
    found: list[str] = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return sorted(found)
