"""`hecf keys` and `hecf ledger` on a provisioned kit, and the debit that ends with a key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hecf.errors import LimitExceeded
from hecf.kits.files import write_private
from hecf.kits.kit import Kit
from parties.cli import app
from parties.custody.key_epochs import debit_under, key_store, ledger_file
from parties.provisioning.configuration import CoalitionConfiguration
from parties.provisioning.provision import provision

TASK = "ef" * 32
COALITION = """
[coalition]
name = "loyal"
scheme = "clear"
factors = 4
releases = 50
[members]
path = "members.txt"
[compute_node]
address = "127.0.0.1:1"
[key_holder]
address = "127.0.0.1:2"
[retailers.alder]
interactions = "alder.csv"
[retailers.birch]
interactions = "alder.csv"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "coalition.toml").write_text(COALITION)
    (tmp_path / "members.txt").write_text("".join(f"{number}\n" for number in range(120)))
    (tmp_path / "alder.csv").write_text("user_id,item_id\n1,a\n")
    loaded = CoalitionConfiguration.load(tmp_path / "coalition.toml")
    return provision(loaded, tmp_path / "kits").kits["key-holder"] / "party.toml"


def hecf(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_key_lives_through_its_epochs(config: Path, tmp_path: Path) -> None:
    made = hecf("keys", "generate", "--config", config, "--days", 20)
    assert made.exit_code == 0, made.output
    assert made.output.startswith("epoch 1 ")
    again = hecf("keys", "generate", "--config", config)
    assert again.exit_code == 1
    assert again.output.startswith("error: ")
    assert again.output.count("\n") == 1
    kit = Kit.load(config)
    debit_under(key_store(kit), ledger_file(kit))(TASK, 12, 0.0)
    assert hecf("keys", "rotate", "--config", config).output.startswith("epoch 2 ")
    debit_under(key_store(kit), ledger_file(kit))(TASK, 50, 0.0)
    shown = hecf("keys", "show", "--config", config, "--json", tmp_path / "keys.json")
    first, second = shown.output.splitlines()
    assert "releases 12 of 50 replaced" in first
    assert "releases 50 of 50 present" in second
    found = json.loads((tmp_path / "keys.json").read_text())
    assert [epoch["spent"] for epoch in found["epochs"]] == [12, 50]


def test_a_key_past_its_releases_or_its_end_refuses(config: Path) -> None:
    hecf("keys", "generate", "--config", config)
    kit = Kit.load(config)
    debit = debit_under(key_store(kit), ledger_file(kit))
    debit(TASK, 50, 0.0)
    with pytest.raises(LimitExceeded, match="releases under this key are used up"):
        debit(TASK, 1, 0.0)
    debit(TASK, 0, 0.0)
    # Expired by command while the key holder runs: its next debit is refused.
    assert hecf("keys", "expire", "--config", config).exit_code == 0
    with pytest.raises(LimitExceeded, match="has expired"):
        debit(TASK, 0, 0.0)
    assert ledger_file(kit).read().spent(key_store(kit).epoch.fingerprint) == 50


def test_a_passphrase_is_asked_for_twice(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["keys", "generate", "--config", str(config), "--passphrase"]
    made = CliRunner().invoke(app, arguments, input="correct horse\ncorrect horse\n")
    assert made.exit_code == 0, made.output
    assert "correct" not in made.output
    expired = hecf("keys", "expire", "--config", config)
    assert expired.exit_code == 1
    assert "HECF_PASSPHRASE" in expired.output
    monkeypatch.setenv("HECF_PASSPHRASE", "correct horse")
    assert hecf("keys", "expire", "--config", config).exit_code == 0


def test_the_ledger_is_shown_and_verified(config: Path, tmp_path: Path) -> None:
    hecf("keys", "generate", "--config", config)
    kit = Kit.load(config)
    for _ in range(3):
        debit_under(key_store(kit), ledger_file(kit))(TASK, 2, 0.0)
    shown = hecf("ledger", "show", "--config", config, "--json", tmp_path / "ledger.json")
    assert shown.exit_code == 0, shown.output
    assert "6 of 50" in shown.output
    assert "differential privacy: none agreed" in shown.output
    found = json.loads((tmp_path / "ledger.json").read_text())
    assert [entry["ciphertexts"] for entry in found["entries"]] == [2, 2, 2]
    verified = hecf("ledger", "verify", "--config", config)
    assert verified.output == "3 entries form one chain that continues its witness\n"
    path = kit.state / "ledger.jsonl"
    write_private(path, b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    for command in ("show", "verify"):
        refused = hecf("ledger", command, "--config", config)
        assert refused.exit_code == 1
        assert "rolled back" in refused.output
        assert refused.output.count("\n") == 1


@pytest.mark.parametrize("command", [("keys", "show"), ("ledger", "verify"), ("keys", "rotate")])
def test_the_kit_of_another_role_is_refused(config: Path, command: tuple[str, str]) -> None:
    other = config.parent.parent / "compute-node" / "party.toml"
    refused = hecf(*command, "--config", other)
    assert refused.exit_code == 1
    assert "kit of another role: got compute-node, expected key-holder" in refused.output
