"""Every request of a coalition, captured and sent again: one effect, by whoever sends it (C05)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coalitions import TRANSPORTS, Coalition, make_terms, operand

from hecf.errors import HecfError
from hecf.he.plan import LEFT
from hecf.he.product.item_model import ItemModel
from hecf.protocol import contribution
from hecf.protocol.contribution import digest_of
from hecf.protocol.tasks import MODEL, GramTask, ScoreTask, SumTask, Task
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER

Request = tuple[str, str, str, tuple[Any, ...]]
"""Who asked whom for what, with which arguments."""

PARTIES = ("alder", "birch", "cedar", KEY_HOLDER)


@pytest.fixture(params=sorted(TRANSPORTS))
def coalition(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Coalition]:
    made = TRANSPORTS[request.param](make_terms(scheme="ckks"), tmp_path, patience=0.3)
    yield made
    made.close()


class Captured:
    """Sends requests, and keeps them as somebody on the way might."""

    def __init__(self, coalition: Coalition) -> None:
        self.requests: list[Request] = []
        self._coalition = coalition

    def __call__(self, who: str, where: str, method: str, *arguments: Any) -> Any:
        self.requests.append((who, where, method, arguments))
        return self.send(who, where, method, arguments)

    def send(self, who: str, where: str, method: str, arguments: tuple[Any, ...]) -> Any:
        links: dict[str, Callable[[str], Any]] = {
            COMPUTE_NODE: self._coalition.node,
            KEY_HOLDER: self._coalition.key_holder,
        }
        return getattr(links[where](who), method)(*arguments)


def run(coalition: Coalition) -> Captured:
    """A coalition from its terms to its releases; one sum is closed, and one aborted."""
    captured, terms, random = Captured(coalition), coalition.terms, np.random.default_rng(4)

    def give(name: str, task: Task, what: str, data: bytes) -> None:
        captured(name, COMPUTE_NODE, "contribute", task, what, data)
        captured(name, KEY_HOLDER, "commit", task, what, digest_of(data), coalition.key)

    captured(KEY_HOLDER, COMPUTE_NODE, "publish_key", terms, coalition.public_key)
    for name in terms.retailers:
        captured(name, COMPUTE_NODE, "join", terms)
        captured(name, KEY_HOLDER, "join", terms)
    gram = GramTask(terms)
    columns = random.standard_normal((terms.shoppers, terms.factors)) / terms.shoppers
    for name, side in gram.parts:
        give(name, gram, side, operand(coalition, gram, side, columns))
    score = ScoreTask(terms, "birch", (1, 5), 20)
    captured("birch", COMPUTE_NODE, "declare", score)
    model = ItemModel(random.uniform(-0.2, 0.2, (4, 20)), np.zeros(20)).to_bytes(score.plan)
    give("birch", score, MODEL, contribution.bound(score, MODEL, model, coalition.key))
    for name in score.sources:
        share = random.uniform(-0.4, 0.4, (4, 2))
        give(name, score, LEFT, operand(coalition, score, LEFT, share))
    closed, aborted = (SumTask(terms, "alder", label, 3, 1.0) for label in ("closed", "aborted"))
    for task in (closed, aborted):
        captured("alder", COMPUTE_NODE, "declare", task)
        for name in ("alder", "cedar"):
            give(name, task, LEFT, operand(coalition, task, LEFT, np.ones(3)))
    captured("alder", COMPUTE_NODE, "close_task", closed)
    captured("alder", COMPUTE_NODE, "abort_task", aborted)
    captured("cedar", KEY_HOLDER, "release_blocks", gram)
    captured("birch", KEY_HOLDER, "release_scores", score)
    captured("alder", KEY_HOLDER, "release_sum", closed)
    captured(KEY_HOLDER, COMPUTE_NODE, "fetch", closed, "total")
    return captured


def snapshot(coalition: Coalition) -> dict[str, object]:
    """Everything that a request could have changed, at the node and at the key holder."""
    with coalition.tasks.change() as tasks:
        states = tasks.all()
        key = tasks.public_key()
    identifiers = [state.task.identifier for state in states]
    run = coalition.holder_service._run
    released = [coalition.releases.released(each) for each in identifiers]
    return {
        "states": states,
        "key": key,
        "blocks": sorted(path.name for path in coalition.blocks.iterdir()),
        "commitments": [coalition.releases.commitments(run(each)) for each in identifiers],
        "releases": [payload and payload.declared for payload in released],
        "sums": coalition.releases.sums(),
        "debits": list(coalition.debits),
    }


def test_a_request_that_is_sent_again_has_no_second_effect(coalition: Coalition) -> None:
    captured = run(coalition)
    before = snapshot(coalition)
    assert len(before["debits"]) == 3  # type: ignore[arg-type]
    # Each is answered as the first time, in whatever order.
    for request in (*captured.requests, *reversed(captured.requests)):
        captured.send(*request)
        assert snapshot(coalition) == before, request[:3]


def test_a_request_that_somebody_else_sends_has_no_effect(coalition: Coalition) -> None:
    captured = run(coalition)
    before = snapshot(coalition)
    for who, where, method, arguments in captured.requests:
        for other in PARTIES:
            if other != who and method != "commit":
                with suppress(HecfError):
                    captured.send(other, where, method, arguments)
                assert snapshot(coalition) == before, (who, other, method)


def test_the_comparison_notices_an_effect(coalition: Coalition) -> None:
    """The control: what was never sent before does change something."""
    captured = run(coalition)
    before = snapshot(coalition)
    captured("birch", COMPUTE_NODE, "declare", SumTask(coalition.terms, "birch", "new", 3, 1.0))
    assert snapshot(coalition) != before
