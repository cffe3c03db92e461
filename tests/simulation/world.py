"""A coalition whose node and key holder live on a disk and in one process at a time."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from coalitions import key_pair, make_terms, role_of

from hecf.he.product.item_model import ItemModel
from hecf.he.scheme import scheme_by_name
from hecf.measure import Measurements
from hecf.protocol.computation import Computed
from hecf.protocol.contribution import bound, key_fingerprint
from hecf.protocol.tasks import MODEL, GramTask, ScoreTask, SumTask, Task, gram_plan
from hecf.recipes.contribution import Contributor
from hecf.rpc.compute_node import ComputeNodeService
from hecf.rpc.computing import LocalComputer
from hecf.rpc.identity import KEY_HOLDER, Party
from hecf.rpc.key_holder import KeyHolderService, LocalReleaser
from hecf.rpc.memory import MemoryComputeNode, MemoryKeyHolder
from hecf.rpc.sqlite_tasks import SqliteTaskStore
from hecf.wire import transfer
from simulation.faults import (
    Checkpoints,
    Died,
    DyingBlocks,
    DyingReleases,
    DyingSpool,
    DyingTasks,
    Link,
    Network,
)

TERMS = make_terms(
    retailers=("alder", "birch", "cedar", "dogwood"),
    shoppers=8,
    factors=2,
    top_k=3,
    minimum_shoppers=2,
    minimum_contributors=3,
)
TASK_SECONDS = 1000.0
ITEMS = 3
CHUNK_BYTES = 48
"""A contribution of the simulator is some hundred bytes."""
Lie = Callable[[Computed], Computed]


class World:
    """Services, retailers and their disks.

    ``lie`` changes what the node answers to the key holder; ``decrypted`` counts decryptions of
    each task, ``debits`` what the ledger has.
    """

    def __init__(self, folder: Path, random: Random) -> None:
        self.folder = folder
        self.now = 1_000_000.0
        self.network = Network(random)
        self.at_node, self.at_holder = Checkpoints(), Checkpoints()
        self.journals: dict[str, dict[str, str]] = {name: {} for name in TERMS.retailers}
        self.captured: list[tuple[Task, str, bytes]] = []
        self.debits: list[str] = []
        self.decrypted: list[str] = []
        self.lie: Lie | None = None
        self.deaths = 0
        self._secret, self.public = key_pair(TERMS.scheme, gram_plan(TERMS).parameters)
        self._encryptor = scheme_by_name(TERMS.scheme).encryptor(
            gram_plan(TERMS).parameters, self.public
        )
        self.key = key_fingerprint(self.public)
        self.start_node()
        self.start_holder()
        self.attempt(lambda: self.node(KEY_HOLDER).publish_key(TERMS, self.public))

    def start_node(self) -> None:
        """Start the node from what lies on its disk."""
        blocks = DyingBlocks(self.folder / "blocks")
        blocks.checkpoints = self.at_node
        spool = DyingSpool(self.folder / "arriving", clock=lambda: self.now)
        spool.checkpoints = self.at_node
        store = SqliteTaskStore(self.folder / "tasks.sqlite", TERMS)
        self.at_node.left = None
        self.service = ComputeNodeService(
            TERMS,
            blocks,
            LocalComputer(TERMS, blocks, secrets.token_bytes),
            spool,
            patience_seconds=0,
            tasks=DyingTasks(store, self.at_node),
            task_seconds=TASK_SECONDS,
            clock=lambda: self.now,
        )
        # One-hot contributions are all different, so copies show in clear, too.
        self.service._copies_show = True
        self.tasks = store

    def start_holder(self) -> None:
        """Start the key holder from what lies on its disk."""
        self.at_holder.left = None
        self.releases = DyingReleases(self.folder / "releases.sqlite", chunk=CHUNK_BYTES)
        self.releases.checkpoints = self.at_holder
        releaser = LocalReleaser(TERMS, self._secret, secrets.token_bytes)
        self._holder = KeyHolderService(
            TERMS,
            self.public,
            Link(self.network, lambda: _Lying(self)),  # type: ignore[arg-type]
            _Counting(releaser, self),  # type: ignore[arg-type]
            self._debit,
            patience_seconds=0,
            releases=self.releases,
        )

    def node(self, name: str) -> MemoryComputeNode:
        """The node as a party reaches it without a network."""
        party = Party(TERMS.identifier, role_of(name), name)
        return MemoryComputeNode(self.service, party, Measurements())

    def holder(self, name: str) -> MemoryKeyHolder:
        """The key holder as a party reaches it without a network."""
        party = Party(TERMS.identifier, role_of(name), name)
        return MemoryKeyHolder(self._holder, party, Measurements(), Measurements())

    def node_link(self, name: str) -> Any:
        """The node as a party reaches it over the network."""
        party = Party(TERMS.identifier, role_of(name), name)
        return Link(self.network, lambda: _Breaking(self.service, party, self.network))

    def holder_link(self, name: str) -> Any:
        """The key holder as a party reaches it over the network."""
        return Link(self.network, lambda: self.holder(name))

    @property
    def holder_service(self) -> KeyHolderService:
        """The key holder that runs now; one before it is dead."""
        return self._holder

    def attempt(self, action: Callable[[], Any]) -> Any:
        """Act; whoever dies is started again, and the caller learns nothing."""
        try:
            return action()
        except Died:
            self.deaths += 1
            # Nobody knows which of the two it was; a start without need must change nothing.
            self.close()
            self.start_node()
            self.start_holder()
            return None

    def contribute(self, name: str, task: Task, what: str) -> None:
        """Contribute as the recipe does, over the network."""
        contributor = Contributor(self.node_link(name), self.holder_link(name), self.journals[name])
        operand = self.operand(name, task, what)
        self.captured.append((task, what, bound(task, what, operand, self.key)))
        contributor.public_key(TERMS)
        contributor.contribute(task, what, lambda: operand)

    def operand(self, name: str, task: Task, what: str, scale: float = 1.0) -> bytes:
        """The honest operand of a party, or another one of its form."""
        if isinstance(task, ScoreTask) and what == MODEL:
            model = ItemModel(scale * np.eye(TERMS.factors, ITEMS), np.zeros(ITEMS))
            return model.to_bytes(task.plan)
        matrix = scale * value_of(name, task)
        return self._encryptor.encrypt(self._encryptor.encode(task.plan, what, matrix)).to_bytes()

    def close(self) -> None:
        """Let go of the disks."""
        self.tasks.close()
        self.releases.close()

    def _debit(self, task: str, ciphertexts: int, noise_multiplier: float) -> None:
        self.at_holder.reach()
        self.debits.append(task)
        self.at_holder.reach()


class _Breaking(MemoryComputeNode):
    """The node over connections that are lost after some chunk of an upload."""

    def __init__(self, service: ComputeNodeService, party: Party, network: Network) -> None:
        super().__init__(service, party, Measurements())
        self._network = network

    def _chunks(self, data: bytes, offset: int) -> Iterator[bytes]:
        return self._network.chunks(transfer.chunks(data, offset, CHUNK_BYTES))


class _Lying:
    """The node as the key holder reaches it, telling the lie of the moment."""

    def __init__(self, world: World) -> None:
        self._world = world

    def fetch(self, task: Task, result: str) -> Computed:
        honest = self._world.node(KEY_HOLDER).fetch(task, result)
        return honest if self._world.lie is None else self._world.lie(honest)


class _Counting:
    """A releaser that counts what it decrypts."""

    def __init__(self, releaser: LocalReleaser, world: World) -> None:
        self._releaser = releaser
        self._world = world

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def release(task: Task, *arguments: Any) -> Any:
            self._world.at_holder.reach()
            self._world.decrypted.append(task.identifier)
            released = getattr(self._releaser, name)(task, *arguments)
            self._world.at_holder.reach()
            return released

        return release


def value_of(name: str, task: Task) -> np.ndarray:
    """The one-hot value that a retailer contributes: its own place, and no other's."""
    place = TERMS.retailers.index(name)
    if isinstance(task, SumTask):
        # Both sums have one plan; that the values differ lets copies show.
        return np.eye(len(TERMS.retailers))[place] * (2.0 if task.declarer == "alder" else 1.0)
    if isinstance(task, GramTask):
        # Entry (0, 0) of a block counts rows that both retailers have: bits of two numbers.
        matrix = np.zeros((TERMS.shoppers, TERMS.factors))
        matrix[place, 1] = matrix[7, 0] = 0.5 ** (place + 1)
        return matrix
    matrix = np.zeros((TERMS.factors, len(task.rows)))
    matrix[place % TERMS.factors] = 0.5 ** (place + 2)
    return matrix


def lies(computed: Computed, random: Random) -> Computed:
    """What a malicious node says of an honest result: one input dropped, doubled or swapped."""
    used = dict(computed.used)
    part, other = random.sample(sorted(used), 2) if len(used) > 1 else (*used, *used)
    kind = random.randrange(3)
    if kind == 0:
        del used[part]
    elif kind == 1:
        used[part] = "0a" * 32
    else:
        used[part] = used[other] if other != part else "0b" * 32
    return replace(computed, used=used)
