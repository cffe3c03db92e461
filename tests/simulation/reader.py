"""A recipient that takes what is released slowly, while everything else goes on."""

from __future__ import annotations

from collections.abc import Iterator

from hecf.protocol.tasks import Task
from hecf.rpc.identity import RETAILER, Party
from hecf.rpc.key_holder import KeyHolderService
from simulation.world import TERMS, World

CALL_SECONDS = 150.0
"""How long a server lets a call last; the clock of the simulator is moved by whole minutes."""


class SlowReader:
    """Takes one piece of a release at a time, and goes on after deaths and deadlines.

    Parameters
    ----------
    world : World
    task : Task
    recipient : str
    """

    def __init__(self, world: World, task: Task, recipient: str) -> None:
        self.task = task
        self._world = world
        self._party = Party(TERMS.identifier, RETAILER, recipient)
        self._received = b""
        self._size = 0
        self._pieces: Iterator[bytes] = iter(())
        self._server: KeyHolderService | None = None
        self._deadline = 0.0

    def take(self) -> bytes | None:
        """Take the next piece; return all of them once there is no other.

        Raises
        ------
        HecfError
            If nothing is released; the reader has to begin anew.
        """
        # The server has ended the call, or died with it: what has arrived is not asked for again.
        if self._server is not self._world.holder_service or self._world.now > self._deadline:
            self._begin()
        self._received += next(self._pieces, b"")
        return self._received if len(self._received) >= self._size else None

    def _begin(self) -> None:
        server = self._world.holder_service
        payload = server.release(self._party, self.task)
        self._size = payload.declared.size
        self._pieces = payload.chunks(len(self._received))
        self._server, self._deadline = server, self._world.now + CALL_SECONDS
