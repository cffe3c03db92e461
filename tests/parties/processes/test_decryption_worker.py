"""Decryption in a worker process: what it releases, and that its death costs one job (C09)."""

from __future__ import annotations

import os
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from encryption import unit_columns
from processes import Provisioned, alive, descendants, make_coalition, until

from hecf.errors import InternalFailure, MalformedMessage, Mismatch, Unavailable
from hecf.he.clear_matrices import ClearTile
from hecf.he.plan import LEFT, RIGHT
from hecf.he.scheme import scheme_by_name
from hecf.kits.kit import Kit
from hecf.measure import Measurements
from hecf.protocol.tasks import GramTask, SimilarityTask
from hecf.rpc.identity import KEY_HOLDER
from parties.custody.key_epochs import key_store
from parties.processes.decryption_worker import WorkerReleaser
from parties.system.worker import WorkerLimits


@pytest.fixture(scope="module")
def coalition(tmp_path_factory: pytest.TempPathFactory) -> Provisioned:
    return make_coalition(tmp_path_factory.mktemp("worker") / "coalition", scheme="ckks")


@pytest.fixture(scope="module")
def task(coalition: Provisioned) -> GramTask:
    return GramTask(coalition.terms)


@pytest.fixture(scope="module")
def product(coalition: Provisioned, task: GramTask) -> bytes:
    """An encrypted Gram block under the key holder's own key."""
    public = key_store(Kit.load(coalition.party(KEY_HOLDER))).load_or_generate()
    scheme = scheme_by_name("ckks")
    encryptor = scheme.encryptor(task.plan.parameters, public)
    operands = [
        encryptor.encrypt(encryptor.encode(task.plan, side, matrix(coalition, seed)))
        for seed, side in enumerate((LEFT, RIGHT))
    ]
    evaluator = scheme.evaluator(task.plan.parameters, public, secrets.token_bytes)
    return evaluator.gram(*operands).to_bytes()


def matrix(coalition: Provisioned, seed: int) -> np.ndarray:
    terms = coalition.terms
    return unit_columns(np.random.default_rng(seed), terms.shoppers, terms.factors)


@pytest.fixture
def releaser(coalition: Provisioned) -> Iterator[WorkerReleaser]:
    path = coalition.party(KEY_HOLDER)
    made = WorkerReleaser(path, WorkerLimits.of(Kit.load(path)), Measurements())
    yield made
    made.close()


def workers() -> list[int]:
    """Processes that decrypt: those below this one that have loaded SEAL."""
    found = []
    for pid in descendants(os.getpid()):
        try:
            maps = Path(f"/proc/{pid}/maps").read_text()
        except OSError:
            continue
        if "sealapi" in maps:
            found.append(pid)
    return found


def test_a_released_block_is_right_and_flooded(
    coalition: Provisioned, task: GramTask, product: bytes, releaser: WorkerReleaser
) -> None:
    exact = matrix(coalition, 0).T @ matrix(coalition, 1)
    blocks = [releaser.gram(task, product) for _ in range(2)]
    for block in blocks:
        bound = task.plan.error_bound + 6 * task.plan.flooding
        assert np.abs(block - exact).max() <= bound
        assert np.abs(block - matrix(coalition, 1).T @ matrix(coalition, 0)).max() > 100 * bound
    # An exact decryption would be the same twice; two releases of one ciphertext are not.
    assert not np.array_equal(*blocks)


def test_a_product_of_another_form_is_refused_by_name(
    task: GramTask, product: bytes, releaser: WorkerReleaser
) -> None:
    for wrong in (b"", product[:-1], bytes(len(product))):
        with pytest.raises((MalformedMessage, Mismatch)):
            releaser.gram(task, wrong)
    assert releaser.gram(task, product).shape == (4, 4)


def test_a_killed_worker_costs_one_job(
    task: GramTask, product: bytes, releaser: WorkerReleaser
) -> None:
    releaser.gram(task, product)
    [first] = workers()
    # Halted, it holds the next job in its hands until it is killed.
    os.kill(first, signal.SIGSTOP)
    failures: list[BaseException] = []

    def job() -> None:
        try:
            releaser.gram(task, product)
        except BaseException as error:
            failures.append(error)

    running = threading.Thread(target=job)
    running.start()
    running.join(0.3)
    assert running.is_alive()
    os.kill(first, signal.SIGKILL)
    running.join(20)
    assert [type(error) for error in failures] == [InternalFailure]
    assert str(failures[0]) == "a worker process died; the job failed"
    assert releaser.gram(task, product).shape == (4, 4)
    [second] = workers()
    assert second != first
    releaser.close()
    until(lambda: not alive(second), "the end of the worker", 10)


def test_a_job_that_nobody_waits_for_ends_with_its_process(
    task: GramTask, product: bytes, releaser: WorkerReleaser
) -> None:
    releaser.gram(task, product)
    [first] = workers()
    os.kill(first, signal.SIGSTOP)
    gone = threading.Event()
    failures: list[BaseException] = []

    def job() -> None:
        try:
            releaser.gram(task, product, lambda: not gone.is_set())
        except BaseException as error:
            failures.append(error)

    running = threading.Thread(target=job)
    running.start()
    until(lambda: releaser.waiting == 1, "the job")
    assert alive(first)
    gone.set()
    running.join(60)
    assert [type(error) for error in failures] == [Unavailable]
    assert not alive(first)
    assert releaser.waiting == 0
    # The next job gets another process, and one that nobody wants does not begin.
    assert releaser.gram(task, product).shape == (4, 4)
    with pytest.raises(Unavailable):
        releaser.gram(task, product, lambda: False)


def test_a_worker_that_dies_while_idle_is_replaced(
    task: GramTask, product: bytes, releaser: WorkerReleaser
) -> None:
    releaser.gram(task, product)
    [first] = workers()
    os.kill(first, signal.SIGSEGV)
    until(lambda: not alive(first), "the end of the worker", 10)
    # Whether the death was noticed before the job or through it, the one after it succeeds.
    try:
        releaser.gram(task, product)
    except InternalFailure:
        assert releaser.gram(task, product).shape == (4, 4)


def test_close_without_a_job_starts_nothing(releaser: WorkerReleaser) -> None:
    releaser.close()
    releaser.close()
    assert workers() == []


def test_tiles_of_a_similarity_follow_one_by_one_and_its_best_rows_come_back(
    tmp_path: Path,
) -> None:
    clear = make_coalition(tmp_path / "clear", scheme="clear")
    path = clear.party(KEY_HOLDER)
    key_store(Kit.load(path)).load_or_generate()
    task = SimilarityTask(clear.terms, "alder", "rows", "birch", 300, 9000, 3, 1)
    values = np.zeros((300, 9000))
    values[0, 8999] = values[1, 5] = 0.5
    edge = task.plan.parameters.ring_degree
    tiles = [
        ClearTile(task.plan, 0, 0, values[:, :edge]).to_bytes(),
        ClearTile(task.plan, 0, 1, values[:, edge:]).to_bytes(),
    ]
    releaser = WorkerReleaser(path, WorkerLimits.of(Kit.load(path)), Measurements())
    try:
        top = releaser.similar(task, iter(tiles))
        assert top.columns[:2].tolist() == [[8999], [5]]
        with pytest.raises(Mismatch, match="out of order"):
            releaser.similar(task, reversed(tiles))
        with pytest.raises(Mismatch, match="missing"):
            releaser.similar(task, tiles[:1])
        np.testing.assert_array_equal(releaser.similar(task, tiles).scores[:2], [[0.5], [0.5]])
    finally:
        releaser.close()
