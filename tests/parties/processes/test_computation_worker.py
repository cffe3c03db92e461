"""The compute node's worker: right results, and that its death leaves the node serving (C09)."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from coalitions import make_client
from encryption import unit_columns
from grpc_health.v1 import health_pb2, health_pb2_grpc
from processes import Provisioned, alive, descendants, make_coalition, until

from hecf.errors import HecfError, InternalFailure, Unavailable
from hecf.he.clear import ClearEncryptor
from hecf.he.clear_matrices import ClearTile
from hecf.he.plan import LEFT, RIGHT
from hecf.he.scheme import scheme_by_name
from hecf.kits.kit import Kit
from hecf.protocol.contribution import bound, key_fingerprint
from hecf.protocol.tasks import GramTask, SimilarityTask, gram_plan
from hecf.rpc.client import ComputeNodeClient
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER, server_name
from hecf.rpc.store import BlockStore
from parties.processes.computation_worker import WorkerComputer
from parties.processes.compute_node import BLOCKS, ComputeNodeProcess
from parties.system.worker import DIED, WorkerLimits

RESULT = "alder/birch"
PARTS = {("alder", LEFT): 0, ("birch", RIGHT): 1}


@pytest.fixture(scope="module")
def coalition(tmp_path_factory: pytest.TempPathFactory) -> Provisioned:
    return make_coalition(tmp_path_factory.mktemp("node") / "coalition", scheme="clear")


@pytest.fixture
def node(coalition: Provisioned) -> Iterator[ComputeNodeProcess]:
    kit = Kit.load(coalition.party(COMPUTE_NODE))
    # Every test begins with a node that knows of no task.
    shutil.rmtree(kit.state)
    made = ComputeNodeProcess(kit)
    made.start()
    yield made
    made.stop()


def matrix(coalition: Provisioned, seed: int) -> np.ndarray:
    terms = coalition.terms
    return unit_columns(np.random.default_rng(seed), terms.shoppers, terms.factors)


def operand(coalition: Provisioned, side: str, seed: int) -> bytes:
    task = GramTask(coalition.terms)
    encoded = ClearEncryptor().encode(task.plan, side, matrix(coalition, seed))
    return bound(task, side, encoded.to_bytes(), key_fingerprint(b""))


def client(coalition: Provisioned, name: str) -> ComputeNodeClient:
    kit = Kit.load(coalition.party(name))
    address = kit.configuration.compute_node.address
    made: ComputeNodeClient = make_client(
        ComputeNodeClient, kit.terms, address, kit.identity, patience=30
    )
    return made


@pytest.fixture
def holder(coalition: Provisioned, node: ComputeNodeProcess) -> Iterator[ComputeNodeClient]:
    """The key holder's way to a node that has everything for its task."""
    task = GramTask(coalition.terms)
    _, public = scheme_by_name("clear").generate_keys(gram_plan(coalition.terms).parameters)
    clients = {name: client(coalition, name) for name in (KEY_HOLDER, "alder", "birch")}
    clients[KEY_HOLDER].publish_key(coalition.terms, public)
    for (name, side), seed in PARTS.items():
        clients[name].contribute(task, side, operand(coalition, side, seed))
    yield clients[KEY_HOLDER]
    for each in clients.values():
        each.close()


def health(coalition: Provisioned, service: str = "") -> int:
    kit = Kit.load(coalition.party("alder"))
    name = server_name(kit.terms.identifier, COMPUTE_NODE)
    with grpc.secure_channel(
        kit.configuration.compute_node.address,
        kit.identity.client(),
        options=[("grpc.ssl_target_name_override", name)],
    ) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        status: int = health_pb2_grpc.HealthStub(channel).Check(request, timeout=10).status
        return status


def worker_of(node: ComputeNodeProcess) -> int:
    pid = node._computer._worker._connected()[1].pid
    assert pid is not None
    return pid


def test_a_death_in_the_middle_costs_one_job_and_the_node_serves_on(
    coalition: Provisioned, node: ComputeNodeProcess, holder: ComputeNodeClient
) -> None:
    task, pid = GramTask(coalition.terms), worker_of(node)
    # Halted, the worker has the job in its hands when it is killed.
    os.kill(pid, signal.SIGSTOP)
    failures: list[HecfError] = []

    def fetch() -> None:
        try:
            holder.fetch(task, RESULT)
        except HecfError as error:
            failures.append(error)

    running = threading.Thread(target=fetch)
    running.start()
    until(lambda: node._computer.waiting == 1, "the job")
    os.kill(pid, signal.SIGSEGV)
    os.kill(pid, signal.SIGCONT)
    running.join(20)
    assert [type(error) for error in failures] == [InternalFailure]
    assert str(failures[0]) == DIED
    for service in ("", "hecf.v1.ComputeNodeService"):
        assert health(coalition, service) == health_pb2.HealthCheckResponse.SERVING
    computed = holder.fetch(task, RESULT)
    assert worker_of(node) != pid
    # Against clear NumPy: the worker read the two blocks that it was named.
    product = scheme_by_name("clear").product(task.plan, computed.data)
    exact = matrix(coalition, 0).T @ matrix(coalition, 1)
    np.testing.assert_allclose(np.asarray(product.values), exact, rtol=0, atol=1e-6)


def test_a_cancelled_fetch_stops_the_work_and_leaves_nothing(
    coalition: Provisioned, node: ComputeNodeProcess, holder: ComputeNodeClient
) -> None:
    task, pid = GramTask(coalition.terms), worker_of(node)
    blocks = Kit.load(coalition.party(COMPUTE_NODE)).state / BLOCKS
    before = sorted(path.name for path in blocks.iterdir())
    os.kill(pid, signal.SIGSTOP)
    running = threading.Thread(target=lambda: quietly(lambda: holder.fetch(task, RESULT)))
    running.start()
    until(lambda: node._computer.waiting == 1, "the job")
    started = time.monotonic()
    holder.close()
    until(lambda: not alive(pid), "the end of the work", 2)
    assert time.monotonic() - started < 2
    running.join(10)
    assert sorted(path.name for path in blocks.iterdir()) == before
    again = client(coalition, KEY_HOLDER)
    try:
        assert again.fetch(task, RESULT).data
    finally:
        again.close()


def quietly(call: Callable[[], object]) -> None:
    try:
        call()
    except (HecfError, ValueError):
        return


def test_a_stop_waits_for_a_running_job_and_refuses_new_calls(
    coalition: Provisioned, node: ComputeNodeProcess, holder: ComputeNodeClient
) -> None:
    task, pid = GramTask(coalition.terms), worker_of(node)
    os.kill(pid, signal.SIGSTOP)
    results: list[bytes] = []
    running = threading.Thread(target=lambda: results.append(holder.fetch(task, RESULT).data))
    running.start()
    until(lambda: node._computer.waiting == 1, "the job")
    stopping = threading.Thread(target=node.stop)
    stopping.start()
    until(lambda: health(coalition) == health_pb2.HealthCheckResponse.NOT_SERVING, "NOT_SERVING", 5)
    late = client(coalition, "alder")
    with pytest.raises(Unavailable, match="this party is stopping"):
        late.contributed(task, LEFT)
    late.close()
    os.kill(pid, signal.SIGCONT)
    running.join(10)
    stopping.join(15)
    assert not running.is_alive()
    assert not stopping.is_alive()
    assert len(results) == 1
    assert pid not in descendants(os.getpid())
    node.stop = lambda: None  # type: ignore[method-assign]


def test_a_worker_is_given_no_key_and_no_certificate(
    coalition: Provisioned, tmp_path: Path
) -> None:
    kit = Kit.load(coalition.party(COMPUTE_NODE))
    computer = WorkerComputer(kit.terms, tmp_path / "blocks", WorkerLimits.of(kit))
    store = BlockStore(tmp_path / "blocks")
    digests = {part: store.put(operand(coalition, part[1], seed)) for part, seed in PARTS.items()}
    _, public = scheme_by_name("clear").generate_keys(gram_plan(kit.terms).parameters)
    try:
        computed = computer.compute(GramTask(kit.terms), RESULT, digests, public)
        assert list(computed) == [RESULT]
        assert store.get(computed[RESULT])
        pid = computer._worker._connected()[1].pid
        opened = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        assert not [path for path in opened if "kits" in path]
        missing = {**digests, ("alder", LEFT): "0" * 64}
        with pytest.raises(InternalFailure, match="a stored block is gone"):
            computer.compute(GramTask(kit.terms), RESULT, missing, public)
    finally:
        computer.close()


def test_every_tile_of_a_similarity_comes_back_by_its_name(
    coalition: Provisioned, tmp_path: Path
) -> None:
    kit = Kit.load(coalition.party(COMPUTE_NODE))
    computer = WorkerComputer(kit.terms, tmp_path / "blocks", WorkerLimits.of(kit))
    store = BlockStore(tmp_path / "blocks")
    # Too many for packed rows; two panels, for one has 8192 rows.
    task = SimilarityTask(kit.terms, "alder", "rows", "birch", 300, 9000, 3, 1)
    rows = {side: np.zeros((task.plan.rows(side), 3)) for _, side in task.parts}
    rows[LEFT][0, 0] = rows[RIGHT][8999, 0] = 1.0
    encryptor = scheme_by_name("clear").encryptor(task.plan.parameters, b"")
    encoded = {side: encryptor.encode(task.plan, side, rows[side]).to_bytes() for side in rows}
    key = key_fingerprint(b"")
    digests = {
        (name, side): store.put(bound(task, side, encoded[side], key)) for name, side in task.parts
    }
    try:
        computed = computer.compute(task, "0/1/0", digests, b"")
    finally:
        computer.close()
    assert list(computed) == task.results == ["0/0/0", "0/1/0"]
    tiles = [ClearTile.from_bytes(task.plan, store.get(computed[name])) for name in task.results]
    assert [float(tile.values.max()) for tile in tiles] == [0.0, 1.0]
