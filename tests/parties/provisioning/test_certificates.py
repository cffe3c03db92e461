"""Certificates, judged by a path validator and by a TLS handshake that are not ours."""

from __future__ import annotations

import copy
import pickle
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    ClientVerifier,
    PolicyBuilder,
    ServerVerifier,
    Store,
    VerificationError,
)

from hecf.errors import ConfigurationError
from hecf.rpc.identity import ROLES, Party, parse_party_uri, server_name
from parties.provisioning.certificates import CertificateAuthority, Credential, party_server_name

IDENTIFIER = "0123456789abcdef" * 2
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
PARTIES = [("compute-node", "compute-node"), ("key-holder", "key-holder"), ("retailer", "grocer")]


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority.create(IDENTIFIER, now=NOW)


def load(credential: Credential) -> x509.Certificate:
    return x509.load_pem_x509_certificate(credential.certificate)


def client_verifier(authority: CertificateAuthority, time: datetime = NOW) -> ClientVerifier:
    store = Store([load(authority.credential)])
    return PolicyBuilder().store(store).time(time).build_client_verifier()


def server_verifier(authority: CertificateAuthority, name: str) -> ServerVerifier:
    store = Store([load(authority.credential)])
    return PolicyBuilder().store(store).time(NOW).build_server_verifier(x509.DNSName(name))


@pytest.mark.parametrize(("role", "name"), PARTIES)
def test_a_party_is_valid_as_client_and_as_server(
    authority: CertificateAuthority, role: str, name: str
) -> None:
    leaf = load(authority.issue(role, name, now=NOW))
    verified = client_verifier(authority).verify(leaf, [])
    uris = [entry for entry in verified.subjects or [] if entry.value.startswith("spiffe:")]
    assert [parse_party_uri(str(uri.value)) for uri in uris] == [Party(IDENTIFIER, role, name)]
    chain = server_verifier(authority, party_server_name(IDENTIFIER, role, name)).verify(leaf, [])
    assert len(chain) == 2


def test_names_are_those_the_clients_insist_on() -> None:
    assert party_server_name(IDENTIFIER, "compute-node", "compute-node") == (
        f"compute-node.{IDENTIFIER}.hecf"
    )
    assert party_server_name(IDENTIFIER, "key-holder", "key-holder") == (
        server_name(IDENTIFIER, "key-holder")
    )
    assert party_server_name(IDENTIFIER, "retailer", "grocer") == (
        f"grocer.retailer.{IDENTIFIER}.hecf"
    )


@pytest.mark.parametrize(("role", "name"), PARTIES)
def test_extensions_of_a_party(authority: CertificateAuthority, role: str, name: str) -> None:
    leaf = load(authority.issue(role, name, now=NOW))
    extensions = leaf.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert len(list(names)) == 2
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        f"spiffe://{IDENTIFIER}.hecf/{role}/{name}"
    ]
    assert names.get_values_for_type(x509.DNSName) == [party_server_name(IDENTIFIER, role, name)]
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign


def test_extensions_of_the_authority(authority: CertificateAuthority) -> None:
    certificate = load(authority.credential)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature
    certificate.verify_directly_issued_by(certificate)


def test_validity_is_backdated_and_ends_with_the_authority(
    authority: CertificateAuthority,
) -> None:
    certificate = load(authority.credential)
    assert certificate.not_valid_before_utc == NOW - timedelta(minutes=5)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=365)
    later = NOW + timedelta(days=100)
    leaf = load(authority.issue("retailer", "grocer", now=later))
    assert leaf.not_valid_before_utc == later - timedelta(minutes=5)
    assert leaf.not_valid_after_utc == certificate.not_valid_after_utc


def test_the_time_of_issue_is_now_unless_given() -> None:
    before = datetime.now(UTC)
    certificate = load(CertificateAuthority.create(IDENTIFIER, validity_days=2).credential)
    assert before - timedelta(minutes=6) < certificate.not_valid_before_utc < before
    assert certificate.not_valid_after_utc > before + timedelta(days=1)


def test_expired_and_early_certificates_do_not_verify(authority: CertificateAuthority) -> None:
    leaf = load(authority.issue("retailer", "grocer", now=NOW))
    client_verifier(authority, NOW + timedelta(days=364)).verify(leaf, [])
    for time in (NOW + timedelta(days=366), NOW - timedelta(minutes=6)):
        with pytest.raises(VerificationError):
            client_verifier(authority, time).verify(leaf, [])
    with pytest.raises(ConfigurationError, match="expired"):
        authority.issue("retailer", "grocer", now=NOW + timedelta(days=366))


def test_a_foreign_authority_of_the_same_name_does_not_verify(
    authority: CertificateAuthority,
) -> None:
    foreign = CertificateAuthority.create(IDENTIFIER, now=NOW)
    assert load(foreign.credential).subject == load(authority.credential).subject
    leaf = load(foreign.issue("retailer", "grocer", now=NOW))
    client_verifier(foreign).verify(leaf, [])
    with pytest.raises(VerificationError):
        client_verifier(authority).verify(leaf, [])


def test_another_server_name_does_not_verify(authority: CertificateAuthority) -> None:
    leaf = load(authority.issue("compute-node", "compute-node", now=NOW))
    for name in (server_name(IDENTIFIER, "key-holder"), server_name("f" * 32, "compute-node")):
        with pytest.raises(VerificationError):
            server_verifier(authority, name).verify(leaf, [])
    with pytest.raises(VerificationError):
        server_verifier(authority, "localhost").verify(leaf, [])


def test_a_party_cannot_sign_another(authority: CertificateAuthority) -> None:
    party = authority.issue("retailer", "grocer", now=NOW)
    forged = CertificateAuthority(IDENTIFIER, party).issue("key-holder", "key-holder", now=NOW)
    with pytest.raises(VerificationError):
        client_verifier(authority).verify(load(forged), [load(party)])


def test_keys_fit_their_certificates_and_differ(authority: CertificateAuthority) -> None:
    credentials = [authority.credential]
    credentials += [authority.issue(role, name, now=NOW) for role, name in [*PARTIES, PARTIES[0]]]
    points, serials = set(), set()
    for credential in credentials:
        assert credential.private_key.startswith(b"-----BEGIN PRIVATE KEY-----")
        key = serialization.load_pem_private_key(credential.private_key, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(key.curve, ec.SECP256R1)
        assert key.public_key() == load(credential).public_key()
        points.add(key.private_numbers().private_value)
        serials.add(load(credential).serial_number)
    assert len(points) == len(serials) == len(credentials)


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("auditor", "grocer"),
        ("retailer", "Grocer"),
        ("retailer", "a/b"),
        ("retailer", ""),
        ("retailer", "a" * 64),
        ("retailer", "grocer\n"),
        ("compute-node", "grocer"),
        ("key-holder", "compute-node"),
    ],
)
def test_who_is_no_party_gets_no_certificate(
    authority: CertificateAuthority, role: str, name: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"got role .* expected a known role"):
        authority.issue(role, name, now=NOW)


@pytest.mark.parametrize("identifier", ["", "0" * 31, "G" * 32, "0" * 32 + ".evil"])
def test_an_identifier_of_another_form_is_refused(identifier: str) -> None:
    with pytest.raises(ConfigurationError, match=r"expected .* 32 hex digits"):
        CertificateAuthority.create(identifier)


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_a_validity_out_of_range_is_refused(days: int) -> None:
    with pytest.raises(ConfigurationError, match=f"got {days} days, expected 1 to 3650 days"):
        CertificateAuthority.create(IDENTIFIER, validity_days=days)


def test_a_credential_hides_its_key(authority: CertificateAuthority) -> None:
    assert "PRIVATE" in authority.credential.private_key.decode()
    assert "PRIVATE" not in repr(authority.credential)
    assert "PRIVATE" not in repr(authority)
    for spread in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="private key"):
            spread(authority.credential)


def write(folder: Path, credential: Credential, authority: CertificateAuthority) -> ssl.SSLContext:
    """Make a context whose purpose is set by the caller's `wrap_bio`; both sides verify."""
    folder.mkdir()
    (folder / "certificate.pem").write_bytes(credential.certificate)
    (folder / "private-key.pem").write_bytes(credential.private_key)
    context = ssl.SSLContext(
        ssl.PROTOCOL_TLS_SERVER if folder.name == "server" else ssl.PROTOCOL_TLS_CLIENT
    )
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "certificate.pem", folder / "private-key.pem")
    context.load_verify_locations(cadata=authority.credential.certificate.decode())
    return context


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> object:
    """Run a mutual handshake in memory and return the client certificate the server saw."""
    upward, downward = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(downward, upward, server_hostname=name),
        server.wrap_bio(upward, downward, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[1].getpeercert()


def test_openssl_accepts_the_parties_and_refuses_strangers(tmp_path: Path) -> None:
    authority, foreign = (CertificateAuthority.create(IDENTIFIER) for _ in range(2))
    node = authority.issue("compute-node", "compute-node")
    server = write(tmp_path / "server", node, authority)
    grocer = write(tmp_path / "grocer", authority.issue("retailer", "grocer"), authority)
    stranger = write(tmp_path / "stranger", foreign.issue("retailer", "grocer"), authority)
    name = server_name(IDENTIFIER, "compute-node")
    seen = handshake(server, grocer, name)
    assert isinstance(seen, dict)
    assert ("URI", f"spiffe://{IDENTIFIER}.hecf/retailer/grocer") in seen["subjectAltName"]
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, grocer, server_name(IDENTIFIER, "key-holder"))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, stranger, name)


def test_the_roles_of_this_test_are_all_roles() -> None:
    assert {role for role, _ in PARTIES} == set(ROLES)
