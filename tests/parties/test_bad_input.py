"""Bad input through the real command line: one sentence, an exit code, nothing half done."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from bad_files import FILES, File, rows
from processes import ROOT, Provisioned, environment, make_coalition
from typer.testing import CliRunner

from hecf.data.directory import MemberDirectory, PseudonymKey
from hecf.kits.kit import Kit
from hecf.rpc.identity import COMPUTE_NODE
from parties.cli import app
from parties.processes.compute_node import ComputeNodeProcess


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Provisioned:
    return make_coalition(tmp_path_factory.mktemp("bad") / "coalition", patience=0.5)


@pytest.fixture
def coalition(pristine: Provisioned, tmp_path: Path) -> Provisioned:
    """A copy that a test may spoil; its kits name their own copies of the purchases."""
    folder = tmp_path / "coalition"
    shutil.copytree(pristine.folder, folder)
    kits = {name: folder / "kits" / name for name in pristine.kits}
    for kit in kits.values():
        path = kit / "party.toml"
        path.write_text(path.read_text().replace(str(pristine.folder), str(folder)))
    return Provisioned(**{**vars(pristine), "folder": folder, "kits": kits})


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The commands take signals and logging as their own, which these tests must give back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    level = logging.getLogger("grpc").level
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    logging.getLogger("grpc").setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def contacts(coalition: Provisioned) -> Iterator[Callable[[], int]]:
    """How many connections arrived at the addresses of the node and the key holder."""
    arrived: list[int] = []

    def hang_up(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                listener.accept()[0].close()
                arrived.append(1)

    listeners = [socket.create_server(("127.0.0.1", port)) for port in coalition.ports.values()]
    threads = [threading.Thread(target=hang_up, args=[listener]) for listener in listeners]
    for thread in threads:
        thread.start()
    yield lambda: len(arrived)
    for listener, thread in zip(listeners, threads, strict=True):
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def refused(*arguments: str | Path) -> str:
    """Run a command that must fail, and return its one sentence."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    # Apart from log lines, which are JSON, there is the one sentence and nothing else.
    lines = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


def serve(coalition: Provisioned, name: str = "alder", role: str = "retailer") -> str:
    sentence = refused("serve", role, "--config", coalition.party(name))
    output = coalition.kits[name] / "output"
    assert list(output.iterdir()) == []
    return sentence


@pytest.mark.parametrize("case", FILES.values(), ids=FILES)
def test_a_retailer_refuses_its_file_before_it_contacts_anybody(
    coalition: Provisioned, contacts: Callable[[], int], case: File
) -> None:
    content = case.content.encode() if isinstance(case.content, str) else case.content
    (coalition.folder / case.name).write_bytes(content)
    assert serve(coalition) == case.sentence
    assert contacts() == 0


def test_usable_data_contacts_the_node(coalition: Provisioned, contacts: Callable[[], int]) -> None:
    # The control: whoever hangs up on everybody does see who comes.
    address = f"127.0.0.1:{coalition.ports[COMPUTE_NODE]}"
    assert serve(coalition) == f"the compute-node at {address} cannot be reached"
    assert contacts() >= 1


@pytest.mark.parametrize(
    ("replacement", "sentence"),
    [
        ("gone.csv", "there is no file '{folder}/gone.csv'"),
        (
            "members.txt",
            "interactions in 'members.txt' have an unknown format: got extension '.txt', "
            "expected one of .parquet, .csv, .inter",
        ),
        ("broken.parquet", "'broken.parquet' cannot be read as Parquet"),
        ("folder.csv", "'{folder}/folder.csv' is not a file: got a folder or device"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    coalition: Provisioned, contacts: Callable[[], int], replacement: str, sentence: str
) -> None:
    (coalition.folder / "broken.parquet").write_bytes(b"PAR1" + b"\0" * 50 + b"PAR1")
    (coalition.folder / "folder.csv").mkdir()
    edit(coalition.party("alder"), "alder.csv", replacement)
    assert serve(coalition) == sentence.format(folder=coalition.folder)
    assert contacts() == 0


def test_a_catalogue_that_is_too_short_is_refused_at_home(
    coalition: Provisioned, contacts: Callable[[], int]
) -> None:
    edit(coalition.kits["alder"] / "terms.json", '"top_k":5', '"top_k":31')
    assert serve(coalition) == (
        "the catalogue has an unsuitable size: got 30, "
        "expected 31 (the items released a shopper) to 4194304"
    )
    assert contacts() == 0


@pytest.mark.parametrize(
    ("hidden", "sentence"),
    [
        ("stranger\n", "a member to hide is not in the member directory"),
        ("\n", "no member is held out at this retailer: got 0, expected at least 1"),
    ],
)
def test_members_to_hide_must_be_members(
    coalition: Provisioned, contacts: Callable[[], int], hidden: str, sentence: str
) -> None:
    (coalition.folder / "hidden.txt").write_text(hidden)
    path = coalition.party("alder")
    edit(path, "[data]", f'[data]\nheld_out_members = "{coalition.folder}/hidden.txt"')
    assert serve(coalition) == sentence
    assert contacts() == 0


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_a_kit_under_another_name_is_refused(coalition: Provisioned) -> None:
    edit(coalition.party("alder"), 'name = "alder"', 'name = "dogwood"')
    base = f"spiffe://{coalition.terms.identifier}.hecf/retailer"
    assert serve(coalition) == (
        f"{coalition.kits['alder']}/certificate.pem does not belong to this kit: "
        f"got {base}/alder, expected {base}/dogwood"
    )


def test_a_retailer_outside_the_terms_is_refused(coalition: Provisioned) -> None:
    edit(coalition.kits["alder"] / "terms.json", '["alder","birch"]', '["birch","cedar"]')
    assert serve(coalition) == (
        "the kit's retailer is not in the terms: got alder, expected birch or cedar"
    )


def test_the_kit_of_another_role_is_refused(coalition: Provisioned) -> None:
    sentence = serve(coalition, "alder", role="key-holder")
    assert sentence == (
        f"{coalition.party('alder')} is the kit of another role: got retailer, expected key-holder"
    )


@pytest.mark.parametrize("keep", [149, 150, 151])
def test_another_directory_than_the_terms_say_is_refused(
    coalition: Provisioned, contacts: Callable[[], int], keep: int
) -> None:
    kit = coalition.kits["alder"]
    key = PseudonymKey.from_bytes((kit / "pseudonym.key").read_bytes())
    members = [*coalition.members[: min(keep, 149)], "first stranger", "second stranger"][:keep]
    directory = MemberDirectory.from_members(key, members)
    (kit / "directory.txt").write_text(directory.to_text())
    expected = (
        "the member directory has another fingerprint than the terms say: "
        f"got {directory.fingerprint[:16]}, expected {coalition.terms.directory[:16]}"
        if keep == 150
        else "the member directory has another length than the terms say: "
        f"got {keep} members, expected 150"
    )
    assert serve(coalition) == expected
    assert contacts() == 0


@pytest.fixture
def node(coalition: Provisioned) -> Iterator[None]:
    """The coalition's real compute node, in threads of this process."""
    process = ComputeNodeProcess(Kit.load(coalition.party(COMPUTE_NODE)))
    process.start()
    yield
    # The commands of the tests logged to a stderr that is gone.
    structlog.reset_defaults()
    process.stop()


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('"factors":4', '"factors":3', "fingerprint of the parameters"),
        ('"ridge":0.1', '"ridge":0.2', "fingerprint of the terms"),
        ('"minimum_shoppers":100', '"minimum_shoppers":2', "fingerprint of the terms"),
    ],
)
def test_edited_terms_are_found_out_when_joining(
    coalition: Provisioned, old: str, new: str, named: str
) -> None:
    edit(coalition.kits["alder"] / "terms.json", old, new)
    sentence = serve(coalition)
    assert sentence.startswith(f"alder has another {named}: got ")
    assert ", expected " in sentence


@pytest.mark.usefixtures("node")
def test_a_kit_of_another_coalition_does_not_get_in(coalition: Provisioned, tmp_path: Path) -> None:
    other = make_coalition(tmp_path / "other", patience=30)
    address = f"127.0.0.1:{coalition.ports[COMPUTE_NODE]}"
    edit(other.party("alder"), f"127.0.0.1:{other.ports[COMPUTE_NODE]}", address)
    assert serve(other) == (
        f"the compute-node at {address} shows a certificate that this coalition has not issued"
    )


@pytest.mark.usefixtures("node")
def test_a_key_holder_that_never_comes_is_named(coalition: Provisioned) -> None:
    address = f"127.0.0.1:{coalition.ports['key-holder']}"
    assert serve(coalition) == f"the key-holder at {address} cannot be reached"


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        (
            "party.toml",
            "[limits]",
            "[limits]\npatience = 3",
            "limits.patience in {path} cannot be used: got an unknown key, expected one of "
            "patience_seconds, task_seconds, message_megabytes, upload_megabytes, "
            "party_arriving_megabytes, arriving_megabytes, "
            "concurrent_calls, party_calls, party_calls_per_minute, "
            "party_megabytes_per_minute, worker_megabytes, job_seconds, encryption_processes, "
            "queried_members, threads",
        ),
        (
            "party.toml",
            "[limits]",
            "[limit]",
            "limit in {path} cannot be used: got an unknown key, expected one of "
            "party, files, compute_node, key_holder, limits, data, evaluation, operations",
        ),
        (
            "party.toml",
            "patience_seconds = 0.5",
            "patience_seconds = 'long'",
            "limits.patience_seconds in {path} cannot be used: got 'long', expected a valid number",
        ),
        (
            "terms.json",
            '"top_k":5',
            '"top_k":5,"bottom_k":5',
            "the terms have other fields: got ['bottom_k'], expected no difference",
        ),
        (
            "terms.json",
            '"top_k":5',
            '"top_k":0',
            "the terms' top_k is out of range: got 0, expected 1 to 10000",
        ),
    ],
)
def test_unknown_keys_and_values_are_named(
    coalition: Provisioned, name: str, old: str, new: str, sentence: str
) -> None:
    path = coalition.kits["alder"] / name
    edit(path, old, new)
    assert serve(coalition) == sentence.format(path=path)


def test_a_missing_kit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "party.toml"
    assert refused("serve", "retailer", "--config", path) == (
        f"{path} cannot be read: got No such file or directory, expected a readable file"
    )


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "factors = 4",
            "factors = 4\nfactor = 4",
            "coalition.factor in {path} cannot be used: got an unknown key, expected one of name, ",
        ),
        ("factors = 4", "factors = 0", "{path} cannot be used because the terms' factors is out"),
        ("'alder.csv'", "'gone.csv'", "retailers.alder.interactions names no file: got "),
        ("'members.txt'", "'gone.txt'", "{folder}/gone.txt cannot be read: got No such file"),
        ("[coalition]", "[coalition", "{path} is not a TOML file: got "),
    ],
)
def test_a_coalition_that_cannot_be_provisioned_leaves_nothing(
    coalition: Provisioned, old: str, new: str, sentence: str
) -> None:
    path = coalition.folder / "coalition.toml"
    edit(path, old, new)
    before = set(coalition.folder.iterdir())
    got = refused("provision", path, "--out", coalition.folder / "again")
    assert got.startswith(sentence.format(path=path, folder=coalition.folder))
    assert ", expected " in got
    assert set(coalition.folder.iterdir()) == before


def test_kits_are_not_written_over_others(coalition: Provisioned) -> None:
    out = coalition.folder / "kits"
    got = refused("provision", coalition.folder / "coalition.toml", "--out", out)
    assert got == f"{out} is not empty: got 5 entries, expected a new or empty folder"


@pytest.mark.parametrize("option", ["--json", "--report"])
def test_results_for_a_missing_folder_are_refused_before_the_run(
    tmp_path: Path, option: str
) -> None:
    for path in (tmp_path / "missing" / "results", tmp_path):
        assert refused("demo", option, path) == (
            f"{path} cannot be written: got a folder or a path into none, expected a file"
        )
    assert list(tmp_path.iterdir()) == []


def test_the_sentence_is_the_same_in_a_process_of_its_own(coalition: Provisioned) -> None:
    (coalition.folder / "alder.csv").write_text(rows("x,y,-1"))
    command = [sys.executable, "-m", "parties", "serve", "retailer", "--config"]
    done = subprocess.run(
        [*command, str(coalition.party("alder"))],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    log, sentence = done.stderr.splitlines()
    assert json.loads(log)["event"] == "starting"
    assert sentence.startswith("error: rating in column 'rating' is negative: got 1 of 41 rows")
    # Row numbers and counts may be said; who it was may not.
    assert "quartzite" not in done.stderr
