"""Draw a coalition's secrets once and lay a start-up kit ready for each party.

::

    out/
    ├── authority/      certificate.pem, private-key.pem, README.txt: move it offline
    ├── compute-node/   certificate.pem, private-key.pem, authority.pem, terms.json, party.toml,
    │                   allowed.txt
    ├── key-holder/     the same, and storage.key, ledger.witness
    └── RETAILER/       the first five, and pseudonym.key, directory.txt; one folder for each.
                        Neither where shoppers of different retailers are different

A kit holds what its role may hold and nothing else: only retailers get the pseudonym key (control
C30), only the key holder the key that encrypts the secret key at rest (control C11).
"""

from __future__ import annotations

import csv
import io
import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from hecf.data import complete_journey
from hecf.data.directory import MemberDirectory, PseudonymKey
from hecf.errors import ConfigurationError
from hecf.kits.configuration import ROLE_FILES, RetailerSection
from hecf.kits.files import read_limited, write_private
from hecf.protocol.terms import NO_DIRECTORY, Terms
from hecf.rpc.allowed import AllowedCertificates
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER, RETAILER
from parties.custody.ledger import empty_ledger
from parties.provisioning.certificates import (
    DEFAULT_VALIDITY_DAYS,
    CertificateAuthority,
    Credential,
)
from parties.provisioning.configuration import (
    COMPLETE_JOURNEY,
    CoalitionConfiguration,
    MembersSection,
)

AUTHORITY = "authority"
INTERACTIONS = "interactions.parquet"
"""What a kit calls the file of a retailer for which nothing else was given."""
AUTHORITY_NOTE = (
    "Move this folder to offline storage now: private-key.pem can make a certificate for any "
    "party of the coalition, and no running party needs it.\n"
)
STORAGE_KEY_BYTES = 32
_LARGEST_MEMBER_FILE = 1 << 28
_COMMON_FILES = {
    "certificate": "certificate.pem",
    "private_key": "private-key.pem",
    "authority": "authority.pem",
    "terms": "terms.json",
    "state": "state",
    "output": "output",
}
_ROLE_FILE_NAMES = {
    "pseudonym_key": "pseudonym.key",
    "directory": "directory.txt",
    "storage_key": "storage.key",
    "allowed": "allowed.txt",
    "ledger_witness": "ledger.witness",
}
_TomlTable = dict[str, str | int | float]


@dataclass(frozen=True)
class Provisioned:
    """What a provisioning made.

    Parameters
    ----------
    identifier : str
        The coalition's 32 hexadecimal digits.
    terms : Terms
        The terms that lie in every kit.
    kits : mapping of str to Path
        Folder of each party's kit by the party's name, node and key holder first.
    """

    identifier: str
    terms: Terms
    kits: Mapping[str, Path]

    def __post_init__(self) -> None:
        object.__setattr__(self, "kits", MappingProxyType(dict(self.kits)))


def provision(
    configuration: CoalitionConfiguration,
    out: Path,
    *,
    validity_days: int = DEFAULT_VALIDITY_DAYS,
) -> Provisioned:
    """Draw identifier and keys, build the member directory and write a kit for each party.

    Parameters
    ----------
    configuration : CoalitionConfiguration
        The checked ``coalition.toml``.
    out : Path
        Folder to make; it may exist if it is empty, and the folder above it must exist.
    validity_days : int
        Days until the certificates expire, 1 to 3650.

    Raises
    ------
    ConfigurationError
        If `out` holds something, a source of data or members cannot be used, or a file cannot be
        written. Nothing is left behind then, nor after an interruption.
    InvalidInput
        If two members have the same identifier once it is normalised.

    Security
    --------
    Every kit holds a private key; hand each to its party over a channel that the other parties
    cannot read, and delete it here. Provisioning the same members again draws another pseudonym
    key, so that the two directories cannot be linked (fact: unkeyed hashes of loyalty
    identifiers fall to a dictionary).
    """
    out = out.resolve()
    _check_out(out)
    for name, data in configuration.retailers.items():
        _check_data(name, data)
    identifier = secrets.token_hex(16)
    role_files = {"storage_key": secrets.token_bytes(STORAGE_KEY_BYTES)}
    if configuration.members.most_shoppers is not None:
        terms = configuration.terms(identifier, 0, NO_DIRECTORY)
    else:
        pseudonym_key = PseudonymKey.generate()
        directory = MemberDirectory.from_members(pseudonym_key, member_ids(configuration.members))
        terms = configuration.terms(identifier, len(directory), directory.fingerprint)
        role_files["pseudonym_key"] = pseudonym_key.to_bytes()
        role_files["directory"] = directory.to_text().encode()
    role_files["ledger_witness"] = empty_ledger(terms).head.to_text().encode()
    authority = CertificateAuthority.create(identifier, validity_days=validity_days)
    roles = {COMPUTE_NODE: COMPUTE_NODE, KEY_HOLDER: KEY_HOLDER}
    roles |= dict.fromkeys(configuration.retailers, RETAILER)

    building = _temporary_sibling(out)
    try:
        _write_authority(building, authority.credential)
        credentials = {name: authority.issue(role, name) for name, role in roles.items()}
        role_files["allowed"] = (
            AllowedCertificates.of((name, each.certificate) for name, each in credentials.items())
            .to_text()
            .encode()
        )
        for name, role in roles.items():
            credential = credentials[name]
            files = {
                "certificate.pem": credential.certificate,
                "private-key.pem": credential.private_key,
                "authority.pem": authority.credential.certificate,
                "terms.json": terms.to_json().encode(),
            }
            own = sorted(ROLE_FILES[role] & set(role_files))
            files["party.toml"] = _party_toml(configuration, role, name, own)
            files |= {_ROLE_FILE_NAMES[key]: role_files[key] for key in own}
            _write_kit(building / name, files)
        # The one step that makes the kits visible. It also refuses a folder that was filled
        # in the meantime.
        building.rename(out)
    except OSError as error:
        raise ConfigurationError(
            f"the kits cannot be put into {out}",
            got=error.strerror,
            expected="a new or empty folder on a writable disk",
        ) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Provisioned(identifier, terms, {name: out / name for name in roles})


def _check_out(out: Path) -> None:
    if not out.parent.is_dir():
        raise ConfigurationError(
            f"the kits cannot be put into {out}",
            got="no folder above it",
            expected="a folder that exists",
        )
    if out.is_dir():
        entries = sum(1 for _ in out.iterdir())
        if entries:
            raise ConfigurationError(
                f"{out} is not empty", got=f"{entries} entries", expected="a new or empty folder"
            )
    elif out.exists():
        raise ConfigurationError(
            f"{out} is not a folder", got="a file", expected="a new or empty folder"
        )


def _check_data(name: str, data: RetailerSection) -> None:
    if data.source == COMPLETE_JOURNEY and name not in complete_journey.RETAILERS:
        raise ConfigurationError(
            f"the Complete Journey data has no such retailer for retailers.{name}",
            got=repr(name),
            expected=f"one of {', '.join(complete_journey.RETAILERS)}",
        )
    for key, path in (
        ("interactions", data.interactions),
        ("held_out_members", data.held_out_members),
    ):
        if path is not None and not path.is_file():
            raise ConfigurationError(
                f"retailers.{name}.{key} names no file", got=str(path), expected="a file"
            )
        if path is not None and not str(path).isprintable():
            raise ConfigurationError(
                f"retailers.{name}.{key} cannot be written into a kit",
                got="a path with control characters or bytes that are not UTF-8",
                expected="a printable path",
            )


def member_ids(members: MembersSection) -> tuple[str, ...]:
    """Read the loyalty ids that a ``[members]`` table names; raises ConfigurationError."""
    if members.path is None:
        return complete_journey.members()
    path = members.path
    readers = {".csv": _csv_rows, ".txt": _text_rows}
    if path.suffix not in readers:
        raise ConfigurationError(
            f"the kind of the members' file {path} is unknown",
            got=repr(path.suffix),
            expected=" or ".join(readers),
        )
    try:
        text = read_limited(path, _LARGEST_MEMBER_FILE).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"the members' file {path} is not text", got="other bytes", expected="UTF-8"
        ) from None
    ids: list[str] = []
    for number, member in readers[path.suffix](path, text):
        if not member.strip():
            raise ConfigurationError(
                f"the members' file {path} has an empty id",
                got=f"nothing at line {number}",
                expected="an id",
            )
        ids.append(member.strip())
    repeated = len(ids) - len(set(ids))
    if repeated or not ids:
        raise ConfigurationError(
            f"the members' file {path} cannot be used",
            got=f"{len(ids)} ids of which {repeated} are repeated",
            expected="each member once",
        )
    return tuple(ids)


def _text_rows(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Line number and id of a file with one id a line; the last line may end or not."""
    lines = text.removesuffix("\n").split("\n") if text else []
    return enumerate(lines, start=1)


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Line number and id of a CSV file with a column ``user_id``."""
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = list(rows.fieldnames or [])
        if columns.count("user_id") != 1:
            raise ConfigurationError(
                f"the members' file {path} has no single column user_id",
                got=f"{len(columns)} columns, {columns.count('user_id')} of them user_id",
                expected="one column user_id",
            )
        for row in rows:
            yield rows.line_num, row["user_id"] or ""
    except csv.Error as error:
        raise ConfigurationError(
            f"the members' file {path} is not CSV",
            got=f"{error} at line {rows.reader.line_num}",
            expected="comma-separated values with a header",
        ) from None


def _temporary_sibling(out: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise ConfigurationError(
            f"no folder can be made in {out.parent}",
            got=error.strerror,
            expected="a writable folder with free space",
        ) from None


def _write_authority(building: Path, credential: Credential) -> None:
    folder = building / AUTHORITY
    folder.mkdir(mode=0o700)
    write_private(folder / "certificate.pem", credential.certificate)
    write_private(folder / "private-key.pem", credential.private_key)
    write_private(folder / "README.txt", AUTHORITY_NOTE.encode())


def _write_kit(folder: Path, files: Mapping[str, bytes]) -> None:
    for path in (folder, folder / "state", folder / "output"):
        path.mkdir(mode=0o700)
    for name, content in files.items():
        write_private(folder / name, content)


def _party_toml(
    configuration: CoalitionConfiguration, role: str, name: str, role_files: Sequence[str]
) -> bytes:
    tables: dict[str, _TomlTable] = {
        "party": {"role": role, "name": name},
        "files": {
            **_COMMON_FILES,
            **{key: _ROLE_FILE_NAMES[key] for key in role_files},
        },
        "compute_node": {"address": configuration.compute_node.address},
        "key_holder": {"address": configuration.key_holder.address},
        "limits": configuration.limits.model_dump(exclude_none=True),
    }
    if role == RETAILER:
        tables["data"] = _data_table(configuration.retailers[name])
        if configuration.evaluation is not None:
            tables["evaluation"] = configuration.evaluation.model_dump()
    blocks = (
        "\n".join([f"[{title}]", *(f"{key} = {_toml(value)}" for key, value in table.items())])
        for title, table in tables.items()
    )
    return ("\n\n".join(blocks) + "\n").encode()


def _data_table(data: RetailerSection) -> _TomlTable:
    """Table of what was given; the kit moves elsewhere, so its paths are absolute."""
    given = data.model_dump(exclude_none=True, mode="json")
    if data.source is None:
        del given["items"]
        # Relative to the kit, wherever its retailer takes it.
        given.setdefault("interactions", INTERACTIONS)
    return given


def _toml(value: str | int | float) -> str:
    """Write a TOML 1.0 value; JSON strings are TOML basic strings but for one character."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
