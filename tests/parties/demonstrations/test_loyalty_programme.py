"""The demonstration as a command: its results, and that nothing of it is left behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from processes import ROOT, alive, descendants, environment, until

from hecf.measure import STAGES

RETAILERS = ["grocer", "drugstore", "butcher", "produce"]
PARTIES = {"compute-node", "key-holder", *RETAILERS}
SMALL = ("--shoppers", "300", "--factors", "4")
SMALL_DISK = 1536 << 10
"""Bytes that suffice for kits and a part of the ciphertexts."""


@dataclass(frozen=True)
class Demo:
    """Folders of one call of the command."""

    temporary: Path
    output: Path

    @property
    def json(self) -> Path:
        return self.output / "results.json"

    def start(self, *options: str, **more: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "parties", "demo", *options, "--json", str(self.json)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(), "TMPDIR": str(self.temporary)},
            cwd=ROOT,
            **more,
        )

    def run(self, *options: str, **more: Any) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a whole run."""
        with self.start(*options, **more) as process:
            out, err = process.communicate(timeout=100)
        return process.returncode, out, err

    def nothing_is_left(self) -> bool:
        return list(self.temporary.iterdir()) == [] and list(self.output.iterdir()) == []


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    made = Demo(tmp_path / "temporary", tmp_path / "output")
    made.temporary.mkdir()
    made.output.mkdir()
    return made


def sentences(err: str) -> list[str]:
    assert "Traceback" not in err, err
    return [line for line in err.splitlines() if line.startswith("error: ")]


def check_names(results: dict[str, Any], scheme: str) -> None:
    """The names that scripts rely on; additions are allowed."""
    names = {"data", "processes", "targets", "agreement", "seconds", "bytes", "parameters"}
    assert names | {"topology"} <= results.keys()
    assert results["topology"] == "coalition-key-blinded"
    data = results["data"]
    assert data["source"] == "complete-journey"
    assert {"shoppers", "held_out"} <= data.keys()
    assert list(data["retailers"]) == RETAILERS
    for retailer in data["retailers"].values():
        assert retailer["items"] > 20
        assert retailer["interactions"] > 1000
    assert {process["name"] for process in results["processes"]} == PARTIES
    for process in results["processes"]:
        expected = "retailer" if process["name"] in RETAILERS else process["name"]
        assert process["role"] == expected
        assert process["pid"] > 1
    assert list(results["targets"]) == RETAILERS
    for metrics in results["targets"].values():
        assert set(metrics) == {"recall@20", "ndcg@20"}
        for values in metrics.values():
            assert set(values) == {"popularity", "clear", "encrypted"}
            assert all(0 < value < 1 for value in values.values())
    assert {"max_abs_score_error", "top20_overlap"} <= results["agreement"].keys()
    assert {"total", "clear", *STAGES} <= results["seconds"].keys()
    assert STAGES == ("encode", "encrypt", "transfer", "compute", "decrypt", "release")
    assert results["bytes"].keys() == PARTIES
    for count in results["bytes"].values():
        assert count["sent"] > 0
        assert count["received"] > 0
    parameters = results["parameters"]
    assert {"scheme", "ring_degree", "modulus_bits", "security_bits"} <= parameters.keys()
    assert parameters["scheme"] == scheme


def test_one_process_in_clear(demo: Demo) -> None:
    options = ("--transport", "memory", "--scheme", "clear", "--shoppers", "400", "--factors", "8")
    code, out, err = demo.run(*options)
    assert code == 0, err
    results = json.loads(demo.json.read_text())
    check_names(results, "clear")
    assert results["data"]["shoppers"] == 400
    assert results["data"]["held_out"] == pytest.approx(80, abs=25)
    assert len({process["pid"] for process in results["processes"]}) == 1
    # The protocol and the clear twin are two programs; in clear they agree but for rounding.
    assert results["agreement"]["max_abs_score_error"] < 1e-9
    assert results["agreement"]["top20_overlap"] == 1.0
    for name in PARTIES:
        assert name in out
    assert list(demo.temporary.iterdir()) == []
    assert [path.name for path in demo.output.iterdir()] == ["results.json"]
    assert sentences(err) == []


def test_six_processes_under_encryption(demo: Demo) -> None:
    code, _, err = demo.run("--shoppers", "600", "--factors", "8")
    assert code == 0, err
    results = json.loads(demo.json.read_text())
    check_names(results, "ckks")
    for metrics in results["targets"].values():
        for values in metrics.values():
            assert abs(values["encrypted"] - values["clear"]) <= 0.001
    # The noise is there, and small: an exact result would not have been encrypted.
    assert 1e-9 < results["agreement"]["max_abs_score_error"] < 1e-3
    assert results["agreement"]["top20_overlap"] > 0.99
    assert results["parameters"]["security_bits"] >= 128
    assert results["parameters"]["ring_degree"] >= 8192
    assert results["seconds"]["encrypt"] > 0
    assert results["bytes"]["compute-node"]["received"] > 1_000_000
    pids = {process["pid"] for process in results["processes"]}
    assert len(pids) == 6
    assert not any(alive(pid) for pid in pids)
    assert list(demo.temporary.iterdir()) == []


def wait_for(process: subprocess.Popen[str], phrase: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if phrase in line:
            return
    raise AssertionError(f"the command ended before it said {phrase!r}")


@pytest.mark.parametrize(
    ("transport", "scheme", "moment", "delay"),
    [
        ("grpc", "ckks", "provisioning the coalition", 0.0),
        ("grpc", "ckks", "training and serving", 1.5),
        ("memory", "ckks", "training and serving", 0.5),
        ("memory", "clear", "computing the clear twin", 0.5),
    ],
)
def test_ctrl_c_ends_everything(
    demo: Demo, transport: str, scheme: str, moment: str, delay: float
) -> None:
    with demo.start(*SMALL, "--transport", transport, "--scheme", scheme) as process:
        wait_for(process, moment)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(delay)
        everybody = {process.pid, *descendants(process.pid)}
        if moment.startswith("training") and transport == "grpc":
            assert len(everybody) >= 7
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "stopped"
    assert sentences(err) == []
    until(lambda: not any(alive(pid) for pid in everybody), "the end of every process", 5)
    assert demo.nothing_is_left()


def test_ctrl_c_in_the_first_moment(demo: Demo) -> None:
    # Before anything is there to be cleaned up, while the command is still being imported.
    with demo.start(*SMALL) as process:
        maps = Path(f"/proc/{process.pid}/maps")
        until(lambda: "numpy" in maps.read_text(), "the import of NumPy")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert demo.nothing_is_left()


def test_a_retailer_that_fails_is_named_in_one_sentence(demo: Demo) -> None:
    # Each retailer hides some of its shoppers, so fewer are left than factors are asked for.
    code, out, err = demo.run("--shoppers", "120", "--factors", "100")
    assert code == 1
    [sentence] = sentences(err)
    assert any(sentence.startswith(f"error: {name}: the number of fac") for name in RETAILERS)
    assert ": got 100 factors, " in sentence
    assert ", expected 1 to " in sentence
    assert out == ""
    assert demo.nothing_is_left()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--shoppers", "99"), "got 99, expected at least minimum_shoppers = 100"),
        (("--shoppers", "5000"), "--shoppers is out of range: got 5000, expected 1 to 2467"),
        (("--shoppers", "0"), "--shoppers is out of range: got 0, expected 1 to 2467"),
        (("--factors", "0"), "factors is out of range: got 0, expected 1 to 1024"),
    ],
)
def test_options_out_of_range_are_one_sentence(
    demo: Demo, options: tuple[str, ...], sentence: str
) -> None:
    code, _, err = demo.run(*options)
    assert code == 1
    assert [line.endswith(sentence) for line in sentences(err)] == [True]
    assert demo.nothing_is_left()


@pytest.fixture
def small_disk(demo: Demo) -> Iterator[dict[str, Any]]:
    """A small file system for temporary files, or where that is not allowed, small files."""
    options = ["-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(demo.temporary)]
    mounted = subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    limit = 64 << 10

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    more: dict[str, Callable[[], None]] = {} if mounted else {"preexec_fn": limited}
    yield more
    if mounted:
        subprocess.run(["umount", str(demo.temporary)], check=True)


def test_a_full_disk_is_one_sentence(demo: Demo, small_disk: dict[str, Any]) -> None:
    code, _, err = demo.run(*SMALL, **small_disk)
    assert code == 1
    [sentence] = sentences(err)
    reasons = (os.strerror(28), os.strerror(27))
    assert any(reason in sentence for reason in reasons), sentence
    assert demo.nothing_is_left()
