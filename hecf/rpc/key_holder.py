"""The key holder as a service, whatever the transport."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import numpy as np

from hecf.errors import PermissionDenied, UnknownTask
from hecf.he.keys import SecretKey
from hecf.he.modular import Float
from hecf.he.plan import ProductPlan
from hecf.he.sampling import RandomBytes
from hecf.he.scheme import scheme_by_name
from hecf.measure import Measurements
from hecf.privacy.release import ReleaseBudget, ReleaseGate, TopScores
from hecf.protocol.ports import ComputeNode
from hecf.protocol.released import ReleasedBlocks
from hecf.protocol.tasks import SCORES, GramTask, ScoreTask
from hecf.protocol.terms import Terms
from hecf.rpc.identity import Party


class Releaser(Protocol):
    """Decrypts a result and passes it through the gate; nothing exact comes out."""

    def gram(self, task: GramTask, product: bytes) -> Float:
        """Release one Gram block."""
        ...

    def scores(self, task: ScoreTask, product: bytes) -> TopScores:
        """Release the best items of every shopper."""
        ...


class LocalReleaser:
    """Decrypts in this process.

    Parameters
    ----------
    terms : Terms
    secret : SecretKey
    random : callable
        Source of cryptographically secure bytes.
    """

    def __init__(
        self,
        terms: Terms,
        secret: SecretKey,
        random: RandomBytes,
        measurements: Measurements | None = None,
    ) -> None:
        self.measurements = measurements or Measurements()
        self._scheme = scheme_by_name(terms.scheme)
        self._decryptor = self._scheme.decryptor(secret)
        self._gate = ReleaseGate(terms.release_policy, random)

    def gram(self, task: GramTask, product: bytes) -> Float:
        """Decrypt and release one Gram block."""
        with self.measurements.stage("decrypt"):
            decrypted = self._decryptor.decrypt(self._scheme.product(task.plan, product))
        with self.measurements.stage("release"):
            return self._gate.gram(decrypted)

    def scores(self, task: ScoreTask, product: bytes) -> TopScores:
        """Decrypt scores and release the best."""
        with self.measurements.stage("decrypt"):
            decrypted = self._decryptor.decrypt(self._scheme.product(task.plan, product))
        with self.measurements.stage("release"):
            return self._gate.top_scores(decrypted)


class KeyHolderService:
    """Fetches results of tasks from the node, releases them, and keeps what it released.

    Parameters
    ----------
    terms : Terms
    public_key : bytes
    node : ComputeNode
        The node as the key holder reaches it.
    releaser : Releaser
    budget : ReleaseBudget
    record : callable
        Called with the new budget before every release; it must make it durable.
    """

    def __init__(
        self,
        terms: Terms,
        public_key: bytes,
        node: ComputeNode,
        releaser: Releaser,
        budget: ReleaseBudget,
        record: Callable[[ReleaseBudget], None],
    ) -> None:
        self.terms = terms
        self.public_key = public_key
        self._node = node
        self._releaser = releaser
        self._budget = budget
        self._record = record
        self._lock = threading.Lock()
        self._blocks: ReleasedBlocks | None = None
        self._scores: dict[str, TopScores] = {}
        self.released: dict[str, int] = {"gram numbers": 0, "shopper lists": 0}

    def release_blocks(self, party: Party, identifier: str) -> tuple[GramTask, ReleasedBlocks]:
        """Release every Gram block, once; later calls return the same numbers.

        Raises
        ------
        UnknownTask
            If the identifier is another task's.
        LimitExceeded
            If the budget of releases is used up.
        """
        task = GramTask(self.terms)
        if identifier != task.identifier:
            raise UnknownTask("no such task")
        with self._lock:
            if self._blocks is None:
                blocks = {}
                for pair, result in zip(task.pairs, task.results, strict=True):
                    product = self._node.fetch(task, result)
                    self._spend(task.plan)
                    blocks[pair] = self._releaser.gram(task, product)
                self._blocks = ReleasedBlocks(blocks)
                self.released["gram numbers"] += sum(block.size for block in blocks.values())
            return task, self._blocks

    def release_scores(self, party: Party, task: ScoreTask) -> TopScores:
        """Release the best items of every shopper of a task, to its target only.

        Raises
        ------
        PermissionDenied
            If the caller is not the target.
        LimitExceeded
            If the budget of releases is used up.
        """
        if party.name != task.target:
            raise PermissionDenied("only its target receives the scores of a task")
        with self._lock:
            if task.identifier not in self._scores:
                product = self._node.fetch(task, SCORES)
                self._spend(task.plan)
                self._scores[task.identifier] = self._releaser.scores(task, product)
                self.released["shopper lists"] += len(task.rows)
            return self._scores[task.identifier]

    def _spend(self, plan: ProductPlan) -> None:
        groups = int(np.prod(plan.constant_shape[:2]))
        self._budget = self._budget.spend(groups)
        self._record(self._budget)
