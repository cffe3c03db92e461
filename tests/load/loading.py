"""Many retailers upload and many clients ask for scores at once, over real processes.

Every vector that is summed is one-hot in its retailer, so that an upload which was lost or counted
twice shows in the released sum; scores are compared with NumPy's. Nothing may be missing.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from coalitions import make_client
from encryption import unit_item_model
from processes import Provisioned, Running, descendants, make_coalition, until

from hecf.errors import HecfError
from hecf.he.plan import LEFT
from hecf.he.product.item_model import ItemModel
from hecf.he.scheme import scheme_by_name
from hecf.kits.kit import Kit
from hecf.privacy.release import TopScores
from hecf.protocol.tasks import MODEL, ScoreTask, SumTask, gram_plan
from hecf.recipes.contribution import Contributor
from hecf.rpc.client import ComputeNodeClient, KeyHolderClient
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER

SERVERS = (COMPUTE_NODE, KEY_HOLDER)
ITEMS = 40
_PATIENCE = 120.0


@dataclass(frozen=True)
class Load:
    """How much at once.

    Parameters
    ----------
    retailers : int
        Each uploads a vector for every sum, and a share of the scores of every target.
    clients : int
        Each asks for scores again and again until all uploads are done.
    sums : int
        Tasks of sums.
    values : int
        Length of every vector.
    scheme : {"ckks", "clear"}
    """

    retailers: int = 6
    clients: int = 6
    sums: int = 8
    values: int = 4096
    scheme: str = "ckks"


@dataclass
class Outcome:
    """What happened to every call."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    memory_bytes: dict[str, int] = field(default_factory=dict)
    duration: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def call(self, kind: str, work: Callable[[], Any]) -> Any:
        """Time a call and keep its error."""
        started = time.perf_counter()
        try:
            return work()
        except HecfError as error:
            with self._lock:
                self.errors.append(f"{kind}: {error}")
            return None
        finally:
            with self._lock:
                self.seconds[kind].append(time.perf_counter() - started)

    def report(self) -> dict[str, Any]:
        """Calls a second and percentiles of the latency by kind of call, in seconds."""
        count = sum(map(len, self.seconds.values()))
        return {
            "calls": count,
            "calls_per_second": round(count / self.duration, 2),
            "seconds": {
                kind: {
                    "calls": len(values),
                    **{
                        f"p{share}": round(float(np.percentile(values, share)), 4)
                        for share in (50, 95, 99)
                    },
                }
                for kind, values in sorted(self.seconds.items())
            },
            "peak_memory_mib": {name: size >> 20 for name, size in self.memory_bytes.items()},
            "errors": self.errors,
            "wrong": self.wrong,
        }


class Caller:
    """One retailer's clients of both servers."""

    def __init__(self, coalition: Provisioned, name: str) -> None:
        kit = Kit.load(coalition.party(name))
        self.name, self.terms = name, kit.terms
        addresses = kit.configuration.compute_node.address, kit.configuration.key_holder.address
        self.node: ComputeNodeClient = make_client(
            ComputeNodeClient, kit.terms, addresses[0], kit.identity, _PATIENCE
        )
        self.holder: KeyHolderClient = make_client(
            KeyHolderClient, kit.terms, addresses[1], kit.identity, _PATIENCE
        )

        self.parts = Contributor(self.node, self.holder)

    def scores(self, task: ScoreTask) -> tuple[np.ndarray, np.ndarray]:
        """Positions of items and their scores, whether the coalition blinds or not."""
        released = self.holder.release_scores(task)
        if isinstance(released, TopScores):
            return released.items.astype(np.int64), released.scores
        scores = released.unblind(self.node.fetch_mask(task))
        return np.tile(np.arange(task.items), (len(task.rows), 1)), scores

    def close(self) -> None:
        """Close both."""
        self.node.close()
        self.holder.close()


def run(load: Load, folder: Path) -> Outcome:
    """Provision a coalition, start its two servers, load them and check every result."""
    names = tuple(f"shop-{chr(97 + number)}" for number in range(load.retailers))
    coalition = make_coalition(
        folder / "coalition", retailers=names, scheme=load.scheme, patience=_PATIENCE
    )
    outcome = Outcome()
    with Running(coalition) as running:
        running.start(*SERVERS)
        callers = {name: Caller(coalition, name) for name in names}
        try:
            for caller in callers.values():
                caller.node.join(coalition.terms)
                caller.holder.join(coalition.terms)
            started = time.perf_counter()
            _work(load, coalition, callers, outcome)
            outcome.duration = time.perf_counter() - started
            for name in SERVERS:
                pid = running.processes[name].pid
                pids = {pid, *descendants(pid)}
                outcome.memory_bytes[name] = sum(map(_peak, pids))
        finally:
            for caller in callers.values():
                caller.close()
        for name in SERVERS:
            running.processes[name].terminate()
        until(
            lambda: all(process.poll() == 0 for process in running.processes.values()),
            "the end of both servers",
            60,
        )
    taken = _audited(coalition)
    expected = load.retailers * load.sums + load.retailers * load.retailers
    if taken != expected:
        outcome.wrong.append(f"{taken} uploads were taken down of {expected}")
    return outcome


def _work(
    load: Load, coalition: Provisioned, callers: Mapping[str, Caller], outcome: Outcome
) -> None:
    terms = coalition.terms
    sums = [
        SumTask(terms, terms.retailers[0], f"load-{number}", load.values, 1.0)
        for number in range(load.sums)
    ]
    scores = {
        name: ScoreTask(terms, name, tuple(range(number, 60, 3)), ITEMS)
        for number, name in enumerate(terms.retailers)
    }
    generator = np.random.default_rng(1)
    models = {name: unit_item_model(generator, terms.factors, ITEMS) for name in scores}
    rows = {name: len(task.rows) for name, task in scores.items()}
    shares = {
        (source, target): generator.uniform(-0.1, 0.1, (terms.factors, rows[target]))
        for target in scores
        for source in terms.retailers
        if source != target
    }
    [public_key] = {caller.parts.public_key(terms) for caller in callers.values()}
    encryptor = scheme_by_name(terms.scheme).encryptor(gram_plan(terms).parameters, public_key)
    uploaded = Lock()

    def operand(task: Any, matrix: np.ndarray) -> bytes:
        with uploaded:
            return encryptor.encrypt(encryptor.encode(task.plan, LEFT, matrix)).to_bytes()

    def upload(caller: Caller) -> None:
        place = terms.retailers.index(caller.name)
        for task in sums:
            vector = np.zeros(load.values)
            vector[place :: load.retailers] = 1.0
            data = operand(task, vector)
            outcome.call("upload", lambda: caller.parts.contribute(task, LEFT, lambda: data))  # noqa: B023
        for target, task in scores.items():
            if target == caller.name:
                continue
            part = operand(task, shares[caller.name, target])
            outcome.call("upload", lambda: caller.parts.contribute(task, LEFT, lambda: part))  # noqa: B023

    def declare(caller: Caller) -> None:
        task = scores[caller.name]
        outcome.call("declare", lambda: caller.node.declare(task))
        model = ItemModel(*models[caller.name]).to_bytes(task.plan)
        outcome.call("upload", lambda: caller.parts.contribute(task, MODEL, lambda: model))

    def ask(number: int) -> None:
        caller = callers[terms.retailers[number % load.retailers]]
        task = scores[caller.name]
        sources = [shares[source, caller.name] for source in task.sources]
        items, bias = models[caller.name]
        exact = np.sum(sources, axis=0).T @ items + bias
        for _ in range(5):
            found = outcome.call("scores", lambda: caller.scores(task))
            if found is None:
                continue
            chosen = np.take_along_axis(exact, found[0], axis=1)
            if np.abs(found[1] - chosen).max() > 1e-3:
                outcome.wrong.append(f"scores of {caller.name}")

    def collect(task: SumTask) -> None:
        caller = callers[task.declarer]
        released = outcome.call("sum", lambda: caller.holder.release_sum(task))
        if released is not None and not np.array_equal(released.values, np.ones(load.values)):
            outcome.wrong.append(f"the sum {task.label}")

    for task in sums:
        outcome.call("declare", lambda: callers[task.declarer].node.declare(task))  # noqa: B023
    for caller in callers.values():
        declare(caller)
    with ThreadPoolExecutor(load.retailers + load.clients + 4) as pool:
        running = [pool.submit(upload, caller) for caller in callers.values()]
        running += [pool.submit(ask, number) for number in range(load.clients)]
        running += [pool.submit(collect, task) for task in sums]
        for each in running:
            each.result()


def _peak(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


def _audited(coalition: Provisioned) -> int:
    """Uploads in the node's audit log."""
    path = coalition.kits[COMPUTE_NODE] / "state" / "audit.jsonl"
    events = [json.loads(line)["event"] for line in path.read_text().splitlines()]
    return events.count("contribute")
