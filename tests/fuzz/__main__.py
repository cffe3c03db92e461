"""``python -m tests.fuzz``: many changed inputs on every parser, each in a process of its own."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from fuzzing import Broken, collect, fuzz, limit_memory  # noqa: E402
from subjects import subjects  # noqa: E402

MEMORY_BYTES = 4 << 30


def main() -> int:
    """Fuzz one subject here, or every subject in processes of their own."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="for every parser")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--subject", help="one parser only, in this process")
    parser.add_argument("--collect", action="store_true", help="keep an input for every refusal")
    options = parser.parse_args()
    found = subjects()
    if options.subject is not None:
        return one(options.subject, options.inputs, options.seed)
    if options.collect:
        others = [subject.message.data for subject in found.values()]
        for name, subject in found.items():
            count = collect(name, subject, others, options.inputs, options.seed)
            sys.stdout.write(f"{name}: {count} kept\n")
        return 0
    failed, total = [], 0
    for name in found:
        command = [sys.executable, str(HERE), "--subject", name]
        command += ["--inputs", str(options.inputs), "--seed", str(options.seed)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        said = (ended.stdout or ended.stderr).strip().splitlines() or ["nothing was said"]
        sys.stdout.write(f"{name}: {said[-1]}\n")
        if ended.returncode:
            failed.append(name)
        total += options.inputs
    sys.stdout.write(f"{total} inputs, {len(found)} parsers, {len(failed)} broken\n")
    return 1 if failed else 0


def one(name: str, inputs: int, seed: int) -> int:
    """Fuzz one subject in this process."""
    limit_memory(MEMORY_BYTES)
    found = subjects()
    others = [subject.message.data for subject in found.values()]
    try:
        verdict = fuzz(name, found[name], others, inputs, seed)
    except Broken as broken:
        sys.stdout.write(f"BROKEN {broken}\n")
        return 1
    sys.stdout.write(json.dumps(vars(verdict)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
