"""The in-memory transport: the same services, called directly under a fixed identity.

Payloads cross as the bytes that gRPC would carry, the method table is applied, and the bytes are
counted, so a coalition behaves as it does over the network.
"""

from __future__ import annotations

from collections.abc import Iterator

from hecf.errors import Mismatch
from hecf.he.blinding import MaskSeed
from hecf.measure import Measurements
from hecf.protocol.computation import Computed
from hecf.protocol.contribution import Declared
from hecf.protocol.tasks import DeclaredTask, ScoreTask, SumTask, Task
from hecf.protocol.terms import Terms
from hecf.rpc.authority import authorise
from hecf.rpc.compute_node import ComputeNodeService
from hecf.rpc.identity import Party
from hecf.rpc.key_holder import KeyHolderService
from hecf.rpc.payload import Payload
from hecf.rpc.releases import Releases
from hecf.wire import messages, transfer


class _Link:
    """One party's way to one service."""

    service_name: str

    def __init__(
        self, party: Party, terms: Terms, mine: Measurements, theirs: Measurements
    ) -> None:
        self._party = party
        self._terms = terms
        self._mine = mine
        self._theirs = theirs

    def _enter(self, method: str) -> None:
        if self._party.identifier != self._terms.identifier:
            raise Mismatch(
                f"the {self.service_name} shows a certificate that this coalition has not issued"
            )
        authorise(self._party, f"/hecf.v1.{self.service_name}/{method}", self._terms.retailers)

    def _sent(self, count: int) -> None:
        self._mine.add_bytes(sent=count)
        self._theirs.add_bytes(received=count)

    def _download(self, payload: Payload) -> bytes:
        return self._received(b"".join(payload.chunks()))

    def _received(self, data: bytes) -> bytes:
        self._mine.add_bytes(received=len(data))
        self._theirs.add_bytes(sent=len(data))
        return data


class MemoryComputeNode(_Link):
    """The compute node in this process; see :class:`hecf.protocol.ports.ComputeNode`."""

    service_name = "ComputeNodeService"

    def __init__(
        self, service: ComputeNodeService, party: Party, measurements: Measurements
    ) -> None:
        super().__init__(party, service.terms, measurements, service.measurements)
        self._service = service

    def join(self, terms: Terms) -> None:
        """Compare terms."""
        self._enter("Join")
        messages.check_agreement(messages.agreement(terms), self._terms, self._party.name)
        self._service.join(self._party)

    def publish_key(self, terms: Terms, public_key: bytes) -> None:
        """Hand over the public key."""
        self._enter("PublishKey")
        self._sent(len(public_key))
        self._service.publish_key(self._party, public_key)

    def declare(self, task: DeclaredTask) -> None:
        """Declare a task."""
        self._enter("Declare")
        message = messages.task_message(task)
        self._sent(message.ByteSize())
        self._service.declare(self._party, messages.task(message, self._terms))

    def await_task(self, terms: Terms, name: str) -> Task:
        """Wait until a task of a name has been declared."""
        self._enter("AwaitTask")
        message = messages.task_message(self._service.await_task(self._party, name))
        self._received(message.SerializeToString())
        return messages.task(message, terms)

    def contribute(self, task: Task, what: str, data: bytes) -> None:
        """Hand over the caller's part of a task."""
        self._enter("Contribute")
        declared = Declared.of(data)
        part = self._party, task.identifier, what, declared
        offset = self._service.uploaded(*part)
        self._service.contribute(*part, offset, self._chunks(data, offset))

    def _chunks(self, data: bytes, offset: int) -> Iterator[bytes]:
        for chunk in transfer.chunks(data, offset):
            self._sent(len(chunk))
            yield chunk

    def contributed(self, task: Task, what: str) -> str | None:
        """Return SHA-256 of what the caller has contributed."""
        self._enter("GetUpload")
        return self._service.contributed(self._party, task.identifier, what)

    def close_task(self, task: SumTask) -> None:
        """Take no more contributions to a sum."""
        self._enter("CloseTask")
        self._service.close_task(self._party, task.identifier)

    def abort_task(self, task: DeclaredTask) -> None:
        """End a task without a result."""
        self._enter("AbortTask")
        self._service.abort_task(self._party, task.identifier)

    def fetch(self, task: Task, result: str) -> Computed:
        """Wait for a result."""
        self._enter("FetchResult")
        stored = self._service.fetch(self._party, task.identifier, result)
        used = messages.contributions(messages.contribution_messages(stored.used))
        return Computed(self._download(stored.payload), used)

    def fetch_mask(self, task: ScoreTask | SumTask) -> MaskSeed:
        """Wait for the mask of a blinded task's result."""
        self._enter("FetchMask")
        seed = self._service.fetch_mask(self._party, task.identifier)
        return MaskSeed(self._received(seed.data))


class MemoryKeyHolder(_Link, Releases):
    """The key holder in this process; see :class:`hecf.protocol.ports.KeyHolder`."""

    service_name = "KeyHolderService"

    def __init__(
        self,
        service: KeyHolderService,
        party: Party,
        mine: Measurements,
        theirs: Measurements,
    ) -> None:
        super().__init__(party, service.terms, mine, theirs)
        self._service = service

    def join(self, terms: Terms) -> None:
        """Compare terms."""
        self._enter("Join")
        messages.check_agreement(messages.agreement(terms), self._terms, self._party.name)

    def public_key(self, terms: Terms) -> bytes:
        """Return the public key."""
        self._enter("GetPublicKey")
        return self._received(self._service.public_key)

    def commit(self, task: Task, what: str, digest: str, key: str) -> None:
        """Say which contribution the caller made, and under which key."""
        self._enter("Commit")
        self._service.commit(self._party, task.identifier, what, digest, key)

    def _release(self, task: Task) -> bytes:
        self._enter("Release")
        # Read as it would arrive over the network: the service's own terms, every check.
        identifier = messages.identifier_bytes(task.identifier)
        received = messages.agreed_task(identifier, messages.task_message(task), self._terms)
        return self._download(self._service.release(self._party, received))
