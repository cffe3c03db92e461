"""Schedules with real processes: node and key holder are killed with SIGKILL and start again."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from random import Random

import numpy as np
from coalitions import make_client
from processes import SERVERS, Running, make_coalition

from hecf.errors import HecfError, InternalFailure
from hecf.he.plan import LEFT
from hecf.he.scheme import scheme_by_name
from hecf.kits.kit import Kit
from hecf.protocol.tasks import SumTask, gram_plan
from hecf.recipes.contribution import Contributor
from hecf.rpc.client import ComputeNodeClient, KeyHolderClient
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER

RETAILERS = ("alder", "birch", "cedar")
ATTEMPTS = 60
KILLS = 3
LABELS = ("first", "second")


def run_with_processes(folder: Path, seed: int) -> int:
    """Run one schedule and return how many processes were killed.

    Every retailer declares, contributes a one-hot vector and asks for two sums, again and again
    until it has them, while the servers die under it.

    Raises
    ------
    AssertionError
        If a retailer does not get the sums, or they count a retailer twice or not at all.
    """
    random = Random(seed)
    coalition = make_coalition(folder / "coalition", retailers=RETAILERS, patience=5)
    sums: dict[tuple[str, str], list[np.ndarray]] = {}
    with Running(coalition) as running:
        running.start(*SERVERS)
        threads = [
            threading.Thread(target=_retailer, args=(coalition.party(name), name, sums))
            for name in RETAILERS
        ]
        for thread in threads:
            thread.start()
        for _ in range(KILLS):
            threads[0].join(random.uniform(0.2, 1.5))
            victim = random.choice(SERVERS)
            running.signal(victim, signal.SIGKILL)
            running.wait(victim)
            running.start(victim)
        for thread in threads:
            thread.join(120)
        for name in (COMPUTE_NODE, KEY_HOLDER):
            assert running.errors(name) == []
    for name in RETAILERS:
        for label in LABELS:
            found = sums.get((name, label), [])
            assert len(found) == 2, f"{name} has no sum"
            # Each retailer counts once, and a second collect gives the same.
            for values in found:
                assert values.tolist() == [1.0] * len(RETAILERS)
    return KILLS


def _retailer(path: Path, name: str, sums: dict[tuple[str, str], list[np.ndarray]]) -> None:
    kit = Kit.load(path)
    addresses = kit.configuration
    node = make_client(ComputeNodeClient, kit.terms, addresses.compute_node.address, kit.identity)
    holder = make_client(KeyHolderClient, kit.terms, addresses.key_holder.address, kit.identity)
    scheme = scheme_by_name(kit.terms.scheme)
    contributor = Contributor(node, holder, {})

    def operand(task: SumTask, key: bytes) -> bytes:
        encryptor = scheme.encryptor(gram_plan(kit.terms).parameters, key)
        vector = np.eye(len(RETAILERS))[RETAILERS.index(name)]
        return encryptor.encrypt(encryptor.encode(task.plan, LEFT, vector)).to_bytes()

    def take_part(label: str) -> list[np.ndarray]:
        task = SumTask(kit.terms, RETAILERS[0], label, len(RETAILERS), 1.0)
        if name == RETAILERS[0]:
            node.declare(task)
        else:
            assert node.await_task(kit.terms, task.name) == task
        key = contributor.public_key(kit.terms)
        contributor.contribute(task, LEFT, lambda: operand(task, key))
        return [holder.release_sum(task).values for _ in range(2)]

    for label in LABELS:
        for _ in range(ATTEMPTS):
            try:
                sums[name, label] = take_part(label)
                break
            except InternalFailure:
                raise
            except HecfError:
                threading.Event().wait(0.2)
    node.close()
    holder.close()
