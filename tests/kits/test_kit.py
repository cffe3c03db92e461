"""Kits that do not fit together are refused when they are opened, in words."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from processes import Provisioned, make_coalition

from hecf.errors import ConfigurationError
from hecf.kits.files import read_private
from hecf.kits.kit import Kit
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER, RETAILER, Party
from parties.provisioning.certificates import CertificateAuthority, Credential


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Provisioned:
    return make_coalition(tmp_path_factory.mktemp("kits") / "coalition")


@pytest.fixture(scope="module")
def authority(pristine: Provisioned) -> CertificateAuthority:
    folder = pristine.folder / "kits" / "authority"
    credential = Credential(
        (folder / "certificate.pem").read_bytes(), read_private(folder / "private-key.pem")
    )
    return CertificateAuthority(pristine.terms.identifier, credential)


@pytest.fixture
def kit(pristine: Provisioned, tmp_path: Path) -> Path:
    """A copy of a retailer's kit that a test may spoil."""
    shutil.copytree(pristine.kits["alder"], tmp_path / "alder")
    return tmp_path / "alder"


def write(kit: Path, credential: Credential) -> None:
    (kit / "certificate.pem").write_bytes(credential.certificate)
    (kit / "private-key.pem").write_bytes(credential.private_key)


def refusal(kit: Path) -> str:
    with pytest.raises(ConfigurationError) as got:
        Kit.load(kit / "party.toml")
    assert got.value.got is not None
    assert got.value.expected is not None
    return str(got.value)


def test_every_provisioned_kit_opens(pristine: Provisioned) -> None:
    roles = {COMPUTE_NODE: COMPUTE_NODE, KEY_HOLDER: KEY_HOLDER, "alder": RETAILER}
    for name, role in roles.items():
        kit = Kit.load(pristine.party(name), role=role)
        assert kit.party == Party(pristine.terms.identifier, role, name)
        assert kit.terms == pristine.terms
        assert kit.server_limits.message_bytes == 4 << 20
        assert kit.state.stat().st_mode & 0o777 == 0o700
        assert kit.output == pristine.kits[name] / "output"


def test_a_kit_of_another_role_is_refused(pristine: Provisioned) -> None:
    with pytest.raises(
        ConfigurationError, match="is the kit of another role: got retailer, expected compute-node"
    ):
        Kit.load(pristine.party("alder"), role=COMPUTE_NODE)


@pytest.mark.parametrize("other", ["birch", COMPUTE_NODE, KEY_HOLDER])
def test_the_certificate_of_another_party_is_refused(
    pristine: Provisioned, kit: Path, other: str
) -> None:
    for name in ("certificate.pem", "private-key.pem"):
        shutil.copy(pristine.kits[other] / name, kit / name)
    assert "does not belong to this kit" in refusal(kit)
    assert f"/{other}, expected spiffe://{pristine.terms.identifier}" in refusal(kit)


def test_the_certificate_of_another_coalition_is_refused(kit: Path) -> None:
    write(kit, CertificateAuthority.create("ab" * 16).issue(RETAILER, "alder"))
    assert "does not belong to this kit: got spiffe://abab" in refusal(kit)


def test_the_terms_of_another_coalition_are_refused(kit: Path, tmp_path: Path) -> None:
    other = make_coalition(tmp_path / "other")
    shutil.copy(other.kits["alder"] / "terms.json", kit / "terms.json")
    assert "does not belong to this kit" in refusal(kit)


def test_a_certificate_of_the_right_name_from_another_authority_is_refused(
    pristine: Provisioned, kit: Path
) -> None:
    stranger = CertificateAuthority.create(pristine.terms.identifier)
    write(kit, stranger.issue(RETAILER, "alder"))
    assert "certificate.pem was not issued by the kit's authority" in refusal(kit)
    # With the stranger's authority beside it the kit is whole again, and no peer will accept it.
    (kit / "authority.pem").write_bytes(stranger.credential.certificate)
    Kit.load(kit / "party.toml")


def test_the_key_of_another_certificate_is_refused(
    kit: Path, authority: CertificateAuthority
) -> None:
    other = authority.issue(RETAILER, "alder")
    (kit / "private-key.pem").write_bytes(other.private_key)
    assert "private-key.pem does not belong to the certificate: got another key" in refusal(kit)
    write(kit, other)
    Kit.load(kit / "party.toml")


@pytest.mark.parametrize("days", [-31, 2])
def test_a_certificate_out_of_its_time_is_refused(
    pristine: Provisioned, kit: Path, days: int
) -> None:
    then = datetime.now(UTC) + timedelta(days=days)
    other = CertificateAuthority.create(pristine.terms.identifier, validity_days=30, now=then)
    write(kit, other.issue(RETAILER, "alder", now=then))
    (kit / "authority.pem").write_bytes(other.credential.certificate)
    assert "certificate.pem is not valid now: got " in refusal(kit)


@pytest.mark.parametrize("name", ["certificate.pem", "private-key.pem", "authority.pem"])
@pytest.mark.parametrize(
    "spoil",
    [lambda data: b"", lambda data: data[:100], lambda data: bytes(len(data))],
    ids=["empty", "cut", "zeros"],
)
def test_a_broken_file_is_named(kit: Path, name: str, spoil: Callable[[bytes], bytes]) -> None:
    path = kit / name
    path.write_bytes(spoil(path.read_bytes()))
    assert refusal(kit).startswith(f"{path} ")


@pytest.mark.parametrize(
    "name", ["certificate.pem", "private-key.pem", "authority.pem", "terms.json"]
)
def test_a_missing_file_is_named(kit: Path, name: str) -> None:
    (kit / name).unlink()
    assert refusal(kit).startswith(f"{kit / name} cannot be read: got No such file")


def test_a_private_key_that_others_may_read_is_refused(kit: Path) -> None:
    (kit / "private-key.pem").chmod(0o644)
    assert "is open to others on this machine: got mode 0644" in refusal(kit)


def test_a_state_folder_that_cannot_be_made_is_named(kit: Path) -> None:
    shutil.rmtree(kit / "state")
    (kit / "state").write_text("a file")
    loaded = Kit.load(kit / "party.toml")
    with pytest.raises(ConfigurationError, match="state cannot be made: got File exists"):
        _ = loaded.state
