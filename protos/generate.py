"""Generate hecf/api from protos/, or check that it has not drifted.

Usage: ``python protos/generate.py [--check]``; needs the extra ``dev``.
"""

from __future__ import annotations

import filecmp
import re
import shutil
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
API = ROOT / "hecf" / "api"


def generate(out: Path) -> None:
    """Write the generated package into the folder `out`, importable as ``hecf.api``."""
    sources = sorted(str(path) for path in (ROOT / "protos").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        arguments = [
            "protoc",
            f"--proto_path={ROOT / 'protos'}",
            f"--python_out={scratch}",
            f"--grpc_python_out={scratch}",
            f"--mypy_out=quiet:{scratch}",
            f"--mypy_grpc_out=quiet:{scratch}",
            *sources,
        ]
        if protoc.main(arguments) != 0:
            raise SystemExit("protoc failed")
        for path in sorted(Path(scratch).rglob("*.py*")):
            target = out / path.relative_to(Path(scratch) / "hecf")
            target.parent.mkdir(parents=True, exist_ok=True)
            # The proto package is hecf.v1; the Python package that holds it is hecf.api.v1.
            text = re.sub(r"\bhecf\.v1(?= import|\.\w+_pb2)", "hecf.api.v1", path.read_text())
            text = re.sub(r"\bhecf/v1/(\w+)_pb2", r"hecf/api/v1/\1_pb2", text)
            target.write_text(text)
    for package in (out, out / "v1"):
        (package / "__init__.py").write_text('"""Generated from protos/; do not edit."""\n')


def differences(fresh: Path) -> list[str]:
    """Names of generated files that differ from the committed ones."""
    names = {p.relative_to(fresh) for p in fresh.rglob("*.py*")}
    names |= {p.relative_to(API) for p in API.rglob("*.py*") if "__pycache__" not in p.parts}
    return sorted(
        str(name)
        for name in names
        if not (fresh / name).exists()
        or not (API / name).exists()
        or not filecmp.cmp(fresh / name, API / name, shallow=False)
    )


def main() -> int:
    """Generate, or with ``--check`` compare; the exit code says whether they are the same."""
    if sys.argv[1:] == ["--check"]:
        with tempfile.TemporaryDirectory() as scratch:
            generate(Path(scratch))
            changed = differences(Path(scratch))
        for name in changed:
            sys.stderr.write(f"hecf/api/{name} differs from protos/: run python {sys.argv[0]}\n")
        return 1 if changed else 0
    shutil.rmtree(API, ignore_errors=True)
    generate(API)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
