"""What goes wrong: lost messages, full disks, and deaths at checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from hecf.errors import LimitExceeded, Unavailable
from hecf.rpc.release_store import SqliteReleaseStore
from hecf.rpc.spool import Spool
from hecf.rpc.store import BlockStore
from hecf.rpc.task_store import Tasks, TaskStore


class Died(BaseException):
    """The process was killed; nothing may catch this."""


class Checkpoints:
    """Places at which a process can be killed, counted down to the one where it is."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.full_disk = False

    def reach(self) -> None:
        """Die here if it is time."""
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Died

    def write(self) -> None:
        """Fail once if the disk is full."""
        if self.full_disk:
            self.full_disk = False
            raise LimitExceeded("a block cannot be stored", got="No space left on device")


class DyingBlocks(BlockStore):
    """A block store that dies before and after every write."""

    checkpoints: Checkpoints

    def put(self, data: bytes) -> str:
        self.checkpoints.reach()
        self.checkpoints.write()
        digest = super().put(data)
        self.checkpoints.reach()
        return digest

    def adopt(self, path: Path, digest: str) -> None:
        self.checkpoints.reach()
        self.checkpoints.write()
        super().adopt(path, digest)
        self.checkpoints.reach()


class DyingSpool(Spool):
    """A spool that dies before, within and after every chunk."""

    checkpoints: Checkpoints

    def write(self, path: Path, offset: int, data: memoryview) -> None:
        self.checkpoints.reach()
        self.checkpoints.write()
        super().write(path, offset, data[: len(data) // 2])
        self.checkpoints.reach()
        super().write(path, offset, data)
        self.checkpoints.reach()


class DyingTasks:
    """A store of tasks that dies before and after every commit."""

    def __init__(self, store: TaskStore, checkpoints: Checkpoints) -> None:
        self._store = store
        self._checkpoints = checkpoints

    @contextmanager
    def change(self) -> Iterator[Tasks]:
        with self._store.change() as tasks:
            yield tasks
            # Dying before the commit undoes the change, as the write-ahead log would.
            self._checkpoints.reach()
        self._checkpoints.reach()

    def close(self) -> None:
        self._store.close()


class DyingReleases(SqliteReleaseStore):
    """A store of releases that dies before and after every write."""

    checkpoints: Checkpoints

    def commit(self, *arguments: Any) -> None:
        self.checkpoints.reach()
        super().commit(*arguments)
        self.checkpoints.reach()

    def keep(self, identifier: str, result: bytes) -> None:
        self.checkpoints.reach()
        self.checkpoints.write()
        super().keep(identifier, result)
        self.checkpoints.reach()


class Network:
    """Loses requests, loses responses and delivers requests twice."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.broken = 0.0
        self.cut = 0

    def chunks(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        """Pass the chunks of an upload on until the connection is lost."""
        lasts = self._random.random() >= self.broken
        for part in parts:
            if not lasts and self._random.random() < 0.5:
                self.cut += 1
                raise Unavailable("the connection was lost")
            yield part

    def call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        """Call through the network."""
        fate = self._random.random()
        if fate < self.broken / 3:
            raise Unavailable("the request was lost")
        answer = method(*arguments)
        if fate < 2 * self.broken / 3:
            raise Unavailable("the response was lost")
        if fate < self.broken:
            return method(*arguments)
        return answer


class Link:
    """A party's way to a service that may be replaced by its successor at any time."""

    def __init__(self, network: Network, service: Callable[[], Any]) -> None:
        self._network = network
        self._service = service

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            return self._network.call(getattr(self._service(), name), *arguments)

        return call
