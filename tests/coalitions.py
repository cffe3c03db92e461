"""Small coalitions for tests: terms, seeded purchases, and services behind both transports."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from encryption import unit_columns
from scipy.sparse import csr_array

from hecf.errors import LimitExceeded
from hecf.he.keys import SecretKey
from hecf.he.parameters import ParameterSet
from hecf.he.scheme import scheme_by_name
from hecf.measure import Measurements
from hecf.models import LocalEmbedding
from hecf.protocol.contribution import bound, digest_of, key_fingerprint
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.protocol.tasks import ScoreTask, Task, gram_plan, key_parameters
from hecf.protocol.terms import Terms
from hecf.recipes.vertical import Recommendations, VerticalRetailer
from hecf.rpc.allowed import AllowedCertificates
from hecf.rpc.audit import Audit
from hecf.rpc.client import ComputeNodeClient, KeyHolderClient
from hecf.rpc.compute_node import ComputeNodeService
from hecf.rpc.computing import LocalComputer
from hecf.rpc.credentials import TransportIdentity
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER, RETAILER, Party
from hecf.rpc.key_holder import KeyHolderService, LocalReleaser
from hecf.rpc.memory import MemoryComputeNode, MemoryKeyHolder
from hecf.rpc.quotas import ServerLimits
from hecf.rpc.release_store import MemoryReleaseStore, ReleaseStore
from hecf.rpc.server import Server
from hecf.rpc.spool import Spool
from hecf.rpc.store import BlockStore
from hecf.rpc.task_store import MemoryTaskStore, TaskStore
from hecf.wire.transfer import Limits
from parties.provisioning.certificates import CertificateAuthority

RETAILERS = ("alder", "birch", "cedar")
IDENTIFIER = "5eed" * 8
LIMITS = ServerLimits(message_bytes=4 << 20, upload_bytes=16 << 20, concurrent_calls=16)


def make_terms(**changes: Any) -> Terms:
    """Terms of a coalition of three, without encryption unless asked for."""
    content: dict[str, Any] = {
        "coalition": "loyal",
        "identifier": IDENTIFIER,
        "scheme": "clear",
        "retailers": RETAILERS,
        "shoppers": 150,
        "directory": "d1" * 32,
        "factors": 4,
        "top_k": 5,
        "releases": 256,
        "topology": "coalition-key",
    }
    return Terms(**(content | changes))


def purchases(seed: int, shoppers: int, items: int, absent: tuple[int, ...] = ()) -> np.ndarray:
    """Counts of shape (shoppers, items) with low-rank tastes and rows of zeros for the absent.

    The tastes belong to the shopper, whatever the seed: so one retailer says something of another.
    """
    tastes = np.random.default_rng(77).standard_normal((shoppers, 6))
    random = np.random.default_rng(seed)
    appeal = tastes @ random.standard_normal((6, items)) + random.standard_normal(items)
    counts = random.poisson(np.exp(0.5 * appeal - 1.0)).astype(np.float64)
    # Nobody who is present may have an empty basket, or she would count as absent.
    counts[np.arange(shoppers), random.integers(items, size=shoppers)] += 1
    counts[list(absent)] = 0
    return counts


def embeddings(terms: Terms, items: int = 30, kind: Any = "binary") -> dict[str, LocalEmbedding]:
    """A fitted embedding for every retailer; each has another tenth of the shoppers absent."""
    fitted = {}
    for number, name in enumerate(terms.retailers):
        absent = tuple(range(number, terms.shoppers, 10))
        counts = purchases(number, terms.shoppers, items + number, absent)
        fitted[name] = LocalEmbedding.fit(csr_array(counts), terms.factors, kind=kind)
    return fitted


@cache
def key_pair(scheme: str, parameters: ParameterSet) -> tuple[SecretKey, bytes]:
    """One key pair for each scheme and parameter set, drawn once."""
    return scheme_by_name(scheme).generate_keys(parameters)


class Coalition:
    """The two services of a coalition in this process, and every party's way to them.

    ``node`` and ``key_holder`` take the name of the calling party. The key is published at once
    unless told otherwise.
    """

    def __init__(
        self,
        terms: Terms,
        folder: Path,
        *,
        patience: float = 20.0,
        tasks: TaskStore | None = None,
        releases: ReleaseStore | None = None,
        published: bool = True,
    ) -> None:
        self.terms = terms
        self.patience = patience
        self.tasks = tasks or MemoryTaskStore()
        self.blocks, self.arriving = folder / "blocks", folder / "arriving"
        self.releases = releases or MemoryReleaseStore()
        self.debits: list[tuple[str, int, float]] = []
        self.secret, self.public_key = key_pair(terms.scheme, key_parameters(terms))
        self.node_service = ComputeNodeService(
            terms,
            BlockStore(self.blocks),
            LocalComputer(terms, BlockStore(self.blocks), secrets.token_bytes),
            Spool(self.arriving),
            patience_seconds=patience,
            tasks=self.tasks,
        )
        self._serve_node()
        self._start_key_holder()
        if published:
            self.publish()

    def rotate(self) -> None:
        """Start the key holder anew with another key, which it publishes."""
        scheme, parameters = scheme_by_name(self.terms.scheme), key_parameters(self.terms)
        self.secret, self.public_key = scheme.generate_keys(parameters)
        self._start_key_holder()
        self.publish()

    @property
    def key(self) -> str:
        """Fingerprint of the public key."""
        return key_fingerprint(self.public_key)

    def debit(self, task: str, ciphertexts: int, noise_multiplier: float) -> None:
        """Record a debit while the releases suffice, as a ledger does."""
        if sum(count for _, count, _ in self.debits) + ciphertexts > self.terms.releases:
            raise LimitExceeded("the releases under this key are used up")
        self.debits.append((task, ciphertexts, noise_multiplier))

    def publish(self) -> None:
        """Let the key holder publish its key."""
        self.node(KEY_HOLDER).publish_key(self.terms, self.public_key)

    def contribute(self, name: str, task: Task, what: str, data: bytes) -> None:
        """Upload a party's contribution and commit to it."""
        self.node(name).contribute(task, what, data)
        self.key_holder(name).commit(task, what, digest_of(data), self.key)

    def node(self, name: str) -> ComputeNode:
        """The compute node as a party reaches it."""
        return MemoryComputeNode(self.node_service, self.party(name), Measurements())

    def key_holder(self, name: str) -> KeyHolder:
        """The key holder as a party reaches it."""
        return MemoryKeyHolder(
            self.holder_service, self.party(name), Measurements(), Measurements()
        )

    def party(self, name: str) -> Party:
        """The authenticated party of a name."""
        return Party(self.terms.identifier, role_of(name), name)

    def stored(self) -> int:
        """How many blocks the compute node keeps."""
        return sum(1 for _ in self.blocks.iterdir())

    def close(self) -> None:
        """End every wait."""
        self.node_service.close()

    def _start_key_holder(self) -> None:
        self.holder_service = KeyHolderService(
            self.terms,
            self.public_key,
            self.node(KEY_HOLDER),
            LocalReleaser(self.terms, self.secret, secrets.token_bytes),
            self.debit,
            patience_seconds=self.patience,
            releases=self.releases,
        )
        self._serve_key_holder()

    def _serve_node(self) -> None:
        pass

    def _serve_key_holder(self) -> None:
        pass


class GrpcCoalition(Coalition):
    """The same services behind real servers with mutual TLS, and clients for every party."""

    def __init__(
        self,
        terms: Terms,
        folder: Path,
        *,
        patience: float = 20.0,
        audit: Audit | None = None,
        published: bool = True,
    ) -> None:
        self._audit = audit
        self.authority = CertificateAuthority.create(terms.identifier)
        self.allowed = AllowedCertificates()
        self._identities: dict[str, TransportIdentity] = {}
        self._clients: dict[tuple[str, str], Any] = {}
        self._holder_servers: list[Server] = []
        super().__init__(terms, folder, patience=patience, published=published)

    def identity(self, name: str) -> TransportIdentity:
        """A party's certificate, key and authority."""
        if name not in self._identities:
            issued = identity_of(self.authority, role_of(name), name)
            self._identities[name] = issued
            self.allow(name, issued)
        return self._identities[name]

    def allow(self, name: str, identity: TransportIdentity) -> None:
        """Let a certificate call the servers."""
        more = AllowedCertificates.of([(name, identity.certificate)])
        self.allowed = AllowedCertificates((*self.allowed.entries, *more.entries))

    def node(self, name: str) -> ComputeNode:
        """A client of the compute node under a party's certificate."""
        return self._client(ComputeNodeClient, self.node_address, name)

    def key_holder(self, name: str) -> KeyHolder:
        """A client of the key holder under a party's certificate."""
        return self._client(KeyHolderClient, self.holder_address, name)

    def close(self) -> None:
        """Close clients, then servers."""
        self.node_service.close()
        for client in self._clients.values():
            client.close()
        for server in (*self._holder_servers, self._node_server):
            server.stop()

    def _client(self, kind: Callable[..., Any], address: str, name: str) -> Any:
        if (address, name) not in self._clients:
            self._clients[address, name] = make_client(
                kind, self.terms, address, self.identity(name), self.patience
            )
        return self._clients[address, name]

    def _serve_node(self) -> None:
        self._node_server = Server(
            self.terms,
            self.identity(COMPUTE_NODE),
            "127.0.0.1:0",
            LIMITS,
            Measurements(),
            allowed=lambda: self.allowed,
            audit=self._audit,
        )
        self._node_server.add_compute_node(self.node_service)
        self._node_server.start()
        self.node_address = f"127.0.0.1:{self._node_server.port}"

    def _serve_key_holder(self) -> None:
        server = Server(
            self.terms,
            self.identity(KEY_HOLDER),
            "127.0.0.1:0",
            LIMITS,
            Measurements(),
            allowed=lambda: self.allowed,
        )
        server.add_key_holder(self.holder_service)
        server.start()
        self._holder_servers.append(server)
        self.holder_address = f"127.0.0.1:{server.port}"


TRANSPORTS: dict[str, type[Coalition]] = {"memory": Coalition, "grpc": GrpcCoalition}


def role_of(name: str) -> str:
    """Role of a party by its name."""
    return name if name in (COMPUTE_NODE, KEY_HOLDER) else RETAILER


def identity_of(authority: CertificateAuthority, role: str, name: str) -> TransportIdentity:
    """Certificate, key and authority of a party that an authority knows."""
    credential = authority.issue(role, name)
    return TransportIdentity(
        credential.certificate, credential.private_key, authority.credential.certificate
    )


class AnyCertificate(AllowedCertificates):
    """Allows whatever the authority has signed, for tests that look at other things."""

    def check(self, fingerprint: str, name: str, now: datetime) -> None:
        """Refuse nobody."""


def make_client(
    kind: Callable[..., Any],
    terms: Terms,
    address: str,
    identity: TransportIdentity,
    patience: float = 5.0,
) -> Any:
    """A client with the limits of the tests."""
    return kind(
        terms,
        address,
        identity,
        patience_seconds=patience,
        limits=Limits(LIMITS.upload_bytes),
        measurements=Measurements(),
    )


def operand(coalition: Coalition, task: Task, side: str, matrix: np.ndarray) -> bytes:
    """Bytes of a contribution under the coalition's key."""
    scheme = scheme_by_name(coalition.terms.scheme)
    encryptor = scheme.encryptor(gram_plan(coalition.terms).parameters, coalition.public_key)
    encrypted = encryptor.encrypt(encryptor.encode(task.plan, side, matrix))
    return bound(task, side, encrypted.to_bytes(), coalition.key)


def columns(terms: Terms, seed: int) -> np.ndarray:
    """A matrix such as an embedding of the terms' shoppers: columns of norm 1."""
    return unit_columns(np.random.default_rng(seed), terms.shoppers, terms.factors)


def unchecked_task(terms: Terms, target: str, rows: tuple[int, ...], items: int) -> ScoreTask:
    """A score task as a malicious party would send it, past the checks of its constructor."""
    task = object.__new__(ScoreTask)
    content = {"terms": terms, "target": target, "rows": rows, "items": items}
    for name, value in {**content, "identifier": "0" * 64}.items():
        object.__setattr__(task, name, value)
    return task


def run_retailers(
    coalition: Coalition, fitted: dict[str, LocalEmbedding], rows: dict[str, tuple[int, ...]]
) -> dict[str, Recommendations]:
    """Run the recipe of every retailer at once."""

    def take_part(name: str) -> Recommendations:
        retailer = VerticalRetailer(
            coalition.terms,
            name,
            coalition.node(name),
            coalition.key_holder(name),
            Measurements(),
        )
        return retailer.run(fitted[name], rows[name])

    names = coalition.terms.retailers
    with ThreadPoolExecutor(len(names)) as pool:
        running = {name: pool.submit(take_part, name) for name in names}
        return {name: future.result() for name, future in running.items()}
