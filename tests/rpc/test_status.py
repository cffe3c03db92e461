"""Errors on the wire: a complete table, its inverse, and nothing of an unexpected one (C25)."""

from __future__ import annotations

import inspect
import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from coalitions import GrpcCoalition, make_terms
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from hecf import errors
from hecf.api.v1 import compute_node_pb2, compute_node_pb2_grpc
from hecf.errors import HecfError, InternalFailure, InvalidInput, MalformedMessage, PartyMissing
from hecf.protocol.tasks import GramTask
from hecf.rpc.status import STATUS, from_rpc_error, public_error, reason_of
from parties.processes.serve import configure_logging

SECRET = "secret path /etc/x of shopper 4711"
CLASSES = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, HecfError) and member is not HecfError
]


@pytest.fixture
def coalition(tmp_path: Path) -> Iterator[GrpcCoalition]:
    running = GrpcCoalition(make_terms(), tmp_path)
    yield running
    running.close()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What a party writes on stderr, as its own logging is set up."""
    written = io.StringIO()
    level = logging.getLogger("grpc").level
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", written)
        configure_logging()
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    structlog.reset_defaults()
    logging.getLogger("grpc").setLevel(level)


def fail_with(error: BaseException) -> Callable[..., Any]:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise error

    return fail


def test_the_table_has_every_deliberate_error_and_nothing_else() -> None:
    assert len(CLASSES) >= 13
    assert set(STATUS) == set(CLASSES)
    assert grpc.StatusCode.OK not in STATUS.values()
    assert grpc.StatusCode.UNKNOWN not in STATUS.values()


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_class_and_text_of_a_deliberate_error_arrive(
    coalition: GrpcCoalition, kind: type[HecfError], log: Any
) -> None:
    error = kind("one sentence, with a comma", got="1 thing", expected="µ, “two”")
    for service, method, call in (
        (coalition.node_service, "await_task", lambda: unary(coalition)),
        (coalition.holder_service, "release", lambda: streamed(coalition)),
    ):
        setattr(service, method, fail_with(error))
        with pytest.raises(kind) as got:
            call()
        assert type(got.value) is kind
        assert str(got.value) == str(error)
    # The log says which class; the text may name things that only the two parties know.
    assert [(entry["event"], entry["error"]) for entry in log()] == [
        ("call refused", kind.__name__)
    ] * 2
    assert "sentence" not in json.dumps(log())


def unary(coalition: GrpcCoalition) -> object:
    return coalition.node("alder").await_task(coalition.terms, "score/birch")


def streamed(coalition: GrpcCoalition) -> object:
    return coalition.key_holder("alder").release_blocks(GramTask(coalition.terms))


@pytest.mark.parametrize("kind", [RuntimeError, KeyError, PermissionError, SystemError])
def test_an_unexpected_error_shows_an_opaque_identifier_only(
    coalition: GrpcCoalition,
    log: Any,
    kind: type[Exception],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for service, method, call in (
        (coalition.node_service, "await_task", lambda: unary(coalition)),
        (coalition.holder_service, "release", lambda: streamed(coalition)),
    ):
        setattr(service, method, fail_with(kind(SECRET)))
        with pytest.raises(InternalFailure) as got:
            call()
        text = str(got.value)
        match = re.fullmatch(r"internal failure ([0-9a-f]{16})", text)
        assert match is not None, text
        entry = log()[-1]
        assert entry["event"] == "call failed"
        assert entry["failure"] == match[1]
        assert entry["at"].startswith("test_status:")
    captured = capfd.readouterr()
    everything = json.dumps(log()) + caplog.text + captured.out + captured.err
    assert "secret" not in everything
    assert "4711" not in everything


def test_two_unexpected_errors_have_two_identifiers() -> None:
    first, second = (public_error(RuntimeError(SECRET)) for _ in range(2))
    assert first[1] != second[1]
    assert first[1] is not None
    assert str(first[0]) == f"internal failure {first[1]}"


def test_a_subclass_of_a_deliberate_error_is_unexpected() -> None:
    # Its text was written for nobody's eyes but the subclass's own.
    class Detailed(InvalidInput):
        pass

    public, identifier = public_error(Detailed(SECRET))
    assert type(public) is InternalFailure
    assert identifier is not None
    assert "secret" not in str(public)


def test_a_long_text_is_cut_and_still_arrives(coalition: GrpcCoalition) -> None:
    error = InvalidInput("unknown retailer", got="x" * 1_000_000)
    coalition.node_service.await_task = fail_with(error)  # type: ignore[method-assign]
    with pytest.raises(InvalidInput, match=r"^unknown retailer: got xxx") as got:
        unary(coalition)
    assert len(str(got.value)) <= 1000


def details_of(reason: str, code: int = 13, text: str = SECRET) -> tuple[str, bytes]:
    """A trailer that names a reason, as any gRPC server would write it."""
    status = status_pb2.Status(code=code, message=text)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="hecf"))
    return "grpc-status-details-bin", status.SerializeToString()


class Failed(grpc.RpcError):
    """A failed call as gRPC hands it to a client."""

    def __init__(self, code: grpc.StatusCode, details: str | None, *names: str) -> None:
        trailers = [details_of(name, code.value[0], details or "") for name in names]
        self._answer = code, details, trailers

    def code(self) -> grpc.StatusCode:
        return self._answer[0]

    def details(self) -> str | None:
        return self._answer[1]

    def trailing_metadata(self) -> Any:
        return tuple(self._answer[2]) or None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, PartyMissing),
        (grpc.StatusCode.CANCELLED, PartyMissing),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.LimitExceeded),
        (grpc.StatusCode.UNIMPLEMENTED, errors.Mismatch),
        (grpc.StatusCode.UNKNOWN, InternalFailure),
        (grpc.StatusCode.INTERNAL, InternalFailure),
        (grpc.StatusCode.DATA_LOSS, InternalFailure),
    ],
)
def test_an_error_of_the_connection_names_the_peer_and_hides_the_details(
    code: grpc.StatusCode, kind: type[HecfError]
) -> None:
    for details in (SECRET, "", None):
        error = from_rpc_error(Failed(code, details), "the compute-node at 127.0.0.1:1")
        assert type(error) is kind
        assert str(error).startswith("the compute-node at 127.0.0.1:1 ")
        assert "secret" not in str(error)


def test_an_unknown_class_on_the_wire_is_no_class_of_ours() -> None:
    for name in ("HecfError", "SystemExit", "PARTY_FAILED", "MalformedMessage", ""):
        error = from_rpc_error(Failed(grpc.StatusCode.INTERNAL, SECRET, name), "the node")
        assert type(error) is InternalFailure
        assert str(error) == "the node failed"
    known = from_rpc_error(Failed(grpc.StatusCode.INTERNAL, "cut", "MALFORMED_MESSAGE"), "the node")
    assert type(known) is MalformedMessage


def test_details_that_do_not_parse_or_contradict_the_status_are_ignored() -> None:
    wrong = [
        ("grpc-status-details-bin", b"\xff" * 50),
        ("grpc-status-details-bin", b""),
        details_of("MALFORMED_MESSAGE", 3),  # another code than the call's
        details_of("MALFORMED_MESSAGE", 13, "another text"),
    ]
    for trailer in wrong:
        failed = Failed(grpc.StatusCode.INTERNAL, SECRET)
        failed._answer = grpc.StatusCode.INTERNAL, SECRET, [trailer]
        assert type(from_rpc_error(failed, "the node")) is InternalFailure, trailer
    failed._answer = grpc.StatusCode.INTERNAL, SECRET, [details_of("MALFORMED_MESSAGE")]
    assert type(from_rpc_error(failed, "the node")) is MalformedMessage


def test_the_details_name_a_reason_for_other_languages(coalition: GrpcCoalition) -> None:
    coalition.node_service.await_task = fail_with(  # type: ignore[method-assign]
        errors.PartyMissing("birch did not act")
    )
    stub = compute_node_pb2_grpc.ComputeNodeServiceStub(coalition.node("alder")._channel)  # type: ignore[attr-defined]
    with pytest.raises(grpc.RpcError) as got:
        stub.AwaitTask(compute_node_pb2.AwaitTaskRequest(name="score/birch"), timeout=10)
    status = rpc_status.from_call(got.value)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.domain, info.reason) == ("hecf", "PARTY_MISSING")
    assert len({reason_of(kind) for kind in CLASSES}) == len(CLASSES)
