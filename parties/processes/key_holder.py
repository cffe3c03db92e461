"""The key holder's process: keys at rest, a worker that decrypts, a server that releases."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hecf.kits.kit import Kit
from hecf.measure import Measurements
from hecf.rpc.audit import AuditLog
from hecf.rpc.client import ComputeNodeClient
from hecf.rpc.key_holder import KeyHolderService
from hecf.rpc.release_store import SqliteReleaseStore
from hecf.rpc.server import Server
from hecf.wire.transfer import Limits
from parties.custody.key_epochs import debit_under, key_store, ledger_file
from parties.processes.auditing import audit_path
from parties.processes.decryption_worker import WorkerReleaser
from parties.processes.metrics import Operations
from parties.provisioning.renewal import IdentityFiles
from parties.system.worker import WorkerLimits

RELEASES = "releases.sqlite"


class KeyHolderProcess:
    """A key holder that serves until it is stopped.

    Parameters
    ----------
    path : Path
        The kit's ``party.toml``.
    """

    def __init__(self, kit: Kit, path: Path) -> None:
        self._kit = kit
        self._measurements = Measurements()
        store = key_store(kit)
        public_key = store.load_or_generate()
        limits = kit.configuration.limits
        self._node = ComputeNodeClient(
            kit.terms,
            kit.configuration.compute_node.address,
            kit.identity,
            patience_seconds=limits.patience_seconds,
            limits=Limits(limits.upload_bytes),
            measurements=self._measurements,
        )
        self._releaser = WorkerReleaser(path, WorkerLimits.of(kit), self._measurements)
        self._service = KeyHolderService(
            kit.terms,
            public_key,
            self._node,
            self._releaser,
            debit_under(store, ledger_file(kit)),
            patience_seconds=limits.patience_seconds,
            releases=SqliteReleaseStore(kit.state / RELEASES),
        )
        self._audit = AuditLog(audit_path(kit))
        self._server = Server(
            kit.terms,
            kit.identity,
            kit.configuration.key_holder.address,
            kit.server_limits,
            self._measurements,
            allowed=kit.allowed,
            current=IdentityFiles(kit),
            audit=self._audit,
        )
        self._server.add_key_holder(self._service)
        self._operations = Operations(
            kit, self._server, self._measurements, lambda: self._releaser.waiting
        )

    def start(self) -> None:
        """Hand the public key to the node, then accept calls."""
        self._releaser.start()
        self._node.join(self._kit.terms)
        self._node.publish_key(self._kit.terms, self._service.public_key)
        self._audit.announce("start")
        self._operations.start()
        self._server.start()

    def stop(self) -> None:
        """Refuse new calls, finish running ones, stop."""
        self._server.stop(self._service.close)
        self._releaser.close()
        self._node.close()
        self._operations.close()
        self._audit.announce("stop")
        self._audit.close()

    def summary(self) -> dict[str, Any]:
        """Say what the key holder did and saw."""
        return summary(self._service, self._measurements)


def summary(service: KeyHolderService, measurements: Measurements) -> dict[str, Any]:
    """Say what a key holder's service did and saw."""
    return {
        "role": "key-holder",
        "name": "key-holder",
        "pid": os.getpid(),
        "seconds": measurements.seconds,
        "bytes": measurements.bytes,
        "saw": [
            f"{service.released['gram numbers']:,} numbers of Gram blocks, before their release",
            f"scores of {service.released['shopper lists']:,} members by position, before the "
            "best were released",
            f"scores of {service.released['masked rows']:,} members under masks it does not have",
            f"{service.released['sum numbers']:,} numbers of sums",
            f"{service.released['similarities']:,} similarities by position, before their release",
            f"{service.released['masked sums']:,} numbers of sums under masks it does not have",
            "no ciphertext of a retailer, no pseudonym key, no name of a member or an item",
        ],
    }
