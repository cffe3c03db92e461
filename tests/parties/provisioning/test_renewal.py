"""A certificate is replaced in a running coalition: overlap, then the end of the old one (C04)."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from coalitions import make_client
from processes import Provisioned, make_coalition

from hecf.errors import ConfigurationError, HecfError, PermissionDenied
from hecf.kits.kit import Kit
from hecf.rpc.allowed import AllowedCertificates, fingerprint_of
from hecf.rpc.client import ComputeNodeClient
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER
from parties.processes.compute_node import ComputeNodeProcess
from parties.provisioning import renewal
from parties.provisioning.renewal import IdentityFiles, renew

SERVERS = (COMPUTE_NODE, KEY_HOLDER)


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Provisioned:
    return make_coalition(tmp_path_factory.mktemp("renewal") / "coalition")


@pytest.fixture
def kits(provisioned: Provisioned, tmp_path: Path) -> Path:
    return Path(shutil.copytree(provisioned.folder / "kits", tmp_path / "kits"))


def allowed(kits: Path, server: str) -> AllowedCertificates:
    return AllowedCertificates.from_text((kits / server / "allowed.txt").read_text())


def fingerprint(kits: Path, name: str) -> str:
    return fingerprint_of((kits / name / "certificate.pem").read_bytes())


def test_provisioning_allows_every_party_and_nobody_else(kits: Path) -> None:
    names = (*SERVERS, "alder", "birch")
    for server in SERVERS:
        entries = {entry.name: entry.fingerprint for entry in allowed(kits, server).entries}
        assert entries == {name: fingerprint(kits, name) for name in names}


def test_both_certificates_count_until_the_overlap_ends(kits: Path) -> None:
    old, now = fingerprint(kits, "alder"), datetime.now(UTC)
    made = renew(kits, "alder", overlap_hours=2, now=now)
    assert made.fingerprint == fingerprint(kits, "alder") != old
    assert Kit.load(kits / "alder" / "party.toml").party.name == "alder"
    for server in SERVERS:
        current = allowed(kits, server)
        for minutes, counts in ((0, True), (119, True), (121, False)):
            at = now + timedelta(minutes=minutes)
            current.check(made.fingerprint, "alder", at)
            if counts:
                current.check(old, "alder", at)
            else:
                with pytest.raises(PermissionDenied):
                    current.check(old, "alder", at)
        # Nobody else is touched.
        current.check(fingerprint(kits, "birch"), "birch", now + timedelta(days=99))


@pytest.mark.parametrize(
    ("name", "hours", "problem"),
    [("dogwood", 1.0, "is no kit"), ("../alder", -1.0, "overlap"), ("alder", 1e9, "overlap")],
)
def test_a_renewal_that_cannot_be_changes_nothing(
    kits: Path, name: str, hours: float, problem: str
) -> None:
    before = {path: path.read_bytes() for path in kits.rglob("*") if path.is_file()}
    with pytest.raises(ConfigurationError, match=problem):
        renew(kits, name, overlap_hours=hours)
    shutil.rmtree(kits / "authority")
    with pytest.raises(ConfigurationError, match="authority"):
        renew(kits, "alder")
    for path, content in before.items():
        assert not path.exists() or path.read_bytes() == content


def test_half_a_renewal_leaves_the_identity_before_it(
    kits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = Kit.load(kits / COMPUTE_NODE / "party.toml")
    current = IdentityFiles(kit)
    assert current() is kit.identity
    write: Callable[[Path, bytes], None] = renewal.write_private

    def interrupted(path: Path, data: bytes) -> None:
        if path.name == "certificate.pem":
            raise ConfigurationError("the disk is full")
        write(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(renewal, "write_private", interrupted)
        with pytest.raises(ConfigurationError, match="the disk is full"):
            renew(kits, COMPUTE_NODE)
    assert current() is kit.identity
    renew(kits, COMPUTE_NODE)
    assert current().certificate == (kits / COMPUTE_NODE / "certificate.pem").read_bytes()


def test_a_running_node_follows_its_files(kits: Path, provisioned: Provisioned) -> None:
    node = ComputeNodeProcess(Kit.load(kits / COMPUTE_NODE / "party.toml"))
    node.start()
    address = f"127.0.0.1:{provisioned.ports[COMPUTE_NODE]}"
    clients = []

    def joins(identity_of: str) -> Callable[[], HecfError | None]:
        kit = Kit.load(kits / identity_of / "party.toml")
        client = make_client(ComputeNodeClient, kit.terms, address, kit.identity)
        clients.append(client)

        def join() -> HecfError | None:
            try:
                client.join(kit.terms)
            except HecfError as error:
                return error
            return None

        return join

    try:
        before, birch = joins("alder"), joins("birch")
        assert before() is None
        assert birch() is None
        renew(kits, "alder", overlap_hours=1)
        after = joins("alder")
        assert within(after, None)
        assert before() is None
        renew(kits, "alder", overlap_hours=0)
        # The channel is open all the while.
        assert within(before, PermissionDenied)
        assert within(after, PermissionDenied)
        assert within(joins("alder"), None)
        assert birch() is None
    finally:
        for client in clients:
            client.close()
        node.stop()


def within(call: Callable[[], HecfError | None], kind: type[HecfError] | None) -> bool:
    """Whether a call ends so within the five seconds of the control."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        error = call()
        if type(error) is (kind or type(None)):
            return True
        time.sleep(0.1)
    return False
