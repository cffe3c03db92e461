"""Who gets through the handshake and the certificate's name (controls C01 and C02)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from coalitions import LIMITS, AnyCertificate, identity_of, make_client, make_terms
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hecf.api.v1 import compute_node_pb2, compute_node_pb2_grpc
from hecf.errors import HecfError, Mismatch, PermissionDenied, Unavailable
from hecf.measure import Measurements
from hecf.rpc.authority import HEALTH_CHECK, authenticated
from hecf.rpc.client import ComputeNodeClient
from hecf.rpc.credentials import TransportIdentity
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER, RETAILER, party_uri, server_name
from hecf.rpc.server import Server
from parties.provisioning.certificates import CertificateAuthority

TERMS = make_terms()
NAME_OPTION = (("grpc.ssl_target_name_override", server_name(TERMS.identifier, COMPUTE_NODE)),)
SERVING = health_pb2.HealthCheckResponse.SERVING


class Recorder:
    """A service that only writes down what a handler asks of it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @property
    def terms(self) -> Any:
        self.seen.append("terms")
        return TERMS

    def join(self, party: Any) -> None:
        self.seen.append("join")


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority.create(TERMS.identifier)


@pytest.fixture(scope="module")
def retailer(authority: CertificateAuthority) -> TransportIdentity:
    return identity_of(authority, RETAILER, "alder")


@pytest.fixture
def serve() -> Iterator[Callable[[TransportIdentity], tuple[str, Recorder]]]:
    servers: list[Server] = []

    def begin(identity: TransportIdentity) -> tuple[str, Recorder]:
        recorder: Any = Recorder()
        server = Server(
            TERMS, identity, "127.0.0.1:0", LIMITS, Measurements(), allowed=AnyCertificate
        )
        server.add_compute_node(recorder)
        server.start()
        servers.append(server)
        return f"127.0.0.1:{server.port}", recorder

    yield begin
    for server in servers:
        server.stop()


@pytest.fixture
def node(serve: Any, authority: CertificateAuthority) -> tuple[str, Recorder]:
    address, recorder = serve(identity_of(authority, COMPUTE_NODE, COMPUTE_NODE))
    return address, recorder


def forged(
    authority: CertificateAuthority,
    names: Sequence[x509.GeneralName],
    *,
    days: tuple[int, int] = (-1, 1),
) -> TransportIdentity:
    """A client certificate of any names and age under the coalition's own signature."""
    parent = x509.load_pem_x509_certificate(authority.credential.certificate)
    signer: Any = serialization.load_pem_private_key(authority.credential.private_key, None)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(parent.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.ExtendedKeyUsage([x509.OID_CLIENT_AUTH]), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    return TransportIdentity(
        builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        authority.credential.certificate,
    )


def uri(role: str = RETAILER, name: str = "alder", identifier: str = TERMS.identifier) -> Any:
    return x509.UniformResourceIdentifier(party_uri(identifier, role, name))


def refusal(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.StatusCode:
    """Status of a Join; plain text without credentials."""
    channel = (
        grpc.insecure_channel(address)
        if credentials is None
        else grpc.secure_channel(address, credentials, options=NAME_OPTION)
    )
    with channel:
        stub = compute_node_pb2_grpc.ComputeNodeServiceStub(channel)
        with pytest.raises(grpc.RpcError) as got:
            stub.Join(compute_node_pb2.JoinRequest(), timeout=10)
    error: Any = got.value
    return error.code()


def joins(address: str, identity: TransportIdentity, patience: float = 0.3) -> HecfError | None:
    """What a Join of the real client ends with."""
    client = make_client(ComputeNodeClient, TERMS, address, identity, patience)
    try:
        client.join(TERMS)
    except HecfError as error:
        return error
    finally:
        client.close()
    return None


def test_a_party_of_the_coalition_reaches_the_handler(
    node: tuple[str, Recorder], retailer: TransportIdentity
) -> None:
    # The control of every refusal below: the recorder does see what runs.
    address, recorder = node
    assert joins(address, retailer) is None
    assert recorder.seen


def test_no_handler_runs_without_a_valid_certificate(
    node: tuple[str, Recorder], authority: CertificateAuthority, retailer: TransportIdentity
) -> None:
    address, recorder = node
    root = authority.credential.certificate
    foreign = CertificateAuthority.create(TERMS.identifier).issue(RETAILER, "alder")
    expired = forged(authority, [uri()], days=(-2, -1))
    early = forged(authority, [uri()], days=(1, 2))
    clients = {
        "plain text": None,
        "no certificate": grpc.ssl_channel_credentials(root),
        "a foreign authority's": grpc.ssl_channel_credentials(
            root, foreign.private_key, foreign.certificate
        ),
        "expired": expired.client(),
        "not valid yet": early.client(),
    }
    for what, credentials in clients.items():
        assert refusal(address, credentials) == grpc.StatusCode.UNAVAILABLE, what
    assert recorder.seen == []
    # The same certificate within its time passes, so it was the time that stopped it.
    assert joins(address, forged(authority, [uri()])) is None


def test_a_whole_coalition_that_has_expired_says_so(serve: Any) -> None:
    then = datetime.now(UTC) - timedelta(days=40)
    old = CertificateAuthority.create(TERMS.identifier, validity_days=30, now=then)

    def identity(role: str, name: str) -> TransportIdentity:
        credential = old.issue(role, name, now=then)
        return TransportIdentity(
            credential.certificate, credential.private_key, old.credential.certificate
        )

    address, recorder = serve(identity(COMPUTE_NODE, COMPUTE_NODE))
    error = joins(address, identity(RETAILER, "alder"))
    assert isinstance(error, Mismatch)
    assert str(error) == f"the compute-node at {address} shows a certificate that has expired"
    assert recorder.seen == []


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([uri(), uri(KEY_HOLDER, KEY_HOLDER)], "exactly one role: got 2 URIs, expected 1"),
        ([uri(), uri()], "exactly one role: got 2 URIs, expected 1"),
        ([x509.DNSName("alder.hecf")], "exactly one role: got 0 URIs, expected 1"),
        ([], "exactly one role: got 0 URIs, expected 1"),
        ([uri("auditor", "alder")], "names no role of a coalition"),
        ([x509.UniformResourceIdentifier("https://alder")], "names no role of a coalition"),
        ([uri(identifier="ab" * 16)], "belongs to another coalition"),
        ([uri(name="dogwood")], "not in the coalition's terms"),
    ],
)
def test_a_certificate_without_exactly_one_fitting_role_is_denied(
    node: tuple[str, Recorder], authority: CertificateAuthority, names: Any, problem: str
) -> None:
    address, recorder = node
    identity = forged(authority, names)
    error = joins(address, identity)
    assert isinstance(error, PermissionDenied)
    assert problem in str(error)
    assert recorder.seen == []
    with grpc.secure_channel(address, identity.client(), options=NAME_OPTION) as channel:
        with pytest.raises(grpc.RpcError) as got:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        denied: Any = got.value
        assert denied.code() == grpc.StatusCode.PERMISSION_DENIED


def test_the_name_comes_from_the_one_uri_and_never_from_a_dns_name() -> None:
    party = authenticated(TERMS.identifier, [b"key-holder", uri().value.encode()])
    assert (party.role, party.name) == (RETAILER, "alder")


@pytest.mark.parametrize(("role", "name"), [(RETAILER, "birch"), (KEY_HOLDER, KEY_HOLDER)], ids=str)
def test_a_client_refuses_a_server_of_another_role(
    serve: Any, authority: CertificateAuthority, retailer: TransportIdentity, role: str, name: str
) -> None:
    address, recorder = serve(identity_of(authority, role, name))
    # No second attempt would help, so the long patience is not used up.
    error = joins(address, retailer, patience=600)
    assert isinstance(error, Mismatch)
    assert str(error) == f"the compute-node at {address} shows the certificate of another party"
    assert recorder.seen == []


def test_a_client_refuses_a_server_of_another_coalition(
    serve: Any, retailer: TransportIdentity
) -> None:
    stranger = CertificateAuthority.create(TERMS.identifier)
    address, recorder = serve(identity_of(stranger, COMPUTE_NODE, COMPUTE_NODE))
    error = joins(address, retailer, patience=600)
    assert isinstance(error, Mismatch)
    assert str(error).endswith("shows a certificate that this coalition has not issued")
    assert recorder.seen == []


def test_nobody_there_is_said_after_patience(retailer: TransportIdentity) -> None:
    error = joins("127.0.0.1:1", retailer)
    assert isinstance(error, Unavailable)
    assert str(error) == "the compute-node at 127.0.0.1:1 cannot be reached"


def test_every_role_may_ask_for_health_and_nothing_else_of_it(
    node: tuple[str, Recorder], authority: CertificateAuthority
) -> None:
    address, _ = node
    request = health_pb2.HealthCheckRequest()
    for role, name in (
        (RETAILER, "cedar"),
        (KEY_HOLDER, KEY_HOLDER),
        (COMPUTE_NODE, COMPUTE_NODE),
    ):
        credentials = identity_of(authority, role, name).client()
        with grpc.secure_channel(address, credentials, options=NAME_OPTION) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            assert stub.Check(request, timeout=10).status == SERVING
            # A watch would hold a thread of the server for as long as the caller likes.
            with pytest.raises(grpc.RpcError) as got:
                next(stub.Watch(request, timeout=10))
            watched: Any = got.value
            assert watched.code() == grpc.StatusCode.UNIMPLEMENTED
    assert HEALTH_CHECK.endswith("/Check")
