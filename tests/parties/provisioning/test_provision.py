"""Start-up kits: what lies where, who can read it, and that a failure leaves nothing."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

import parties
from hecf.data import complete_journey
from hecf.data.directory import MemberDirectory, PseudonymKey
from hecf.errors import ConfigurationError
from hecf.kits.configuration import PartyConfiguration
from hecf.kits.files import read_private
from hecf.protocol.terms import Terms
from hecf.rpc.identity import parse_party_uri
from parties.provisioning import provision as module
from parties.provisioning.certificates import CertificateAuthority
from parties.provisioning.configuration import CoalitionConfiguration
from parties.provisioning.provision import Provisioned, provision

MEMBERS = tuple(f"{number:04d}" for number in range(120))
COALITION = """\
[coalition]
name = "loyal"
scheme = "clear"
factors = 8
[members]
path = "members.txt"
[compute_node]
address = "127.0.0.1:50151"
[key_holder]
address = "127.0.0.1:50152"
[retailers.produce]
interactions = "data/pro \\"duce\\u00e9.csv"
held_out_members = "data/hidden.txt"
weighting = "log1p"
[retailers.grocer]
source = "complete-journey"
items = "product"
[evaluation]
held_out_fraction = 0.25
seed = 7
[limits]
patience_seconds = 0.00001
"""
COMMON = {"certificate.pem", "private-key.pem", "authority.pem", "terms.json", "party.toml"}
RETAILER_ONLY = {"pseudonym.key", "directory.txt"}


def coalition(folder: Path, text: str = COALITION) -> CoalitionConfiguration:
    (folder / "data").mkdir(exist_ok=True)
    for name in ('pro "duceé.csv', "hidden.txt"):
        (folder / "data" / name).touch()
    if not (folder / "members.txt").exists():
        (folder / "members.txt").write_text("\n".join(MEMBERS) + "\n")
    (folder / "coalition.toml").write_text(text)
    return CoalitionConfiguration.load(folder / "coalition.toml")


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Provisioned:
    folder = tmp_path_factory.mktemp("coalition")
    return provision(coalition(folder), folder / "kits")


def out_of(provisioned: Provisioned) -> Path:
    return provisioned.kits["compute-node"].parent


def files_of(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir() if entry.is_file()}


def pseudonyms_of(provisioned: Provisioned) -> set[bytes]:
    text = (provisioned.kits["grocer"] / "directory.txt").read_text()
    return set(MemberDirectory.from_text(text).pseudonyms)


def test_every_party_has_its_files_and_no_others(provisioned: Provisioned) -> None:
    kits = provisioned.kits
    assert list(kits) == ["compute-node", "key-holder", "produce", "grocer"]
    assert {entry.name for entry in out_of(provisioned).iterdir()} == {*kits, "authority"}
    assert files_of(kits["compute-node"]) == {*COMMON, "allowed.txt"}
    assert files_of(kits["key-holder"]) == {*COMMON, "storage.key", "allowed.txt", "ledger.witness"}
    assert files_of(kits["produce"]) == files_of(kits["grocer"]) == COMMON | RETAILER_ONLY
    authority = out_of(provisioned) / "authority"
    assert files_of(authority) == {"certificate.pem", "private-key.pem", "README.txt"}
    note = (authority / "README.txt").read_text()
    assert note.count("\n") == 1
    assert "offline" in note


def test_only_the_owner_can_open_anything(provisioned: Provisioned) -> None:
    out = out_of(provisioned)
    modes = {
        path: stat.S_IMODE(path.stat().st_mode)
        for path in (out, *out.rglob("*"))
        if not path.is_symlink()
    }
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert len(read_private(provisioned.kits["key-holder"] / "storage.key")) == 32


def where(out: Path, secret: bytes) -> set[str]:
    """Folders with a file that holds a secret as bytes or in hexadecimal."""
    return {
        path.relative_to(out).parts[0]
        for path in out.rglob("*")
        if path.is_file()
        and (secret in path.read_bytes() or secret.hex().encode() in path.read_bytes().lower())
    }


def test_secrets_lie_in_the_kits_of_their_roles_only(provisioned: Provisioned) -> None:
    out, kits = out_of(provisioned), provisioned.kits
    secret = (kits["grocer"] / "pseudonym.key").read_bytes()
    assert len(secret) == 32
    assert where(out, secret) == {"grocer", "produce"}
    assert where(out, (kits["key-holder"] / "storage.key").read_bytes()) == {"key-holder"}
    for pseudonym in pseudonyms_of(provisioned):
        assert where(out, pseudonym) == {"grocer", "produce"}
        break
    for name, folder in {**kits, "authority": out / "authority"}.items():
        assert where(out, (folder / "private-key.pem").read_bytes()) == {name}


def test_the_scan_for_secrets_can_find_one(tmp_path: Path) -> None:
    (tmp_path / "compute-node").mkdir()
    (tmp_path / "key-holder").mkdir()
    (tmp_path / "compute-node" / "log").write_bytes(b"x" + b"secret" + b"x")
    (tmp_path / "key-holder" / "log").write_text(b"secret".hex().upper())
    assert where(tmp_path, b"secret") == {"compute-node", "key-holder"}


def test_every_kit_has_the_same_terms_and_the_directory_fits(provisioned: Provisioned) -> None:
    texts = {(folder / "terms.json").read_text() for folder in provisioned.kits.values()}
    assert len(texts) == 1
    terms = Terms.from_json(texts.pop())
    assert terms == provisioned.terms
    assert terms.identifier == provisioned.identifier
    assert terms.retailers == ("produce", "grocer")
    assert terms.shoppers == len(MEMBERS)
    kit = provisioned.kits["grocer"]
    directory = MemberDirectory.from_text((kit / "directory.txt").read_text())
    assert directory.fingerprint == terms.directory
    key = PseudonymKey.from_bytes(read_private(kit / "pseudonym.key"))
    assert sorted(directory.position(key.pseudonym(member)) or 0 for member in MEMBERS) == list(
        range(len(MEMBERS))
    )
    assert directory.position(key.pseudonym("no member")) is None


def test_certificates_verify_and_name_their_parties(provisioned: Provisioned) -> None:
    root = (out_of(provisioned) / "authority" / "certificate.pem").read_bytes()
    store = Store([x509.load_pem_x509_certificate(root)])
    verifier = PolicyBuilder().store(store).build_client_verifier()
    roles = {"compute-node": "compute-node", "key-holder": "key-holder"}
    for name, folder in provisioned.kits.items():
        assert (folder / "authority.pem").read_bytes() == root
        leaf = x509.load_pem_x509_certificate((folder / "certificate.pem").read_bytes())
        subjects = verifier.verify(leaf, []).subjects or []
        party = parse_party_uri(
            next(str(entry.value) for entry in subjects if "://" in entry.value)
        )
        assert party.identifier == provisioned.identifier
        assert (party.role, party.name) == (roles.get(name, "retailer"), name)


def test_kits_load_and_find_their_files(provisioned: Provisioned) -> None:
    for name, folder in provisioned.kits.items():
        kit = PartyConfiguration.load(folder / "party.toml")
        assert kit.party.name == name
        named = [path for path in kit.files.model_dump().values() if path is not None]
        assert {path.name for path in named if path.is_file()} == files_of(folder) - {"party.toml"}
        assert {path.name for path in named if path.is_dir()} == {"state", "output"}
        assert kit.compute_node.address == "127.0.0.1:50151"
        assert kit.key_holder.address == "127.0.0.1:50152"
        assert kit.limits.patience_seconds == 0.00001
    source = out_of(provisioned).parent
    produce = PartyConfiguration.load(provisioned.kits["produce"] / "party.toml")
    assert produce.data is not None
    assert produce.data.interactions == source / "data" / 'pro "duceé.csv'
    assert produce.data.held_out_members == source / "data" / "hidden.txt"
    assert produce.data.weighting == "log1p"
    assert produce.evaluation is not None
    assert (produce.evaluation.held_out_fraction, produce.evaluation.seed) == (0.25, 7)
    grocer = PartyConfiguration.load(provisioned.kits["grocer"] / "party.toml")
    assert grocer.data is not None
    assert (grocer.data.source, grocer.data.items) == ("complete-journey", "product")


def test_two_provisionings_share_nothing(tmp_path: Path, provisioned: Provisioned) -> None:
    again = provision(coalition(tmp_path), tmp_path / "kits")
    assert again.identifier != provisioned.identifier
    assert len(pseudonyms_of(again)) == len(pseudonyms_of(provisioned)) == len(MEMBERS)
    assert pseudonyms_of(again).isdisjoint(pseudonyms_of(provisioned))
    storage = [made.kits["key-holder"] / "storage.key" for made in (again, provisioned)]
    assert storage[0].read_bytes() != storage[1].read_bytes()


def dictionary_attack(stored: set[bytes], digest: Callable[[str], bytes]) -> int:
    return sum(digest(f"{number:04d}") in stored for number in range(10_000))


def test_a_dictionary_of_ids_matches_no_pseudonym(provisioned: Provisioned) -> None:
    def unkeyed(member: str) -> bytes:
        return hashlib.sha256(member.encode()).digest()

    assert dictionary_attack(pseudonyms_of(provisioned), unkeyed) == 0
    # The controls: the attack succeeds on unkeyed hashes, and for who holds the key.
    assert dictionary_attack({unkeyed(member) for member in MEMBERS}, unkeyed) == len(MEMBERS)
    key = PseudonymKey.from_bytes((provisioned.kits["grocer"] / "pseudonym.key").read_bytes())
    assert dictionary_attack(pseudonyms_of(provisioned), key.pseudonym) == len(MEMBERS)


def test_the_result_is_immutable(provisioned: Provisioned) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        provisioned.identifier = "0" * 32  # type: ignore[misc]
    with pytest.raises(TypeError):
        provisioned.kits["late"] = Path()  # type: ignore[index]


def test_the_demonstration_is_provisioned(tmp_path: Path) -> None:
    path = Path(str(parties.__file__)).parent / "complete-journey.toml"
    made = provision(CoalitionConfiguration.load(path), tmp_path / "kits")
    assert made.terms.shoppers == len(complete_journey.members()) == 2467
    assert made.terms.retailers == tuple(complete_journey.RETAILERS)
    assert set(made.kits) == {"compute-node", "key-holder", *complete_journey.RETAILERS}


def test_an_empty_folder_is_filled_and_a_full_one_refused(tmp_path: Path) -> None:
    configuration = coalition(tmp_path)
    out = tmp_path / "kits"
    out.mkdir()
    provision(configuration, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(ConfigurationError, match="got 5 entries, expected a new or empty folder"):
        provision(configuration, out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    with pytest.raises(ConfigurationError, match="got a file, expected a new or empty folder"):
        provision(configuration, tmp_path / "members.txt")
    with pytest.raises(ConfigurationError, match="no folder above it"):
        provision(configuration, tmp_path / "none" / "kits")


@pytest.mark.parametrize("mark", ["issue", "write_private", "rename"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "disk is full")])
def test_a_failure_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str, error: BaseException
) -> None:
    configuration = coalition(tmp_path)
    before = sorted(tmp_path.iterdir())
    seen: list[int] = []

    def failing(*_: object, **__: object) -> None:
        # The control: at this moment there is something to clean up.
        seen.append(len(sorted(tmp_path.iterdir())) - len(before))
        raise error

    owner = {"issue": CertificateAuthority, "write_private": module, "rename": Path}[mark]
    monkeypatch.setattr(owner, mark, failing)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else ConfigurationError
    with pytest.raises(expected):
        provision(configuration, tmp_path / "kits")
    monkeypatch.undo()
    assert seen == [1]
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_filled_meanwhile_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = coalition(tmp_path)
    out = tmp_path / "kits"

    def filling(*arguments: object) -> None:
        out.mkdir()
        (out / "precious").touch()

    monkeypatch.setattr(module, "_write_authority", filling)
    with pytest.raises(ConfigurationError, match="cannot be put into"):
        provision(configuration, out)
    assert files_of(out) == {"precious"}
    assert not list(tmp_path.glob(".kits-*"))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("hidden.txt", "none.txt", r"retailers\.produce\.held_out_members names no file"),
        ("pro ", "none ", r"retailers\.produce\.interactions names no file: got .* a file"),
        ("[retailers.grocer]", "[retailers.baker]", "got 'baker', expected one of grocer, "),
        ("members.txt", "none.txt", "No such file"),
        ("members.txt", "members.xlsx", "got '.xlsx', expected .csv or .txt"),
    ],
)
def test_sources_that_do_not_exist_are_refused(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    assert COALITION.count(old) == 1
    configuration = coalition(tmp_path, COALITION.replace(old, new))
    with pytest.raises(ConfigurationError, match=sentence):
        provision(configuration, tmp_path / "kits")
    assert not (tmp_path / "kits").exists()


def test_a_kit_may_name_a_file_that_only_its_retailer_has(tmp_path: Path) -> None:
    text = re.sub('interactions = "data/pro.*', "", COALITION)
    assert text != COALITION
    made = provision(coalition(tmp_path, text), tmp_path / "kits")
    moved = tmp_path / "elsewhere"
    made.kits["produce"].rename(moved)
    data = PartyConfiguration.load(moved / "party.toml").data
    assert data is not None
    assert data.interactions == moved / "interactions.parquet"
    assert not data.interactions.exists()


def test_a_path_that_no_kit_can_hold_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"odd\xff")
    folder.mkdir()
    with pytest.raises(ConfigurationError, match="expected a printable path"):
        provision(coalition(folder), tmp_path / "kits")


LINES = "\n".join(MEMBERS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("members.txt", LINES),
        ("members.txt", "\ufeff" + LINES.replace("\n", " \r\n") + "\r\n"),
        ("members.csv", "user_id\n" + LINES),
        ("members.csv", 'city,user_id\r\n"A, B",' + LINES.replace("\n", '\r\n"A, B",')),
    ],
)
def test_member_files_of_both_kinds_give_the_same_members(
    tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    made = provision(coalition(tmp_path, COALITION.replace("members.txt", name)), tmp_path / "kits")
    key = PseudonymKey.from_bytes((made.kits["grocer"] / "pseudonym.key").read_bytes())
    assert pseudonyms_of(made) == {key.pseudonym(member) for member in MEMBERS}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("members.txt", b"", "got 0 ids"),
        ("members.txt", LINES.encode() + b"\n\n", "got nothing at line 121, expected an id"),
        ("members.txt", (LINES + "\n0003\n0004").encode(), "122 ids of which 2 are repeated"),
        ("members.txt", b"\xff\xfe", "is not text: got other bytes, expected UTF-8"),
        ("members.txt", b"1\n2\n3", "got 3, expected at least minimum_shoppers = 100"),
        ("members.csv", b"", "got 0 columns"),
        ("members.csv", b"member\n1", "got 1 columns, 0 of them user_id"),
        ("members.csv", b"user_id,user_id\n1,2", "2 of them user_id"),
        ("members.csv", b"city,user_id\nA,1\nB\n", "got nothing at line 3"),
        ("members.csv", b'user_id\n"1"2\n', "is not CSV: got .* at line 2"),
    ],
)
def test_member_files_that_cannot_be_used_are_refused(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    configuration = coalition(tmp_path, COALITION.replace("members.txt", name))
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        provision(configuration, tmp_path / "kits")
    assert "0003" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "kits").exists()
