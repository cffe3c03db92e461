"""The compute node's process. It imports no HE library and opens no file but its own."""

from __future__ import annotations

import os
from typing import Any

from hecf.kits.kit import Kit
from hecf.measure import Measurements
from hecf.rpc.audit import AuditLog
from hecf.rpc.compute_node import ComputeNodeService
from hecf.rpc.computing import AuditedComputer, Computer
from hecf.rpc.server import Server
from hecf.rpc.spool import Spool
from hecf.rpc.sqlite_tasks import SqliteTaskStore
from hecf.rpc.store import BlockStore
from parties.processes.auditing import audit_path
from parties.processes.computation_worker import BLOCK_SHARE, WorkerComputer
from parties.processes.metrics import Operations
from parties.provisioning.renewal import IdentityFiles
from parties.system.worker import WorkerLimits

BLOCKS = "blocks"
ARRIVING = "arriving"
TASKS = "tasks.sqlite"


def make_store(kit: Kit) -> BlockStore:
    """Build the store of a kit."""
    return BlockStore(kit.state / BLOCKS)


def make_service(kit: Kit, store: BlockStore, computer: Computer) -> ComputeNodeService:
    """Build the service of a kit, which goes on where the last one with this state was."""
    return ComputeNodeService(
        kit.terms,
        store,
        computer,
        Spool(kit.state / ARRIVING, kit.spool_limits),
        tasks=SqliteTaskStore(kit.state / TASKS, kit.terms),
        task_seconds=kit.configuration.limits.task_seconds,
        patience_seconds=kit.configuration.limits.patience_seconds,
        memory=WorkerLimits.of(kit).memory_bytes // BLOCK_SHARE,
        measurements=Measurements(),
    )


class ComputeNodeProcess:
    """A compute node that serves until it is stopped."""

    def __init__(self, kit: Kit) -> None:
        store = make_store(kit)
        self._audit = AuditLog(audit_path(kit))
        self._computer = WorkerComputer(kit.terms, kit.state / BLOCKS, WorkerLimits.of(kit))
        self._service = make_service(kit, store, AuditedComputer(self._computer, self._audit))
        self._server = Server(
            kit.terms,
            kit.identity,
            kit.configuration.compute_node.address,
            kit.server_limits,
            self._service.measurements,
            allowed=kit.allowed,
            current=IdentityFiles(kit),
            audit=self._audit,
        )
        self._server.add_compute_node(self._service)
        self._operations = Operations(
            kit, self._server, self._service.measurements, lambda: self._computer.waiting
        )

    def start(self) -> None:
        """Accept calls."""
        self._computer.start()
        self._audit.announce("start")
        self._operations.start()
        self._server.start()

    def stop(self) -> None:
        """Refuse new calls, finish running ones, stop."""
        self._server.stop(self._service.close)
        self._computer.close()
        self._operations.close()
        self._audit.announce("stop")
        self._audit.close()

    def summary(self) -> dict[str, Any]:
        """Say what the node did and saw."""
        return summary(self._service)


def summary(service: ComputeNodeService) -> dict[str, Any]:
    """Say what a node's service did and saw."""
    sizes = [
        f"{count:,} bytes of ciphertext and item model from {name}"
        for name, count in sorted(service.received.items())
    ]
    return {
        "role": "compute-node",
        "name": "compute-node",
        "pid": os.getpid(),
        "seconds": service.measurements.seconds,
        "bytes": service.measurements.bytes,
        "saw": [*sizes, "no secret key, no pseudonym key, no name of a member or an item"],
    }
