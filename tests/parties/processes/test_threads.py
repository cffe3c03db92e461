"""Threads of BLAS and of the loops in C follow the configuration, wherever a party computes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import make_coalition
from threadpoolctl import threadpool_info

from hecf.errors import ConfigurationError
from hecf.he import loops
from hecf.kits.kit import Kit
from hecf.rpc.identity import COMPUTE_NODE
from hecf.threads import ENVIRONMENT, MOST, limit_threads
from parties.system.worker import Handler, Job, Worker, WorkerLimits

CORES = os.cpu_count() or 1
CHOSEN = max(1, CORES - 1)
"""Fewer than there are by default, unless the machine has one processor only."""

FOUND = """
from threadpoolctl import threadpool_info
from hecf.he import loops
import json, scipy.linalg
print(json.dumps([sorted({pool["num_threads"] for pool in threadpool_info()}), loops.threads()]))
"""

PARTY = """
import os, signal, sys
from pathlib import Path
from parties.processes import serve

class Probe:
    def start(self):
        exec(sys.argv[2])
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGTERM)
    def stop(self): pass
    def summary(self): return None

serve._process_of = lambda role: lambda kit, path: Probe()
serve.serve("compute-node", Path(sys.argv[1]))
"""


def counter() -> Handler:
    """Runs in a worker, which imports this module."""

    def handle(job: Job) -> Job:
        pools = [pool["num_threads"] for pool in threadpool_info()]
        return Job({"pools": pools, "loops": loops.threads()})

    return handle


def in_worker(limits: WorkerLimits) -> tuple[set[int], int]:
    worker = Worker(counter, (), limits)
    try:
        fields = worker.run(Job({})).fields
    finally:
        worker.close()
    return set(fields["pools"]), fields["loops"]


def in_process(*arguments: str, threads: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if "THREADS" not in key}
    if threads is not None:
        environment[ENVIRONMENT] = threads
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def party(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("threads") / "coalition"
    return make_coalition(folder, limits=f"threads = {CHOSEN}").party(COMPUTE_NODE)


def test_workers_of_a_party_use_the_threads_of_its_kit(party: Path) -> None:
    limits = WorkerLimits.of(Kit.load(party))
    assert limits.threads == CHOSEN
    assert in_worker(limits) == ({CHOSEN}, CHOSEN)
    text = party.read_text()
    assert f"threads = {CHOSEN}" in text
    other = party.with_name("other.toml")
    other.write_text(text.replace(f"threads = {CHOSEN}", f"threads = {CORES + 7}"))
    assert in_worker(WorkerLimits.of(Kit.load(other))) == ({CORES}, CORES)


def test_a_party_itself_uses_the_threads_of_its_kit(party: Path) -> None:
    found = in_process("-c", PARTY, str(party), FOUND)
    assert json.loads(found.stdout) == [[CHOSEN], CHOSEN], found.stderr


def test_a_variable_limits_the_library_and_nothing_limits_without_it() -> None:
    for given, used in ((1, 1), (CHOSEN, CHOSEN), (CORES + 7, CORES)):
        found = in_process("-c", FOUND, threads=str(given))
        assert json.loads(found.stdout) == [[used], used], found.stderr
    unlimited = json.loads(in_process("-c", FOUND).stdout)
    assert unlimited == [[CORES], CORES]


@pytest.mark.parametrize("value", ["", "many", "0", "-2", "99999", "2.5"])
def test_a_variable_that_is_no_number_is_one_sentence(value: str) -> None:
    found = in_process("-m", "parties", "doctor", threads=value)
    assert found.returncode == 1
    assert found.stderr.startswith("error: ")
    assert found.stderr.count("\n") == 1
    assert "expected 1 to 1024" in found.stderr


def test_a_number_out_of_range_is_refused() -> None:
    for count in (0, MOST + 1):
        with pytest.raises(ConfigurationError, match="threads is out of range"):
            limit_threads(count)
