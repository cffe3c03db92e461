"""The key holder as a service, whatever the transport."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np

from hecf.errors import InternalFailure, Mismatch, PermissionDenied
from hecf.he.blinding import BlindedDecryption, BlindedProduct, BlindedResult
from hecf.he.keys import SecretBytes
from hecf.he.modular import Float
from hecf.he.paillier.blinding import PaillierBlinded
from hecf.he.paillier.plan import PaillierSumPlan
from hecf.he.plan import LEFT
from hecf.he.product.plan import ProductPlan
from hecf.he.sampling import RandomBytes
from hecf.he.scheme import scheme_by_name, streaming_scheme
from hecf.he.similarity.scores import TopSimilar
from hecf.measure import Measurements
from hecf.privacy.overlap import check_sums
from hecf.privacy.release import ReleaseGate
from hecf.protocol.computation import Computed, parts_of
from hecf.protocol.contribution import key_fingerprint
from hecf.protocol.ports import ComputeNode
from hecf.protocol.released import (
    ReleasedBlindedSum,
    ReleasedBlocks,
    ReleasedScores,
    ReleasedSum,
    scores_to_bytes,
    similar_to_bytes,
)
from hecf.protocol.tasks import (
    SCORES,
    TOTAL,
    GramTask,
    QueryTask,
    ReleasedTask,
    ScoreTask,
    SimilarityTask,
    SumTask,
    Task,
)
from hecf.protocol.terms import Terms
from hecf.rpc.identity import Party
from hecf.rpc.payload import Payload
from hecf.rpc.release_store import MemoryReleaseStore, ReleaseStore
from hecf.rpc.waiting import Active, Board, always

MEMORY = 1 << 30
"""Bytes that a release may use for the tiles of a similarity, unless told otherwise."""


class Releaser(Protocol):
    """Decrypts a result and passes it through the gate; nothing exact comes out.

    Every method takes `active`, which says whether somebody waits for the release. Once nobody
    does, it may stop with Unavailable (control C26).
    """

    def gram(self, task: GramTask, product: bytes, active: Active = always) -> Float:
        """Release one Gram block."""
        ...

    def scores(self, task: ScoreTask, product: bytes, active: Active = always) -> ReleasedScores:
        """Release the best items of every shopper, or all scores under a mask."""
        ...

    def sum(
        self,
        task: SumTask,
        total: bytes,
        contributors: tuple[str, ...],
        active: Active = always,
    ) -> ReleasedSum | ReleasedBlindedSum:
        """Release a sum of the vectors of some contributors, under a mask if so agreed."""
        ...

    def similar(
        self, task: SimilarityTask, tiles: Iterable[bytes], active: Active = always
    ) -> TopSimilar:
        """Release the most similar rows, from the task's results in their order."""
        ...


class LocalReleaser:
    """Decrypts in this process; what it has begun goes on to its end.

    Parameters
    ----------
    terms : Terms
    secret : SecretBytes
        Of the terms' scheme.
    random : callable
        Source of cryptographically secure bytes.
    memory : int
        Bytes to use for the tiles of a similarity.
    """

    def __init__(
        self,
        terms: Terms,
        secret: SecretBytes,
        random: RandomBytes,
        measurements: Measurements | None = None,
        *,
        memory: int = MEMORY,
    ) -> None:
        self._secret = secret
        self._memory = memory
        self.measurements = measurements or Measurements()
        self._scheme = scheme_by_name(terms.scheme)
        self._decryptor = self._scheme.decryptor(secret)
        self._gate = ReleaseGate(terms.release_policy, random)

    def gram(self, task: GramTask, product: bytes, active: Active = always) -> Float:
        """Decrypt and release one Gram block."""
        with self.measurements.stage("decrypt"):
            decrypted = self._decryptor.decrypt(self._scheme.product(task.plan, product))
        with self.measurements.stage("release"):
            return self._gate.gram(decrypted)

    def scores(self, task: ScoreTask, product: bytes, active: Active = always) -> ReleasedScores:
        """Decrypt scores and release the best, or all of them as they are masked."""
        if task.blinded:
            return self._blinded(task, product)
        with self.measurements.stage("decrypt"):
            decrypted = self._decryptor.decrypt(self._scheme.product(task.plan, product))
        with self.measurements.stage("release"):
            return self._gate.top_scores(decrypted)

    def _blinded(self, task: ScoreTask, product: bytes) -> BlindedResult:
        with self.measurements.stage("decrypt"):
            masked = BlindedProduct.from_bytes(task.plan, product)
            decrypted: BlindedDecryption = self._decryptor.decrypt_blinded(masked)
        with self.measurements.stage("release"):
            return self._gate.blinded(decrypted)

    def sum(
        self,
        task: SumTask,
        total: bytes,
        contributors: tuple[str, ...],
        active: Active = always,
    ) -> ReleasedSum | ReleasedBlindedSum:
        """Decrypt a sum and release it, as it is masked if it is."""
        if isinstance(task.plan, PaillierSumPlan) and task.blinded:
            return self._blinded_sum(task.plan, total, contributors)
        with self.measurements.stage("decrypt"):
            operand = self._scheme.operand(task.plan, LEFT, total)
            decrypted = self._decryptor.decrypt_sum(task.plan, operand)
        with self.measurements.stage("release"):
            values = self._gate.total(decrypted, len(contributors))
        return ReleasedSum(values, contributors)

    def similar(
        self, task: SimilarityTask, tiles: Iterable[bytes], active: Active = always
    ) -> TopSimilar:
        """Decrypt results as they arrive, and release the best rows of every row."""
        plan = task.plan
        if isinstance(plan, ProductPlan):
            return self._packed(task, b"".join(tiles))
        scheme = streaming_scheme(task.terms.scheme)
        # Decryption and release take turns, panel by panel.
        with self.measurements.stage("decrypt"):
            parsed = (scheme.tile(plan, tile) for tile in tiles)
            decryptor = scheme.decryptor(self._secret)
            panels = decryptor.panels(plan, parsed, memory=self._memory)
            return self._gate.most_similar(plan, panels, task.count)

    def _packed(self, task: SimilarityTask, product: bytes) -> TopSimilar:
        with self.measurements.stage("decrypt"):
            decrypted = self._decryptor.decrypt(self._scheme.product(task.plan, product))
        with self.measurements.stage("release"):
            top = self._gate.top_scores(decrypted, task.count)
        return TopSimilar(top.items.astype(np.int64), top.scores)

    def _blinded_sum(
        self, plan: PaillierSumPlan, total: bytes, contributors: tuple[str, ...]
    ) -> ReleasedBlindedSum:
        with self.measurements.stage("decrypt"):
            masked = self._decryptor.decrypt_blinded(PaillierBlinded.from_bytes(plan, total))
        with self.measurements.stage("release"):
            released = self._gate.blinded_total(masked, len(contributors))
        return ReleasedBlindedSum(released, contributors)


_RELEASED = (
    "gram numbers",
    "shopper lists",
    "masked rows",
    "sum numbers",
    "masked sums",
    "similarities",
)

Debit = Callable[[str, int, float], None]
"""Spends a task's releases durably: its identifier, ciphertexts, and noise multiplier or 0."""


class KeyHolderService:
    """Fetches results of tasks from the node, releases them, and keeps what it released.

    Parameters
    ----------
    terms : Terms
    public_key : bytes
    node : ComputeNode
        The node as the key holder reaches it.
    releaser : Releaser
    debit : callable
        Called before every release; it must make the debit durable, or raise LimitExceeded.
    patience_seconds : float
        How long a release waits for the commitments of retailers at most.
    releases : ReleaseStore, optional
        Where commitments and released results lie; without it, in memory.
    """

    def __init__(
        self,
        terms: Terms,
        public_key: bytes,
        node: ComputeNode,
        releaser: Releaser,
        debit: Debit,
        *,
        patience_seconds: float,
        releases: ReleaseStore | None = None,
    ) -> None:
        self.terms = terms
        self.public_key = public_key
        self._key = key_fingerprint(public_key)
        self._node = node
        self._releaser = releaser
        self._debit = debit
        self._board = Board(patience_seconds)
        self._releases = releases or MemoryReleaseStore()
        self._lock = threading.Lock()
        self._entering = threading.Lock()
        self._releasing: dict[str, threading.Lock] = {}
        self._paid: set[str] = set()
        self.released: dict[str, int] = dict.fromkeys(_RELEASED, 0)

    def commit(self, party: Party, identifier: str, side: str, digest: str, key: str) -> None:
        """Take a retailer's word for what it has contributed to a task, and under which key.

        Raises
        ------
        Mismatch
            If the contribution is under another public key than the present one.
        Conflict
            If it has committed to another contribution under this key before.
        """
        if key != self._key:
            raise Mismatch(
                "a contribution is under another public key", got=key[:16], expected=self._key[:16]
            )
        with self._board.change():
            self._releases.commit(self._run(identifier), (party.name, side), digest)

    def release(self, party: Party, task: Task, active: Active = always) -> Payload:
        """Release the results of a task to a recipient, once; later calls return the same bytes.

        Raises
        ------
        PermissionDenied
            If the caller is no recipient of the task, or decrypts its results itself.
        UnknownTask
            If the node knows no such task.
        LimitExceeded
            If the budget of releases is used up.
        PartyMissing
            If a retailer whose contribution was used does not commit to it in time.
        Mismatch
            If the node has dropped or swapped a contribution; nothing is decrypted then.
        ReleaseRefused
            If a sum overlaps with released ones (:mod:`hecf.privacy.overlap`).
        Unavailable
            If the caller goes away; nothing is released then.
        """
        if isinstance(task, QueryTask):
            raise PermissionDenied("who asks under its own key decrypts the answer itself")
        if party.name not in task.recipients:
            raise PermissionDenied("only its recipients receive the results of a task")
        with self._lock:
            releasing = self._releasing.setdefault(task.identifier, threading.Lock())
        with releasing:
            kept = self._releases.released(task.identifier)
            if kept is None:
                # Kept before anybody has it, and never computed again: fresh noise on the same
                # numbers would average out.
                self._releases.keep(task.identifier, self._release(task, active))
                kept = self._releases.released(task.identifier)
        if kept is None:
            raise InternalFailure("what was released is gone")
        return kept

    def close(self) -> None:
        """End every wait."""
        self._board.close()

    def _release(self, task: ReleasedTask, active: Active) -> bytes:
        if isinstance(task, GramTask):
            return self._blocks(task, active).to_bytes(task)
        if isinstance(task, ScoreTask):
            computed = self._fetch(task, SCORES, active)
            self._spend(task, 1)
            scores = self._releaser.scores(task, computed.data, active)
            self.released["masked rows" if task.blinded else "shopper lists"] += len(task.rows)
            return scores_to_bytes(task, scores)
        if isinstance(task, SimilarityTask):
            return similar_to_bytes(task, self._similar(task, active))
        computed = self._fetch(task, TOTAL, active)
        present = tuple(name for name, _ in task.parts if (name, LEFT) in computed.used)
        self._enter(task, present)
        total = self._releaser.sum(task, computed.data, present, active)
        self.released["masked sums" if task.blinded else "sum numbers"] += task.values
        return total.to_bytes(task)

    def _enter(self, task: SumTask, present: tuple[str, ...]) -> None:
        """Enter a sum before it is decrypted, unless it overlaps with others (control C20)."""
        weight_of = dict(zip(task.contributors, task.weights, strict=True))
        weights = {name: weight_of[name] for name in present}
        with self._entering:
            before = self._releases.sums()
            before.pop(task.identifier, None)
            if not self.terms.private:
                check_sums(before.values(), weights, self.terms.minimum_contributors)
            # An exact sum carries no noise of the key; it is entered, and spends nothing of tau.
            # The contributors' own noise is what the multiplier says of it.
            self._pay(task, 0, self.terms.noise_multiplier)
            self._releases.enter(task.identifier, weights)

    def _blocks(self, task: GramTask, active: Active) -> ReleasedBlocks:
        computed = [self._fetch(task, result, active) for result in task.results]
        # The blocks are one release, so that one debit covers all of them or none.
        self._spend(task, len(computed))
        released = [self._releaser.gram(task, product.data, active) for product in computed]
        blocks = dict(zip(task.pairs, released, strict=True))
        self.released["gram numbers"] += sum(block.size for block in blocks.values())
        return ReleasedBlocks(blocks)

    def _similar(self, task: SimilarityTask, active: Active) -> TopSimilar:
        first, *rest = task.results
        begun = self._fetch(task, first, active)
        self._pay(task, task.ciphertexts, 0.0)

        def tiles() -> Iterator[bytes]:
            yield begun.data
            for result in rest:
                yield self._fetch(task, result, active).data

        released = self._releaser.similar(task, tiles(), active)
        self.released["similarities"] += task.left * task.right
        return released

    def _fetch(self, task: ReleasedTask, result: str, active: Active) -> Computed:
        """Fetch a result and compare what it was computed from with the commitments (C19)."""
        computed = self._node.fetch(task, result)
        parts = parts_of(task, result)
        strange = set(computed.used) - set(parts)
        if strange or not (isinstance(task, SumTask) or set(computed.used) == set(parts)):
            raise Mismatch(
                "the compute node used other contributions than those of the task",
                got=f"{len(computed.used)} contributions",
                expected=len(parts),
            )

        def silent() -> list[str]:
            committed = self._releases.commitments(self._run(task.identifier))
            return [name for name, what in computed.used if (name, what) not in committed]

        self._board.wait(lambda: not silent(), lambda: ", ".join(silent()), active)
        committed = self._releases.commitments(self._run(task.identifier))
        expected = {part: committed[part] for part in parts if part in committed}
        for part in parts:
            if expected.get(part) != computed.used.get(part):
                raise Mismatch(
                    "the compute node dropped or swapped a contribution", got=f"that of {part[0]}"
                )
        return computed

    def _run(self, identifier: str) -> str:
        """Name what commitments are to: a task is collected again under every key."""
        return f"{identifier} {self._key}"

    def _spend(self, task: GramTask | ScoreTask, results: int) -> None:
        groups = int(np.prod(task.plan.constant_shape[:2]))
        # Scores are about the target's own members; only the blocks carry noise for others' sake.
        noise = self.terms.noise_multiplier if isinstance(task, GramTask) else 0.0
        self._pay(task, results * groups, noise)

    def _pay(self, task: ReleasedTask, ciphertexts: int, noise: float) -> None:
        """Debit a task, once for as long as nothing of it has left this process.

        Otherwise a recipient that goes away again and again would spend the budget of all.
        """
        if task.identifier not in self._paid:
            self._debit(task.identifier, ciphertexts, noise)
            self._paid.add(task.identifier)
