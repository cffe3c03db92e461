"""One certificate authority per coalition, and a certificate for each party.

The certificates follow RFC 5280 with the SPIFFE profile for the name of a party (X.509-SVID,
section 2: exactly one URI among the alternative names). Nothing outside a coalition trusts its
authority, and its parties trust nothing else (controls C01 and C02).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hecf.errors import ConfigurationError, PermissionDenied
from hecf.rpc.identity import (
    COMPUTE_NODE,
    RETAILER,
    Party,
    parse_party_uri,
    party_uri,
    server_name,
)

DEFAULT_VALIDITY_DAYS = 365
LONGEST_VALIDITY_DAYS = 3650
# The clocks of two companies differ by a little; a new certificate is valid on both at once.
BACKDATED = timedelta(minutes=5)


@dataclass(frozen=True)
class Credential:
    """A certificate and the private key that belongs to it, as PEM text.

    Parameters
    ----------
    certificate : bytes
        X.509 certificate; public.
    private_key : bytes
        Unencrypted PKCS #8; whoever reads it is this party (threat T8).

    Security
    --------
    The key does not appear in the ``repr`` and the object cannot be pickled. Write it with
    :func:`hecf.kits.files.write_private` only.
    """

    certificate: bytes
    private_key: bytes = field(repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a credential holds a private key and cannot be pickled or copied")


@dataclass(frozen=True)
class CertificateAuthority:
    """The authority of one coalition; made by :meth:`create`.

    Parameters
    ----------
    identifier : str
        The coalition's 32 hexadecimal digits.
    credential : Credential
        The self-signed certificate and its key.

    Security
    --------
    Whoever holds the key can be any party. It is needed again only to issue certificates, so it
    belongs offline.
    """

    identifier: str
    credential: Credential

    @classmethod
    def create(
        cls,
        identifier: str,
        *,
        validity_days: int = DEFAULT_VALIDITY_DAYS,
        now: datetime | None = None,
    ) -> CertificateAuthority:
        """Draw a P-256 key and sign a certificate that may sign parties and no authorities.

        Parameters
        ----------
        identifier : str
            The coalition's 32 hexadecimal digits.
        validity_days : int
            Days from `now` until the certificate expires, 1 to 3650.
        now : datetime, optional
            Aware time of issue; the current time by default.

        Raises
        ------
        ConfigurationError
            If the identifier or the validity is out of range.
        """
        _check_identity(identifier, COMPUTE_NODE, COMPUTE_NODE)
        if not 1 <= validity_days <= LONGEST_VALIDITY_DAYS:
            raise ConfigurationError(
                "the validity of the certificates is out of range",
                got=f"{validity_days} days",
                expected=f"1 to {LONGEST_VALIDITY_DAYS} days",
            )
        issued = now or datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(identifier, "authority")
        certificate = (
            _builder(key.public_key(), name, name)
            .not_valid_before(issued - BACKDATED)
            .not_valid_after(issued + timedelta(days=validity_days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        return cls(identifier, _credential(certificate, key))

    def issue(self, role: str, name: str, *, now: datetime | None = None) -> Credential:
        """Draw a key for a party and sign its certificate, which ends with the authority's.

        Parameters
        ----------
        role : {"compute-node", "key-holder", "retailer"}
            What the party is.
        name : str
            Which one it is; for node and key holder the same word as the role.
        now : datetime, optional
            Aware time of issue; the current time by default.

        Raises
        ------
        ConfigurationError
            If role and name do not name a party, or the authority has expired.
        """
        _check_identity(self.identifier, role, name)
        authority = x509.load_pem_x509_certificate(self.credential.certificate)
        signer = serialization.load_pem_private_key(self.credential.private_key, None)
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            raise ConfigurationError(
                "the authority's key has another kind",
                got=type(signer).__name__,
                expected="an elliptic-curve key",
            )
        issued = now or datetime.now(UTC)
        if issued >= authority.not_valid_after_utc:
            raise ConfigurationError(
                "the authority has expired",
                got=authority.not_valid_after_utc.isoformat(),
                expected=f"a time after {issued.isoformat()}",
            )
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName(
            [
                x509.UniformResourceIdentifier(party_uri(self.identifier, role, name)),
                x509.DNSName(party_server_name(self.identifier, role, name)),
            ]
        )
        # Every party serves and calls: the node is called by all and calls the key holder.
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        start = max(issued - BACKDATED, authority.not_valid_before_utc)
        certificate = (
            _builder(key.public_key(), _name(self.identifier, name), authority.subject)
            .not_valid_before(start)
            .not_valid_after(authority.not_valid_after_utc)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(alternatives, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
                critical=False,
            )
            .sign(signer, hashes.SHA256())
        )
        return _credential(certificate, key)


def party_server_name(identifier: str, role: str, name: str) -> str:
    """DNS name in a party's certificate; a retailer's own name comes before its role."""
    base = server_name(identifier, role)
    return f"{name}.{base}" if role == RETAILER else base


def _check_identity(identifier: str, role: str, name: str) -> None:
    """Refuse to sign what the other parties would not read back as the same party."""
    try:
        agrees = parse_party_uri(party_uri(identifier, role, name)) == Party(identifier, role, name)
    except PermissionDenied:
        agrees = False
    if not agrees or (role != RETAILER and name != role):
        raise ConfigurationError(
            "no certificate can name this party",
            got=f"role {role!r} and name {name!r} in coalition {identifier!r}",
            expected="a known role, a name of lower-case letters, digits and hyphens, "
            "and a coalition of 32 hex digits",
        )


def _builder(
    public_key: ec.EllipticCurvePublicKey, subject: x509.Name, issuer: x509.Name
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _name(identifier: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"hecf {identifier}"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    """Let an authority sign certificates and nothing else, and a party handshakes only."""
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _credential(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Credential:
    return Credential(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
