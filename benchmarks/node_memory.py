"""The part of the job ``node-memory`` that has a process to itself: compute one Gram block.

Usage: ``python -m benchmarks.node_memory FOLDER LEFT RIGHT``, with what the job wrote to the folder
and the digests of two operands that it stored there.
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from pathlib import Path

from benchmarks.memory import resident, restart_peak
from hecf.protocol.computation import parts_of
from hecf.protocol.tasks import GramTask
from hecf.protocol.terms import Terms
from hecf.rpc.computing import LocalComputer
from hecf.rpc.store import BlockStore

TERMS, PUBLIC_KEY = "terms.json", "public-key"


def main(folder: Path, digests: list[str]) -> dict[str, float]:
    """Compute, and return seconds and bytes."""
    terms = Terms.from_json((folder / TERMS).read_text())
    task = GramTask(terms)
    store = BlockStore(folder)
    computer = LocalComputer(terms, store, secrets.token_bytes)
    public_key = (folder / PUBLIC_KEY).read_bytes()
    result = next(iter(task.results))
    parts = dict(zip(parts_of(task, result), digests, strict=True))
    start = time.perf_counter()
    for digest in digests:
        store.get(digest)
    read = time.perf_counter() - start
    before = resident("VmRSS")
    restart_peak()
    start = time.perf_counter()
    computer.compute(task, result, parts, public_key)
    seconds = time.perf_counter() - start
    peak = resident("VmHWM")
    return {
        "seconds": seconds,
        "seconds_read": read,
        "before": before,
        "peak": peak,
        "grown": peak - before,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2:])))  # noqa: T201
