"""``python -m tests.load``: many upload and many ask for scores at once, and nothing is lost."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from loading import Load, run  # noqa: E402


def main() -> int:
    """Run one load and print its report as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    defaults = Load()
    for name, value in vars(defaults).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hecf-load-") as folder:
        outcome = run(Load(**vars(options)), Path(folder))
    sys.stdout.write(json.dumps(outcome.report(), indent=1) + "\n")
    return 1 if outcome.errors or outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
