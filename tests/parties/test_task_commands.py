"""``hecf tasks`` on the state of a node that is running."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from processes import Provisioned, make_coalition
from typer.testing import CliRunner, Result

from hecf.errors import TaskEnded
from hecf.he.plan import LEFT
from hecf.kits.kit import Kit
from hecf.protocol.state import TaskState
from hecf.protocol.tasks import GramTask, ScoreTask
from hecf.rpc.compute_node import ComputeNodeService
from hecf.rpc.computing import LocalComputer
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER, RETAILER, Party
from parties.cli import app
from parties.processes import compute_node


@pytest.fixture(scope="module")
def coalition(tmp_path_factory: pytest.TempPathFactory) -> Provisioned:
    return make_coalition(tmp_path_factory.mktemp("tasks") / "coalition")


@pytest.fixture
def service(coalition: Provisioned) -> Iterator[ComputeNodeService]:
    kit = Kit.load(coalition.party(COMPUTE_NODE))
    store = compute_node.make_store(kit)
    (kit.state / compute_node.TASKS).unlink(missing_ok=True)
    made = compute_node.make_service(kit, store, LocalComputer(kit.terms, store, lambda n: b""))
    yield made
    made.close()


def run(coalition: Provisioned, *arguments: str, party: str = COMPUTE_NODE) -> Result:
    config = str(coalition.party(party))
    return CliRunner().invoke(app, ["tasks", *arguments, "--config", config])


def test_a_node_without_state_and_other_parties_are_said_in_a_sentence(
    coalition: Provisioned,
) -> None:
    assert "has no tasks yet" in run(coalition, "list").stderr
    assert "kit of another role" in run(coalition, "list", party="alder").stderr


def test_tasks_are_listed_and_shown(coalition: Provisioned, service: ComputeNodeService) -> None:
    terms = coalition.terms
    alder = Party(terms.identifier, RETAILER, "alder")
    service.declare(alder, ScoreTask(terms, "alder", (1, 2), 30))
    listed = run(coalition, "list", "--json")
    assert [(each["name"], each["phase"]) for each in json.loads(listed.stdout)] == [
        ("gram", "declared"),
        ("score/alder", "declared"),
    ]
    table = run(coalition, "list").stdout
    assert "score/alder" in table
    gram = GramTask(terms)
    for name in ("gram", gram.identifier, gram.identifier[:12]):
        shown = run(coalition, "show", name)
        assert "missing: alder, birch" in shown.stdout
        assert json.loads(run(coalition, "show", name, "--json").stdout)["parts"] == 2
    for unknown in ("grams", gram.identifier[:3], ""):
        refused = run(coalition, "show", unknown)
        assert refused.exit_code == 1
        assert "there is no such task" in refused.stderr


def test_an_abort_reaches_those_who_wait(
    coalition: Provisioned, service: ComputeNodeService
) -> None:
    task = GramTask(coalition.terms)
    holder = Party(coalition.terms.identifier, KEY_HOLDER, KEY_HOLDER)
    service.publish_key(holder, b"")
    ended: list[TaskEnded] = []

    def wait() -> None:
        with pytest.raises(TaskEnded) as got:
            service.fetch(holder, task.identifier, "alder/birch")
        ended.append(got.value)

    waiting = threading.Thread(target=wait)
    waiting.start()
    done = run(coalition, "abort", "gram")
    assert done.exit_code == 0, done.stderr
    waiting.join(10)
    assert [str(each) for each in ended] == ["the task is aborted: the node's operator aborted it"]
    assert json.loads(run(coalition, "abort", "gram", "--json").stdout)["phase"] == "aborted"
    with pytest.raises(TaskEnded):
        service.state(task.identifier).contribute(("alder", LEFT), "0a" * 32)


def test_what_was_handed_out_is_not_aborted(
    coalition: Provisioned, service: ComputeNodeService
) -> None:
    def handed_out(state: TaskState) -> TaskState:
        for part in state.task.parts:
            state = state.contribute(part, "0a" * 32)
        return state.computed("alder/birch", "0b" * 32).hand_out("alder/birch")

    service._tasks.change(GramTask(coalition.terms).identifier, handed_out)
    refused = run(coalition, "abort", "gram")
    assert refused.exit_code == 1
    assert "handed out" in refused.stderr
