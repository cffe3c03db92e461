"""Who has contributed what to a task."""

from __future__ import annotations

from collections.abc import Iterator

from hecf.errors import Conflict, InvalidInput
from hecf.protocol.tasks import Part, Task


class TaskState:
    """Who has contributed what to a task.

    Contributions are idempotent: the same bytes again change nothing, other bytes are refused.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._digests: dict[Part, str] = {}

    def accept(self, part: Part, digest: str) -> bool:
        """Record a contribution; returns False if it was there already.

        Raises
        ------
        InvalidInput
            If the task has no such part.
        Conflict
            If other bytes were contributed before.
        """
        self.check(part)
        known = self._digests.get(part)
        if known is not None and known != digest:
            raise Conflict(
                f"{part[0]} has already contributed to this task; "
                "a new round needs a newly provisioned or restarted coalition"
            )
        self._digests[part] = digest
        return known is None

    def check(self, part: Part) -> None:
        """Refuse a part that the task does not have.

        Raises
        ------
        InvalidInput
        """
        if part not in self.task.parts:
            raise InvalidInput(f"{part[0]} contributes no such part to this task", got=part[1])

    def digest(self, part: Part) -> str:
        """SHA-256 of a contribution that was accepted."""
        return self._digests[part]

    @property
    def missing(self) -> tuple[str, ...]:
        """Retailers that still have to contribute."""
        names = dict.fromkeys(
            name for name, what in self.task.parts if (name, what) not in self._digests
        )
        return tuple(names)

    def __iter__(self) -> Iterator[Part]:
        return iter(self._digests)
