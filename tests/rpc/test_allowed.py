"""The allow-list of certificates: its file, and what it does to calls that are open (C04)."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from coalitions import LIMITS, AnyCertificate, GrpcCoalition, identity_of, make_client, make_terms

from hecf.api.v1 import compute_node_pb2 as pb2
from hecf.api.v1 import compute_node_pb2_grpc
from hecf.errors import ConfigurationError, PermissionDenied
from hecf.he.plan import LEFT
from hecf.measure import Measurements
from hecf.protocol.contribution import bound
from hecf.protocol.tasks import GramTask
from hecf.rpc.allowed import AllowedCertificate, AllowedCertificates, AllowedFile, fingerprint_of
from hecf.rpc.client import ComputeNodeClient
from hecf.rpc.identity import COMPUTE_NODE, RETAILER, server_name
from hecf.rpc.server import Server
from hecf.rpc.status import from_rpc_error
from hecf.wire import messages
from parties.provisioning.certificates import CertificateAuthority

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
FIRST, SECOND = "0a" * 32, "0b" * 32


@pytest.fixture
def coalition(tmp_path: Path) -> Iterator[GrpcCoalition]:
    running = GrpcCoalition(make_terms(), tmp_path)
    yield running
    running.close()


def refused(allowed: AllowedCertificates, fingerprint: str, name: str, now: datetime) -> bool:
    try:
        allowed.check(fingerprint, name, now)
    except PermissionDenied:
        return True
    return False


def test_a_fingerprint_is_what_openssl_prints(tmp_path: Path) -> None:
    credential = CertificateAuthority.create("ab" * 16).issue(RETAILER, "alder")
    path = tmp_path / "certificate.pem"
    path.write_bytes(credential.certificate)
    command = ["openssl", "x509", "-in", str(path), "-noout", "-fingerprint", "-sha256"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert fingerprint_of(credential.certificate) == (
        printed.strip().partition("=")[2].replace(":", "").lower()
    )
    for wrong in (b"", b"\xff", b"-----BEGIN CERTIFICATE-----\n"):
        with pytest.raises(PermissionDenied):
            fingerprint_of(wrong)


def test_a_certificate_counts_under_its_own_name_and_until_its_time() -> None:
    later = NOW + timedelta(hours=1)
    allowed = AllowedCertificates(
        (AllowedCertificate(FIRST, "alder"), AllowedCertificate(SECOND, "birch", later))
    )
    assert not refused(allowed, FIRST, "alder", NOW)
    assert refused(allowed, FIRST, "birch", NOW)
    assert refused(allowed, "0c" * 32, "alder", NOW)
    assert not refused(allowed, SECOND, "birch", later - timedelta(seconds=1))
    assert refused(allowed, SECOND, "birch", later)
    assert refused(AllowedCertificates(), FIRST, "alder", NOW)
    assert AllowedCertificates.from_text(allowed.to_text()) == allowed


def test_a_renewed_certificate_overlaps_and_the_old_time_never_grows() -> None:
    soon, late = NOW + timedelta(hours=1), NOW + timedelta(hours=9)
    once = AllowedCertificates((AllowedCertificate(FIRST, "alder"),)).renewed("alder", SECOND, soon)
    twice = once.renewed("alder", "0c" * 32, late)
    for at, expected in ((NOW, [0, 0, 0]), (soon, [1, 0, 0]), (late, [1, 1, 0])):
        found = [refused(twice, each, "alder", at) for each in (FIRST, SECOND, "0c" * 32)]
        assert found == [bool(each) for each in expected], at


@pytest.mark.parametrize(
    "line",
    [
        FIRST,
        f"{FIRST} alder until",
        f"{FIRST} alder since 2026-01-01T00:00:00Z",
        f"{FIRST} alder until tomorrow",
        f"{FIRST} alder until 2026-01-01T00:00:00",
        f"{FIRST[1:]} alder",
        f"{FIRST.upper()} alder",
        f"{FIRST} alder birch",
    ],
)
def test_a_line_of_another_form_is_refused(line: str) -> None:
    with pytest.raises(ConfigurationError):
        AllowedCertificates.from_text(f"# a comment\n\n{FIRST} alder\n{line}\n")


def test_a_file_is_read_again_when_it_changes_and_refuses_all_when_it_breaks(
    tmp_path: Path,
) -> None:
    path, seconds = tmp_path / "allowed.txt", [0.0]
    path.write_text(f"{FIRST} alder\n{SECOND} birch\n")
    allowed = AllowedFile(path, lambda: seconds[0])

    def names(step: float = 1.0) -> list[str]:
        seconds[0] += step
        return [entry.name for entry in allowed().entries]

    assert names() == ["alder", "birch"]
    path.write_text(f"{SECOND} birch\n")
    assert names(0.1) == ["alder", "birch"]
    assert names() == ["birch"]
    for broken in ("nonsense\n", "\xff" * 10):
        path.write_text(broken, encoding="latin-1")
        assert names() == []
        path.write_text(f"{FIRST} alder\n")
        assert names() == ["alder"]
    path.unlink()
    assert names() == []
    with pytest.raises(ConfigurationError):
        AllowedFile(path)


def test_a_revoked_certificate_is_denied_on_its_open_channel(coalition: GrpcCoalition) -> None:
    alder, birch = coalition.node("alder"), coalition.node("birch")
    alder.join(coalition.terms)
    birch.join(coalition.terms)
    entries = coalition.allowed.entries
    coalition.allowed = AllowedCertificates(tuple(e for e in entries if e.name != "alder"))
    with pytest.raises(PermissionDenied, match="this certificate is not allowed any more"):
        alder.join(coalition.terms)
    birch.join(coalition.terms)
    # The control: nothing but the list stopped it.
    coalition.allowed = AllowedCertificates(entries)
    alder.join(coalition.terms)


def test_another_partys_fingerprint_under_ones_own_name_is_denied(
    coalition: GrpcCoalition,
) -> None:
    # The authority has signed a second certificate that the lists do not know.
    coalition.node("alder")
    stranger = identity_of(coalition.authority, RETAILER, "alder")
    client = make_client(ComputeNodeClient, coalition.terms, coalition.node_address, stranger)
    try:
        with pytest.raises(PermissionDenied):
            client.join(coalition.terms)
        coalition.allow("birch", stranger)
        with pytest.raises(PermissionDenied):
            client.join(coalition.terms)
        coalition.allow("alder", stranger)
        client.join(coalition.terms)
    finally:
        client.close()


def raw_stub(coalition: GrpcCoalition, name: str) -> tuple[Any, grpc.Channel]:
    option = (
        "grpc.ssl_target_name_override",
        server_name(coalition.terms.identifier, COMPUTE_NODE),
    )
    channel = grpc.secure_channel(
        coalition.node_address, coalition.identity(name).client(), options=[option]
    )
    return compute_node_pb2_grpc.ComputeNodeServiceStub(channel), channel


@pytest.mark.parametrize("kind", ["a long upload", "a silent upload", "a long wait"])
def test_revocation_ends_a_call_that_is_open(coalition: GrpcCoalition, kind: str) -> None:
    stub, channel = raw_stub(coalition, "alder")
    done = threading.Event()

    def upload() -> Iterator[pb2.ContributeRequest]:
        gram = GramTask(coalition.terms)
        task = messages.identifier_bytes(gram.identifier)
        size = {"size": 16 << 20, "sha256": bytes(32)}
        yield pb2.ContributeRequest(
            header=pb2.ContributionHeader(task_id=task, side=1, manifest=size)
        )
        yield pb2.ContributeRequest(chunk=bound(gram, LEFT, b"", coalition.key))
        while not done.wait(0.05):
            if kind == "a long upload":
                yield pb2.ContributeRequest(chunk=b"z" * 100)

    call = (
        stub.AwaitTask.future(pb2.AwaitTaskRequest(name="score/birch"), timeout=60)
        if kind == "a long wait"
        else stub.Contribute.future(upload(), timeout=60)
    )
    try:
        until_open(coalition, 1)
        coalition.allowed = AllowedCertificates()
        started = time.monotonic()
        error = from_rpc_error(call.exception(timeout=10), "the node")
        assert time.monotonic() - started < 5
        # A call that hears of it says why; one whose thread waits for bytes is cancelled.
        if kind != "a silent upload":
            assert isinstance(error, PermissionDenied)
        until_open(coalition, 0)
    finally:
        done.set()
        channel.close()
    assert coalition.stored() == 0


def until_open(coalition: GrpcCoalition, count: int) -> None:
    deadline = time.monotonic() + 10
    while coalition._node_server.calls.open_calls != count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_shows_a_renewed_certificate_to_who_connects_next(tmp_path: Path) -> None:
    coalition = GrpcCoalition(make_terms(), tmp_path)
    try:
        shown = [coalition.identity(COMPUTE_NODE)]
        server = Server(
            coalition.terms,
            shown[0],
            "127.0.0.1:0",
            LIMITS,
            Measurements(),
            allowed=AnyCertificate,
            current=lambda: shown[-1],
        )
        server.add_compute_node(coalition.node_service)
        server.start()
        fingerprints = []
        for _ in range(2):
            pem = served_certificate(server.port, coalition)
            fingerprints.append(fingerprint_of(pem))
            shown.append(identity_of(coalition.authority, COMPUTE_NODE, COMPUTE_NODE))
        assert fingerprints == [fingerprint_of(each.certificate) for each in shown[:2]]
        server.stop()
    finally:
        coalition.close()


def served_certificate(port: int, coalition: GrpcCoalition) -> bytes:
    """What a server shows in a handshake, read with Python's own TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain) as secure,
    ):
        der = secure.getpeercert(binary_form=True)
        assert der is not None
        return ssl.DER_cert_to_PEM_cert(der).encode()
