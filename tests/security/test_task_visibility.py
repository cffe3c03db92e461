"""A task of others is answered exactly as one that does not exist: code, text, trailers (C03)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from coalitions import GrpcCoalition, make_terms

from hecf.api.v1 import compute_node_pb2 as pb2
from hecf.api.v1 import compute_node_pb2_grpc, tasks_pb2
from hecf.errors import PartyMissing
from hecf.protocol.tasks import SumTask
from hecf.wire import messages

OUTSIDER, DECLARER = "cedar", "alder"


@pytest.fixture
def coalition(tmp_path: Path) -> Iterator[GrpcCoalition]:
    running = GrpcCoalition(make_terms(), tmp_path, patience=0.4)
    yield running
    running.close()


@pytest.fixture
def task(coalition: GrpcCoalition) -> SumTask:
    made = SumTask(
        coalition.terms,
        DECLARER,
        "private",
        30,
        value_bound=5.0,
        contributors=("alder", "birch"),
        recipients=("birch",),
    )
    coalition.node(DECLARER).declare(made)
    return made


def answer(coalition: GrpcCoalition, name: str, method: str, identifier: bytes) -> Any:
    """Everything that an answer shows, but for where in the identifier space it was asked."""
    stub = compute_node_pb2_grpc.ComputeNodeServiceStub(coalition.node(name)._channel)  # type: ignore[attr-defined]
    side = tasks_pb2.SIDE_LEFT
    requests: dict[str, Any] = {
        "GetUpload": pb2.GetUploadRequest(task_id=identifier, side=side),
        "CloseTask": pb2.CloseTaskRequest(task_id=identifier),
        "AbortTask": pb2.AbortTaskRequest(task_id=identifier),
        "Contribute": iter(
            [
                pb2.ContributeRequest(
                    header=pb2.ContributionHeader(
                        task_id=identifier, side=side, manifest={"size": 1, "sha256": bytes(32)}
                    )
                ),
                pb2.ContributeRequest(chunk=b"x"),
            ]
        ),
    }
    try:
        getattr(stub, method)(requests[method], timeout=10)
    except grpc.RpcError as error:
        call: Any = error
        trailers = sorted((entry.key, entry.value) for entry in call.trailing_metadata())
        return call.code(), call.details(), trailers
    return None


@pytest.mark.parametrize("method", ["GetUpload", "Contribute", "CloseTask", "AbortTask"])
def test_a_task_of_others_is_as_unknown_as_none(
    coalition: GrpcCoalition, task: SumTask, method: str
) -> None:
    known, unknown = messages.identifier_bytes(task.identifier), b"\x5a" * 32
    seen = answer(coalition, OUTSIDER, method, known)
    assert seen == answer(coalition, OUTSIDER, method, unknown)
    assert seen[0] == grpc.StatusCode.NOT_FOUND
    # The control: to those whom it concerns the same task does answer otherwise.
    assert answer(coalition, DECLARER, method, known) != seen


def test_its_name_is_waited_for_as_that_of_none(coalition: GrpcCoalition, task: SumTask) -> None:
    texts = []
    for label in ("private", "nothing"):
        with pytest.raises(PartyMissing) as got:
            coalition.node(OUTSIDER).await_task(coalition.terms, f"sum/{DECLARER}/{label}")
        texts.append(str(got.value))
    assert texts[0] == texts[1]
    for name in ("alder", "birch"):
        assert coalition.node(name).await_task(coalition.terms, task.name) == task
