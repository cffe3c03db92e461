"""Build hook: compile the loops of `hecf.he.loops` into a shared library beside it.

The library does not link with Python, so one wheel serves every version of Python. Without a C
compiler the package installs all the same, and NumPy does the work.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = Path("hecf/he/_loops")
LIBRARY = Path("hecf/he/_loops.so")
FLAGS = (
    "-O3 -std=gnu11 -ffp-contract=fast -fno-math-errno -fno-trapping-math "
    "-fvisibility=hidden -shared -fPIC -pthread -Wno-psabi"
)


class LoopsHook(BuildHookInterface[Any]):
    """Compiles before a wheel or an editable installation is made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say in the wheel's tag that it belongs to a platform."""
        if self.target_name != "wheel" or not _compile(Path(self.root)):
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["artifacts"].append(str(LIBRARY))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"


def _compile(root: Path) -> bool:
    """Compile; whether it worked."""
    compiler = shlex.split(os.environ.get("CC", ""))
    if not compiler:
        compiler = [name for name in ("cc", "gcc", "clang") if shutil.which(name)][:1]
    library = root / LIBRARY
    # A library of older sources must not stay behind when the compiler fails.
    library.unlink(missing_ok=True)
    if not compiler or sys.platform == "win32":
        return False
    sources = sorted(str(path) for path in (root / SOURCES).glob("*.c"))
    # It appears at once or not at all, so that a process that loads it never sees half.
    partial = library.with_suffix(".partial")
    try:
        subprocess.run(  # noqa: S603
            [*compiler, *shlex.split(FLAGS), "-o", str(partial), *sources],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        partial.unlink(missing_ok=True)
        return False
    partial.replace(library)
    return True
