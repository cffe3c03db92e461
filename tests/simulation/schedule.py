"""Random schedules, and what must hold after each of their steps and at their end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from hecf.errors import Conflict, HecfError, InternalFailure, ReleaseRefused, TaskEnded
from hecf.protocol.contribution import bound, digest_of
from hecf.protocol.released import ReleasedBlocks, ReleasedSum, top_scores_from_bytes
from hecf.protocol.state import ENDED, OPEN, Phase, TaskState
from hecf.protocol.tasks import GramTask, ScoreTask, SumTask, Task
from simulation.reader import SlowReader
from simulation.world import ITEMS, TASK_SECONDS, TERMS, World, lies, value_of

STEPS = 30
NAMES = TERMS.retailers
TASKS: tuple[Task, ...] = (
    GramTask(TERMS),
    SumTask(TERMS, "alder", "counts", len(NAMES), 2.0, 1),
    SumTask(TERMS, "birch", "counts", len(NAMES), 2.0, 1),
    ScoreTask(TERMS, "cedar", (0, 5), ITEMS),
)
PARTS = [(task, *part) for task in TASKS for part in task.parts]


class Schedule:
    """One seeded run.

    Raises
    ------
    AssertionError
        If an invariant does not hold.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.world = World(folder, self.random)
        self.accepted: dict[tuple[str, str, str], str] = {}
        self.released: dict[str, bytes] = {}
        self.read = 0
        self.before: dict[str, TaskState] = {}
        # A retailer that drops out is missing in one task or in all of them.
        gone = {name for name in NAMES if self.random.random() < 0.07}
        self.absent = {
            (task, name) for task, name, _ in PARTS if name in gone or self.random.random() < 0.03
        }

    def run(self) -> None:
        """Take random steps, then heal everything and see that the results are right."""
        steps: list[tuple[int, Callable[[], None]]] = [
            (12, self._contribute),
            (3, self._declare),
            (5, self._release),
            (3, self._replay),
            (2, self._other_bytes),
            (1, self._close_or_abort),
            (2, self._pass_time),
            (2, self._restart),
            (4, self._arm),
            (1, self._lie),
        ]
        self.world.network.broken = self.random.choice([0.0, 0.1, 0.3, 0.6])
        weights = [weight for weight, _ in steps]
        for _ in range(STEPS):
            step = self.random.choices([step for _, step in steps], weights)[0]
            self._tolerating(step)
            self._check()
        self._heal()
        self.world.close()

    def _tolerating(self, step: Callable[[], None]) -> None:
        try:
            self.world.attempt(step)
        except InternalFailure:
            # Whatever was deliberate is an answer; what broke inside a party is not.
            raise
        except HecfError:
            pass
        finally:
            self.world.lie = None

    def _contribute(self) -> None:
        task, name, what = self.random.choice(PARTS)
        if (task, name) not in self.absent:
            self.world.contribute(name, task, what)
            self.accepted[task.identifier, name, what] = self._sent(name, task, what)

    def _declare(self) -> None:
        task = self.random.choice(TASKS[1:])
        self.world.node_link(task.declarer).declare(task)  # type: ignore[union-attr]

    def _release(self) -> None:
        task = self.random.choice(TASKS)
        self._ask(task, self.random.choice(task.recipients))

    def _replay(self) -> None:
        """Send captured bytes again: as they were, for another task, or as somebody else."""
        # Only what has arrived can have been seen by anybody else.
        arrived = {
            digest for state in self.before.values() for digest in state.contributions.values()
        }
        seen = [each for each in self.world.captured if digest_of(each[2]) in arrived]
        if not seen:
            return
        _, what, data = self.random.choice(seen)
        other = self.random.choice(TASKS)
        self.world.node(self.random.choice(NAMES)).contribute(other, what, data)

    def _other_bytes(self) -> None:
        """Contribute something else once something was accepted: never of any effect."""
        if self.accepted:
            identifier, name, what = self.random.choice(sorted(self.accepted))
            task = next(task for task in TASKS if task.identifier == identifier)
            other = self.world.operand(name, task, what, scale=0.5)
            data = bound(task, what, other, self.world.key)
            self.world.node(name).contribute(task, what, data)
            raise AssertionError("other bytes were accepted")

    def _close_or_abort(self) -> None:
        task = self.random.choice(TASKS[1:])
        link = self.world.node_link(self.random.choice(NAMES))
        self.random.choice([link.close_task, link.abort_task])(task)

    def _pass_time(self) -> None:
        # Clocks also go back a little.
        self.world.now += self.random.choice([-60.0, 1.0, 100.0, TASK_SECONDS / 3])

    def _restart(self) -> None:
        self.world.close()
        self.world.start_node()
        self.world.start_holder()

    def _arm(self) -> None:
        """Let a process die at one of the next checkpoints, or its disk be full."""
        checkpoints = self.random.choice([self.world.at_node, self.world.at_holder])
        if self.random.random() < 0.8:
            checkpoints.left = self.random.randrange(12)
        else:
            checkpoints.full_disk = True

    def _lie(self) -> None:
        self._lie_about(self.random.choice(TASKS))

    def _lie_about(self, task: Task) -> None:
        """Release what a malicious node computed: refused, or nothing was left to compute."""
        recipient = self.random.choice(task.recipients)
        known = self.world.releases.released(task.identifier)
        decrypted = len(self.world.decrypted)
        self.world.lie = lambda computed: lies(computed, self.random)
        try:
            self._ask(task, recipient)
        except HecfError:
            assert len(self.world.decrypted) == decrypted
        else:
            assert known is not None, "a result of other inputs was released"
        finally:
            self.world.lie = None

    def _ask(self, task: Task, recipient: str) -> None:
        """Ask for a release, and compare what comes with what came before and with the truth."""
        link = self.world.holder_link(recipient)
        self._compare(task, link._release(task))

    def _compare(self, task: Task, data: bytes) -> None:
        assert self.released.setdefault(task.identifier, data) == data, "released twice"
        check_truth(task, data)

    def _check(self) -> None:
        """Compare the stores with what they held before."""
        with self.world.tasks.change() as tasks:
            states = {state.task.identifier: state for state in tasks.all()}
        for identifier, before in self.before.items():
            after = states[identifier]
            assert before.contributions.items() <= after.contributions.items(), "forgotten"
            assert before.phase not in ENDED or after.phase is before.phase
            assert before.phase in OPEN or after.phase not in OPEN
            assert before.phase in OPEN or before.contributions == after.contributions, "late"
            assert before.results.items() <= after.results.items(), "computed twice"
        for (identifier, name, what), digest in self.accepted.items():
            assert states[identifier].contributions.get((name, what)) == digest, "lost"
        for task in TASKS:
            self._check_contributions(task, states.get(task.identifier))
            kept = self.world.releases.released(task.identifier)
            assert kept is not None or task.identifier not in self.released
            if kept is not None:
                assert task.identifier in self.world.debits, "released without a debit"
        self.before = states

    def _check_contributions(self, task: Task, state: TaskState | None) -> None:
        if state is not None:
            for (name, what), digest in state.contributions.items():
                assert digest == self._sent(name, task, what), "somebody else's bytes were taken"

    def _inside(self, task: Task) -> frozenset[str]:
        """Return whose contributions the node has taken for a task."""
        return frozenset(name for name, _ in self.before[task.identifier].contributions)

    def _sent(self, name: str, task: Task, what: str) -> str:
        """Digest of what a retailer has sent, or nothing."""
        return self.world.journals[name].get(f"{task.identifier} {what}", "").partition(" ")[0]

    def _heal(self) -> None:
        """Mend everything: what has not ended must come to its result, whatever happened."""
        self.world.network.broken = 0.0
        self._tolerating(self._restart)
        for checkpoints in (self.world.at_node, self.world.at_holder):
            checkpoints.left, checkpoints.full_disk = None, False
        self.world.node("key-holder").publish_key(TERMS, self.world.public)
        for task in TASKS[1:]:
            self.world.node(task.declarer).declare(task)  # type: ignore[union-attr]
        for task, name, what in PARTS:
            try:
                if (task, name) not in self.absent:
                    self.world.contribute(name, task, what)
            except (Conflict, TaskEnded):
                continue
        self._check()
        for task in TASKS:
            self._expect_end(task)
        self._check()
        self._read_slowly()
        # Of any two sums over different retailers the difference would single one out.
        sums = [task for task in TASKS if isinstance(task, SumTask)]
        released = {self._inside(task) for task in sums if task.identifier in self.released}
        assert len(released) <= 1, "overlapping sums were released"

    def _read_slowly(self) -> None:
        """Let recipients take what is released piece by piece, with everything else in between."""
        readers = [
            SlowReader(self.world, task, self.random.choice(task.recipients))
            for task in TASKS
            if task.identifier in self.released
        ]
        while readers:
            reader = self.random.choice(readers)
            data = reader.take()
            if data is not None:
                self._compare(reader.task, data)
                readers.remove(reader)
                self.read += 1
            self.random.choices(
                [self._restart, self._pass_time, self._check, lambda: None], [1, 2, 2, 5]
            )[0]()

    def _expect_end(self, task: Task) -> None:
        if self.world.service.state(task.identifier).open:
            self.world.now += 2 * TASK_SECONDS
        phase = self.world.service.state(task.identifier).phase
        if phase in ENDED:
            try:
                self._ask(task, task.recipients[0])
            except TaskEnded:
                assert self.world.releases.released(task.identifier) is None
                return
            raise AssertionError("a task that has ended was released")
        if self.random.random() < 0.3:
            self._lie_about(task)
        try:
            for recipient in task.recipients:
                self._ask(task, recipient)
        except ReleaseRefused:
            assert self.world.releases.released(task.identifier) is None
            assert isinstance(task, SumTask)
            assert len({self._inside(each) for each in TASKS if isinstance(each, SumTask)}) > 1
            return
        count = self.world.decrypted.count(task.identifier)
        self._ask(task, task.recipients[0])
        assert self.world.decrypted.count(task.identifier) == count, "decrypted again"
        assert self.world.service.state(task.identifier).phase is Phase.RELEASED


def check_truth(task: Task, data: bytes) -> None:
    """Compare a release with what the retailers it names have contributed, each of them once."""
    if isinstance(task, SumTask):
        total = ReleasedSum.from_bytes(task, data)
        expected = sum(value_of(name, task) for name in total.contributors)
        assert len(total.contributors) >= TERMS.minimum_contributors
        np.testing.assert_array_equal(total.values, expected)
    elif isinstance(task, GramTask):
        for (first, second), block in ReleasedBlocks.from_bytes(task, data).blocks.items():
            exact = value_of(first, task).T @ value_of(second, task)
            np.testing.assert_allclose(block, exact, rtol=0, atol=1e-9)
    else:
        top = top_scores_from_bytes(task, data)
        summed: Any = sum(value_of(name, task) for name in task.sources)
        exact = -np.sort(-(summed.T @ np.eye(TERMS.factors, ITEMS)), axis=1)
        np.testing.assert_allclose(top.scores, exact, rtol=0, atol=1e-9)
