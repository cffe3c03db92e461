"""A release whose recipient goes away stops, leaves nothing, and costs the others nothing (C26)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coalitions import GrpcCoalition, make_terms, operand
from processes import until

from hecf.errors import HecfError, Unavailable
from hecf.he.plan import LEFT
from hecf.protocol.tasks import SumTask


@pytest.fixture
def coalition(tmp_path: Path) -> Iterator[GrpcCoalition]:
    made = GrpcCoalition(make_terms(), tmp_path)
    yield made
    made.close()


class Slow:
    """A releaser that takes for ever, as long as somebody waits."""

    def __init__(self, releaser: Any) -> None:
        self._releaser = releaser
        self.patient = True
        self.begun, self.ended = threading.Event(), threading.Event()

    def sum(self, *arguments: Any) -> Any:
        *job, active = arguments
        while self.patient and active():
            self.begun.wait(0.01)
            self.begun.set()
        if not active():
            self.ended.set()
            raise Unavailable("the caller has gone")
        return self._releaser.sum(*job)


def quietly(call: Any, task: SumTask) -> None:
    try:
        call(task)
    except HecfError:
        return


def test_a_cancelled_release_stops_and_the_next_one_is_whole(coalition: GrpcCoalition) -> None:
    task = SumTask(coalition.terms, "alder", "counts", 3, 1.0)
    coalition.node("alder").declare(task)
    for place, name in enumerate(coalition.terms.retailers):
        data = operand(coalition, task, LEFT, np.eye(3)[place])
        coalition.contribute(name, task, LEFT, data)
    slow: Any = Slow(coalition.holder_service._releaser)
    coalition.holder_service._releaser = slow
    holder: Any = coalition.key_holder("birch")
    for _ in range(3):
        slow.begun.clear()
        slow.ended.clear()
        calling = threading.Thread(target=quietly, args=(holder.release_sum, task))
        calling.start()
        until(slow.begun.is_set, "the decryption")
        holder.close()
        calling.join(60)
        until(slow.ended.is_set, "the end of the decryption")
        assert coalition.releases.released(task.identifier) is None
        del coalition._clients[coalition.holder_address, "birch"]
        holder = coalition.key_holder("birch")
    slow.patient = False
    assert coalition.key_holder("alder").release_sum(task).values.tolist() == [1, 1, 1]
    assert holder.release_sum(task).contributors == coalition.terms.retailers
    # Whoever goes away, however often, does not spend what belongs to all.
    assert [debit[0] for debit in coalition.debits] == [task.identifier]
