"""Real processes over mutual TLS: they finish, stop, fail in one sentence, and keep their secrets.

The scan is the acceptance check of control C11 and of the compute node's row in the table of
roles: what it must never see lies in none of its files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from processes import (
    Provisioned,
    Running,
    alive,
    descendants,
    listening,
    make_coalition,
    until,
)

from hecf.data.directory import MemberDirectory
from hecf.kits.kit import Kit
from hecf.models import LocalEmbedding
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER
from parties.custody.key_epochs import key_store
from parties.processes import local_data
from parties.processes.launcher import Launcher, PartyFailed

RETAILERS = ("alder", "birch")
EVERYBODY = (COMPUTE_NODE, KEY_HOLDER, *RETAILERS)
WINDOW = 48
HE_LIBRARIES = ("tenseal", "_sealapi", "phe/")


@dataclass(frozen=True)
class Finished:
    """A coalition that ran to its end under the launcher, and what was seen meanwhile."""

    coalition: Provisioned
    libraries: Mapping[str, str]
    below: int
    codes: Mapping[str, int | None]
    pids: tuple[int, ...]

    def summary(self, name: str) -> dict[str, object]:
        path = self.coalition.kits[name] / "output" / "summary.json"
        content: dict[str, object] = json.loads(path.read_text())
        return content


def run_to_the_end(folder: Path, scheme: str) -> Finished:
    coalition = make_coalition(folder, scheme=scheme)
    logs = folder / "logs"
    logs.mkdir()
    with Launcher(coalition.kits, logs) as launcher:
        launcher.start()
        launcher.wait_for_retailers(60)
        pids = {name: child.pid for name, child in launcher._children.items()}
        workers = descendants(pids[KEY_HOLDER])
        libraries = {name: Path(f"/proc/{pid}/maps").read_text() for name, pid in pids.items()}
        libraries["worker"] = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in workers)
        launcher.stop()
        codes = {name: child.returncode for name, child in launcher._children.items()}
    everybody = (*pids.values(), *workers)
    return Finished(coalition, libraries, len(workers), codes, everybody)


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run_to_the_end(tmp_path_factory.mktemp("encrypted") / "coalition", "ckks")


@pytest.fixture(scope="module")
def in_clear(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run_to_the_end(tmp_path_factory.mktemp("clear") / "coalition", "clear")


def test_every_process_stops_with_code_0_and_leaves_nothing(encrypted: Finished) -> None:
    assert dict(encrypted.codes) == dict.fromkeys(EVERYBODY, 0)
    assert encrypted.below >= 1
    until(lambda: not any(alive(pid) for pid in encrypted.pids), "the end of every process")
    assert not any(listening(port) for port in encrypted.coalition.ports.values())
    for name in EVERYBODY:
        text = (encrypted.coalition.folder / "logs" / f"{name}.log").read_text()
        events = [json.loads(line) for line in text.splitlines()]
        assert [events[0]["event"], events[-1]["event"]] == ["starting", "stopped"]
        assert {event["level"] for event in events} == {"info"}


def test_every_process_leaves_a_summary(encrypted: Finished) -> None:
    summaries = {name: encrypted.summary(name) for name in EVERYBODY}
    assert [summaries[name]["name"] for name in EVERYBODY] == list(EVERYBODY)
    assert len({summaries[name]["pid"] for name in EVERYBODY}) == 4
    for name in RETAILERS:
        counts = encrypted.coalition.counts[name]
        assert summaries[name]["items"] == int((counts.sum(axis=0) > 0).sum())
        assert summaries[name]["interactions"] == int(counts.sum())
        assert summaries[name]["scored"] == int((counts.sum(axis=1) == 0).sum())
    sent = sum(summaries[name]["bytes"]["sent"] for name in EVERYBODY)
    received = sum(summaries[name]["bytes"]["received"] for name in EVERYBODY)
    assert sent == received > 1_000_000


def test_recommendations_under_encryption_are_those_in_clear(
    encrypted: Finished, in_clear: Finished
) -> None:
    for name in RETAILERS:
        tables = []
        for run in (encrypted, in_clear):
            kit = Kit.load(run.coalition.party(name))
            table = pq.read_table(kit.output / "recommendations.parquet").to_pandas()
            # The two coalitions draw other pseudonyms, so the rows are named as members again.
            key = local_data.PseudonymKey.from_bytes(
                (run.coalition.kits[name] / "pseudonym.key").read_bytes()
            )
            known = {key.pseudonym(member).hex(): member for member in run.coalition.members}
            table["user_id"] = table["user_id"].map(known)
            assert set(table["rank"]) == {1, 2, 3, 4, 5}
            tables.append(table.sort_values(["user_id", "rank"]).reset_index(drop=True))
        absent = encrypted.coalition.counts[name].sum(axis=1) == 0
        unseen = {m for m, gone in zip(encrypted.coalition.members, absent, strict=True) if gone}
        assert set(tables[0]["user_id"]) == unseen
        np.testing.assert_allclose(tables[0]["score"], tables[1]["score"], rtol=0, atol=1e-3)
        assert (tables[0]["item_id"] == tables[1]["item_id"]).mean() > 0.95


def test_the_compute_node_has_no_he_library_in_its_process(encrypted: Finished) -> None:
    for library in HE_LIBRARIES:
        assert library not in encrypted.libraries[COMPUTE_NODE]
    # The control: where it decrypts and where it encrypts, it is there to be seen.
    assert "sealapi" in encrypted.libraries["worker"]
    for name in RETAILERS:
        assert "sealapi" in encrypted.libraries[name]


def secrets_of(coalition: Provisioned) -> dict[str, list[bytes]]:
    """Everything that must not lie at the compute node, by kind."""
    kits = {name: Kit.load(coalition.party(name)) for name in EVERYBODY}
    directory = MemberDirectory.from_text((coalition.kits["alder"] / "directory.txt").read_text())
    secret = key_store(kits[KEY_HOLDER]).secret().expose()
    rows, embedded = [], []
    for name in RETAILERS:
        data = local_data.load(kits[name])
        fitted = LocalEmbedding.fit(data.training, coalition.terms.factors)
        present = np.flatnonzero(fitted.shoppers.any(axis=1))
        rows += [row.astype("<f8").tobytes() for row in data.training.toarray()[present]]
        embedded += [row.astype("<f8").tobytes() for row in fitted.shoppers[present]]
    private = [(coalition.kits[name] / "private-key.pem").read_bytes() for name in EVERYBODY]
    private.append((coalition.folder / "kits/authority/private-key.pem").read_bytes())
    pseudonym_key = (coalition.kits["alder"] / "pseudonym.key").read_bytes()
    return {
        "user ids": [member.encode() for member in coalition.members],
        "item ids": [item.encode() for name in RETAILERS for item in coalition.items[name]],
        "pseudonyms": list(directory.pseudonyms),
        "pseudonyms in hexadecimal": [entry.hex().encode() for entry in directory.pseudonyms],
        "rows of counts": rows,
        "embeddings": embedded,
        "secret key": [
            secret[start : start + WINDOW] for start in range(64, len(secret) - WINDOW, 509)
        ],
        "pseudonym key": [pseudonym_key, pseudonym_key.hex().encode()],
        "storage key": [(coalition.kits[KEY_HOLDER] / "storage.key").read_bytes()],
        "private keys": [form for pem in private for form in forms_of(pem)],
    }


def forms_of(pem: bytes) -> Iterator[bytes]:
    """A private key as a line of PEM, as its number, and as that in Base64."""
    yield pem.splitlines()[1]
    key = serialization.load_pem_private_key(pem, None)
    number = key.private_numbers().private_value.to_bytes(32, "big")  # type: ignore[union-attr]
    yield number
    yield base64.b64encode(number)


def places_of(coalition: Provisioned) -> list[Path]:
    """Files that the node and the key holder wrote: state, output and logs."""
    folders = [
        coalition.kits[name] / part
        for name in (COMPUTE_NODE, KEY_HOLDER)
        for part in ("state", "output")
    ]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [
        *files,
        *(coalition.folder / "logs" / f"{name}.log" for name in (COMPUTE_NODE, KEY_HOLDER)),
    ]


def found(kinds: Mapping[str, list[bytes]], places: list[Path]) -> set[str]:
    contents = [path.read_bytes() for path in places]
    return {
        kind
        for kind, needles in kinds.items()
        if any(needle in content for content in contents for needle in needles)
    }


def test_nothing_secret_lies_at_the_compute_node_or_in_the_logs(
    encrypted: Finished, tmp_path: Path
) -> None:
    kinds = secrets_of(encrypted.coalition)
    places = places_of(encrypted.coalition)
    # Two left, right or share contributions and a model of each, their results, and the rest.
    assert len(places) >= 10
    assert sum(path.stat().st_size for path in places) > 1_000_000
    assert found(kinds, places) == set()
    # The control: one of each kind, planted in the middle of a block, is found.
    for kind, needles in kinds.items():
        assert all(len(needle) >= 16 for needle in needles), kind
        planted = tmp_path / hashlib.sha256(kind.encode()).hexdigest()
        block = max(places, key=lambda path: path.stat().st_size).read_bytes()
        planted.write_bytes(block[:70_001] + needles[len(needles) // 2] + block[70_001:])
        assert found(kinds, [*places, planted]) == {kind}


def test_the_scan_finds_the_embeddings_that_a_clear_coalition_shows(in_clear: Finished) -> None:
    # The live control: the same scan, on a run whose operands are not encrypted.
    kinds = secrets_of(in_clear.coalition)
    assert found(kinds, places_of(in_clear.coalition)) == {"embeddings"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "coalition"


def blocks(coalition: Provisioned) -> int:
    """Complete contributions and results that the node keeps."""
    path = coalition.kits[COMPUTE_NODE] / "state" / "blocks"
    return sum(not entry.name.startswith(".") for entry in path.glob("*"))


def empty_output(coalition: Provisioned, name: str) -> bool:
    return list((coalition.kits[name] / "output").iterdir()) == []


def test_the_order_of_starting_does_not_matter(folder: Path) -> None:
    coalition = make_coalition(folder)
    with Running(coalition) as running:
        for name in reversed(EVERYBODY):
            running.start(name)
            until(lambda: "starting" in running.text(name), f"the start of {name}")  # noqa: B023
            assert running.processes[name].poll() is None
        until(lambda: all(map(running.finished, RETAILERS)), "recommendations")
        for name in EVERYBODY:
            running.ctrl_c(name)
        assert [running.wait(name) for name in EVERYBODY] == [0] * 4
        assert not any(running.errors(name) for name in EVERYBODY)
    assert not any(listening(port) for port in coalition.ports.values())


def test_sigterm_in_the_middle_of_a_wait_is_no_error(folder: Path) -> None:
    coalition = make_coalition(folder, patience=600)
    with Running(coalition) as running:
        # The second retailer never comes, so all three hang in calls with a long patience.
        running.start(COMPUTE_NODE, KEY_HOLDER, "alder")
        until(lambda: blocks(coalition) == 1, "the first contribution")
        for name in ("alder", KEY_HOLDER, COMPUTE_NODE):
            running.signal(name, signal.SIGTERM)
        assert [running.wait(name) for name in running.processes] == [0, 0, 0]
        assert not any(running.errors(name) for name in running.processes)
    assert empty_output(coalition, "alder")
    assert not any(listening(port) for port in coalition.ports.values())


def test_without_a_node_everybody_says_so_within_patience(folder: Path) -> None:
    coalition = make_coalition(folder, patience=1.5)
    with Running(coalition) as running:
        running.start(KEY_HOLDER, *RETAILERS)
        address = f"127.0.0.1:{coalition.ports[COMPUTE_NODE]}"
        for name in (KEY_HOLDER, *RETAILERS):
            assert running.wait(name) == 1
            assert running.errors(name) == [
                f"error: the compute-node at {address} cannot be reached"
            ]
    assert all(empty_output(coalition, name) for name in RETAILERS)


def test_a_node_that_restarts_ends_the_run_in_one_sentence_each(folder: Path) -> None:
    coalition = make_coalition(folder, patience=3)
    with Running(coalition) as running:
        running.start(COMPUTE_NODE, KEY_HOLDER, "alder")
        until(lambda: blocks(coalition) == 1, "the first contribution")
        running.signal(COMPUTE_NODE, signal.SIGKILL)
        running.wait(COMPUTE_NODE)
        address = f"127.0.0.1:{coalition.ports[COMPUTE_NODE]}"
        assert running.wait("alder") == 1
        assert running.errors("alder") == [
            f"error: the compute-node at {address} cannot be reached"
        ]
        # A node that starts anew knows nothing of the first retailer.
        running.start(COMPUTE_NODE, "birch")
        assert running.wait("birch") == 1
        assert running.errors("birch") == ["error: alder did not act: got nothing in 3 seconds"]
    assert all(empty_output(coalition, name) for name in RETAILERS)


def test_a_retailer_that_is_killed_is_named_by_the_others(folder: Path) -> None:
    coalition = make_coalition(folder, patience=3)
    with Running(coalition) as running:
        running.start(*EVERYBODY)
        until(lambda: blocks(coalition) >= 2, "both contributions")
        running.signal("birch", signal.SIGKILL)
        assert running.wait("alder") == 1
        assert running.errors("alder") == ["error: birch did not act: got nothing in 3 seconds"]
        for name in (COMPUTE_NODE, KEY_HOLDER):
            running.signal(name, signal.SIGTERM)
            assert running.wait(name) == 0
            assert running.errors(name) == []
    assert all(empty_output(coalition, name) for name in RETAILERS)


def test_the_launcher_names_a_killed_retailer_and_ends_the_others(folder: Path) -> None:
    coalition = make_coalition(folder, patience=60)
    logs = coalition.folder / "logs"
    logs.mkdir()
    with Launcher(coalition.kits, logs) as launcher:
        launcher.start()
        pids = {str(process["name"]): int(str(process["pid"])) for process in launcher.processes}
        until(lambda: blocks(coalition) >= 1, "a contribution")
        launcher._children["birch"].kill()
        with pytest.raises(PartyFailed) as got:
            launcher.wait_for_retailers(60)
    assert str(got.value) == "birch: the process ended with code -9"
    assert not any(alive(pid) for pid in pids.values())
    assert not any(listening(port) for port in coalition.ports.values())


def test_an_address_in_use_is_one_sentence(folder: Path) -> None:
    coalition = make_coalition(folder, patience=1)
    with Running(coalition) as running:
        running.start(COMPUTE_NODE)
        until(lambda: listening(coalition.ports[COMPUTE_NODE]), "the node")
        second = Provisioned(**{**vars(coalition), "folder": folder / "second"})
        second.folder.mkdir()
        shutil.copytree(coalition.kits[COMPUTE_NODE], second.folder / "kit")
        with Running(
            Provisioned(**{**vars(second), "kits": {COMPUTE_NODE: second.folder / "kit"}})
        ) as again:
            again.start(COMPUTE_NODE)
            assert again.wait(COMPUTE_NODE) == 1
            assert again.errors(COMPUTE_NODE) == [
                "error: the address cannot be bound: got 127.0.0.1:"
                f"{coalition.ports[COMPUTE_NODE]}, expected a free port of this machine"
            ]
