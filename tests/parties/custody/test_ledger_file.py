"""The ledger on disk: durable before a release, and never rolled back unnoticed (C21)."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from coalitions import make_terms

from hecf.errors import ConfigurationError, LimitExceeded
from hecf.kits.files import write_private
from parties.custody import ledger as ledger_module
from parties.custody.ledger import LEDGER, LedgerFile, empty_ledger

TERMS = make_terms(releases=100)
EPOCH, TASK = "01" * 32, "ef" * 32


@pytest.fixture
def kept(tmp_path: Path) -> LedgerFile:
    (tmp_path / "state").mkdir(mode=0o700)
    write_private(tmp_path / "witness", empty_ledger(TERMS).head.to_text().encode())
    return reopened(tmp_path)


def reopened(folder: Path) -> LedgerFile:
    return LedgerFile(folder / "state", folder / "witness", TERMS)


def files(folder: Path) -> tuple[Path, Path]:
    return folder / "state" / LEDGER, folder / "witness"


def test_debits_survive_and_add_up(kept: LedgerFile, tmp_path: Path) -> None:
    assert kept.read().spent(EPOCH) == 0
    for count in (2, 3):
        kept.debit(EPOCH, TASK, count, 0.0)
    again = reopened(tmp_path).read()
    assert (again.spent(EPOCH), len(again.entries)) == (5, 2)
    with pytest.raises(LimitExceeded):
        reopened(tmp_path).debit(EPOCH, TASK, 96, 0.0)
    assert reopened(tmp_path).read() == again
    for path in files(tmp_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_debits_at_once_are_all_counted(tmp_path: Path, kept: LedgerFile) -> None:
    with ThreadPoolExecutor(8) as pool:
        for job in [pool.submit(reopened(tmp_path).debit, EPOCH, TASK, 1, 0.0) for _ in range(24)]:
            job.result()
    assert kept.read().spent(EPOCH) == 24


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_a_crash_at_any_write_leaves_a_ledger_that_goes_on(
    kept: LedgerFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    kept.debit(EPOCH, TASK, 1, 0.0)
    done = []

    def dying(path: Path, data: bytes) -> None:
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(path)
        write_private(path, data)

    # Twice, since a crash may follow a crash before anything has been repaired.
    for _ in range(2):
        done.clear()
        monkeypatch.setattr(ledger_module, "write_private", dying)
        if writes < 3:
            with pytest.raises(KeyboardInterrupt):
                reopened(tmp_path).debit(EPOCH, TASK, 10, 0.0)
        else:
            reopened(tmp_path).debit(EPOCH, TASK, 10, 0.0)
        monkeypatch.undo()
    # Spent once the file itself was written, whether or not a release followed.
    assert reopened(tmp_path).read().spent(EPOCH) == 1 + 2 * (10 if writes >= 2 else 0)
    reopened(tmp_path).debit(EPOCH, TASK, 5, 0.0)
    assert reopened(tmp_path).read().spent(EPOCH) == 6 + 2 * (10 if writes >= 2 else 0)


@pytest.mark.parametrize("keep", [None, 0, 1, 2])
def test_a_rollback_of_the_file_is_refused(
    kept: LedgerFile, tmp_path: Path, keep: int | None
) -> None:
    path, _ = files(tmp_path)
    for _ in range(3):
        kept.debit(EPOCH, TASK, 1, 0.0)
    if keep is None:
        path.unlink()
    else:
        lines = path.read_text().splitlines(keepends=True)
        write_private(path, "".join(lines[:keep]).encode())
    for act in (kept.read, lambda: kept.debit(EPOCH, TASK, 1, 0.0)):
        with pytest.raises(ConfigurationError, match=r"ledger\.jsonl cannot be trusted .* rolled"):
            act()


def test_a_lost_or_foreign_witness_is_refused(kept: LedgerFile, tmp_path: Path) -> None:
    _, witness = files(tmp_path)
    kept.debit(EPOCH, TASK, 1, 0.0)
    other = empty_ledger(make_terms(releases=101)).head.to_text().encode()
    for content in (b"", b"{}", other, b"\xff\xfe"):
        write_private(witness, content)
        with pytest.raises(ConfigurationError):
            kept.debit(EPOCH, TASK, 1, 0.0)
    witness.unlink()
    with pytest.raises(ConfigurationError, match="witness cannot be read"):
        kept.read()


def test_an_edit_and_open_files_are_refused(kept: LedgerFile, tmp_path: Path) -> None:
    path, witness = files(tmp_path)
    kept.debit(EPOCH, TASK, 50, 0.0)
    entry = json.loads(path.read_text())
    write_private(path, (json.dumps(entry | {"ciphertexts": 5}) + "\n").encode())
    with pytest.raises(ConfigurationError, match="cannot be trusted"):
        kept.debit(EPOCH, TASK, 1, 0.0)
    write_private(path, (json.dumps(entry) + "\n").encode())
    assert kept.read().spent(EPOCH) == 50
    for each in (path, witness):
        each.chmod(0o640)
        with pytest.raises(ConfigurationError, match="open to others"):
            kept.read()
        each.chmod(0o600)
