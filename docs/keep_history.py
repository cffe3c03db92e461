"""Keep the ratios of ``docs/results/bench.json`` as one small file of ``docs/results/history``.

Usage: ``python docs/keep_history.py NAME``, say the date and what changed. Two such files are
compared by ``hecf bench compare``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
MACHINE = ("hecf", "processor", "cores")
RESULT = ("job", "seconds", "baseline_seconds", "ratio", "mark", "met", "error")


def main(name: str) -> int:
    """Write the file; an existing one is never changed."""
    found = json.loads((RESULTS / "bench.json").read_text())
    content = {
        "machine": {key: found["machine"][key] for key in MACHINE},
        "quick": found["quick"],
        "results": [{key: result[key] for key in RESULT} for result in found["results"]],
    }
    folder = RESULTS / "history"
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.json").open("x") as file:
        file.write(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
