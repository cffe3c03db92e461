"""Open a party's kit: its configuration, the coalition's terms, and its TLS identity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from hecf.errors import ConfigurationError
from hecf.kits.configuration import FilesSection, PartyConfiguration
from hecf.kits.files import read_limited, read_private
from hecf.protocol.terms import Terms
from hecf.rpc.allowed import AllowedFile
from hecf.rpc.credentials import TransportIdentity
from hecf.rpc.identity import Party, party_uri
from hecf.rpc.quotas import ServerLimits
from hecf.rpc.spool import SpoolLimits

_LARGEST_FILE = 1 << 20


@dataclass(frozen=True)
class Kit:
    """Everything a party needs to start, checked for consistency.

    Parameters
    ----------
    configuration : PartyConfiguration
    terms : Terms
    identity : TransportIdentity
    party : Party
    """

    configuration: PartyConfiguration
    terms: Terms
    identity: TransportIdentity
    party: Party

    @classmethod
    def load(cls, path: Path, *, role: str | None = None) -> Kit:
        """Load the kit of a ``party.toml``.

        Parameters
        ----------
        path : Path
        role : str, optional
            The role it must be for.

        Raises
        ------
        ConfigurationError
            If a file is missing or too open, or the files belong to different coalitions or
            parties.
        """
        configuration = PartyConfiguration.load(path)
        section, files = configuration.party, configuration.files
        if role is not None and section.role != role:
            raise ConfigurationError(
                f"{path} is the kit of another role", got=section.role, expected=role
            )
        terms = Terms.from_json(read_limited(files.terms, _LARGEST_FILE).decode("utf-8", "replace"))
        party = Party(terms.identifier, section.role, section.name)
        identity = load_identity(files, party)
        if section.role == "retailer" and section.name not in terms.retailers:
            raise ConfigurationError(
                "the kit's retailer is not in the terms",
                got=section.name,
                expected=" or ".join(terms.retailers),
            )
        return cls(configuration, terms, identity, party)

    @property
    def server_limits(self) -> ServerLimits:
        """Caps for a server of this kit."""
        limits = self.configuration.limits
        return ServerLimits(
            message_bytes=limits.message_bytes,
            upload_bytes=limits.upload_bytes,
            concurrent_calls=limits.concurrent_calls,
            party_calls=limits.party_calls,
            calls_per_minute=limits.party_calls_per_minute,
            bytes_per_minute=limits.bytes_per_minute,
            call_seconds=limits.call_seconds,
        )

    @property
    def spool_limits(self) -> SpoolLimits:
        """Caps of what may be arriving at a compute node of this kit."""
        limits = self.configuration.limits
        return SpoolLimits(
            upload_bytes=limits.upload_bytes,
            party_bytes=limits.party_arriving_bytes,
            total_bytes=limits.arriving_bytes,
        )

    @property
    def allowed(self) -> AllowedFile:
        """Certificates that may call the server of this kit."""
        path = self.configuration.files.allowed
        if path is None:
            raise ConfigurationError(
                "the kit names no allowed certificates", expected="files.allowed"
            )
        return AllowedFile(path)

    @property
    def state(self) -> Path:
        """Folder for what the party must keep."""
        return _folder(self.configuration.files.state)

    @property
    def output(self) -> Path:
        """Folder for results and the summary."""
        return _folder(self.configuration.files.output)


def load_identity(files: FilesSection, party: Party) -> TransportIdentity:
    """Read certificate, key and authority, and check that they belong together and to a party.

    Raises
    ------
    ConfigurationError
        If one is missing, too open, expired or another's.
    """
    identity = TransportIdentity(
        certificate=read_limited(files.certificate, _LARGEST_FILE),
        private_key=read_private(files.private_key),
        authority=read_limited(files.authority, _LARGEST_FILE),
    )
    expected = party_uri(party.identifier, party.role, party.name)
    found = _uris(identity.certificate, files.certificate)
    if found != [expected]:
        raise ConfigurationError(
            f"{files.certificate} does not belong to this kit",
            got=", ".join(found) or "no URI",
            expected=expected,
        )
    _check_credential(identity, files)
    return identity


def _check_credential(identity: TransportIdentity, files: FilesSection) -> None:
    """Refuse now what would fail later as a handshake that nobody can explain."""
    certificate = _certificate(identity.certificate, files.certificate)
    authority = _certificate(identity.authority, files.authority)
    try:
        key = serialization.load_pem_private_key(identity.private_key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(
            f"{files.private_key} cannot be read", got="other bytes", expected="a private key"
        ) from None
    if key.public_key() != certificate.public_key():
        raise ConfigurationError(
            f"{files.private_key} does not belong to the certificate",
            got="another key",
            expected=f"the key of {files.certificate}",
        )
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        raise ConfigurationError(
            f"{files.certificate} was not issued by the kit's authority",
            got="another issuer",
            expected=f"the authority of {files.authority}",
        ) from None
    now = datetime.now(UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise ConfigurationError(
            f"{files.certificate} is not valid now",
            got=f"{now:%Y-%m-%d %H:%M} UTC",
            expected=f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} "
            f"to {certificate.not_valid_after_utc:%Y-%m-%d %H:%M}",
        )


def _folder(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be made", got=error.strerror, expected="a writable folder"
        ) from None
    return path


def _certificate(pem: bytes, path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise ConfigurationError(
            f"{path} cannot be read", got="other bytes", expected="a certificate"
        ) from None


def _uris(pem: bytes, path: Path) -> list[str]:
    try:
        names = _certificate(pem, path).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        return names.value.get_values_for_type(x509.UniformResourceIdentifier)
    except (ValueError, x509.ExtensionNotFound):
        raise ConfigurationError(f"{path} is no certificate of a party") from None
