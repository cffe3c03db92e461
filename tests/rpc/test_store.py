"""The block store: whole files under their digest, or nothing."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hecf.errors import InternalFailure, LimitExceeded
from hecf.rpc.store import CHUNK, BlockStore

DATA = b"words of a ciphertext" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "blocks"


@pytest.fixture
def store(folder: Path) -> BlockStore:
    return BlockStore(folder)


def test_bytes_come_back_by_their_digest(store: BlockStore, folder: Path) -> None:
    assert store.put(DATA) == DIGEST
    assert store.get(DIGEST) == DATA
    assert store.put(b"") == hashlib.sha256(b"").hexdigest()
    assert {path.name for path in folder.iterdir()} == {DIGEST, hashlib.sha256(b"").hexdigest()}


def test_chunks_are_checked_before_the_first_one_comes(store: BlockStore, folder: Path) -> None:
    data = os.urandom(2 * CHUNK + 5)
    digest = store.put(data)
    assert [len(chunk) for chunk in store.chunks(digest)] == [CHUNK, CHUNK, 5]
    assert b"".join(store.chunks(digest)) == data
    changed = bytearray(data)
    changed[-1] ^= 1
    (folder / digest).write_bytes(changed)
    with pytest.raises(InternalFailure, match="was changed"):
        next(store.chunks(digest))
    with pytest.raises(InternalFailure, match="is gone"):
        next(store.chunks(DIGEST))


def test_only_the_owner_can_read(store: BlockStore, folder: Path) -> None:
    before = os.umask(0)
    try:
        store.put(DATA)
        BlockStore(folder.parent / "others")
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / DIGEST).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.parent / "others").stat().st_mode) == 0o700


def test_the_same_bytes_again_are_not_written(
    store: BlockStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(DATA)
    written = (folder / DIGEST).stat().st_mtime_ns
    monkeypatch.setattr("tempfile.mkstemp", no_space)
    assert store.put(DATA) == DIGEST
    assert (folder / DIGEST).stat().st_mtime_ns == written


def test_equal_bytes_from_many_threads_make_one_file(store: BlockStore, folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(store.put, [DATA] * 64)) == {DIGEST}
    assert [path.name for path in folder.iterdir()] == [DIGEST]


def no_space(*arguments: Any, **options: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["tempfile.mkstemp", "os.fsync", "pathlib.Path.replace"])
def test_a_full_disk_leaves_nothing(
    store: BlockStore, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(step, no_space)
        with pytest.raises(LimitExceeded, match="cannot be stored: got No space left") as got:
            store.put(DATA)
    assert str(folder) not in str(got.value)
    assert list(folder.iterdir()) == []
    # Once there is room the same bytes are stored as if nothing had been.
    assert store.put(DATA) == DIGEST


def test_a_file_is_complete_before_it_has_its_name(
    store: BlockStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bytes]] = []
    real = os.fsync

    def look(descriptor: int) -> None:
        temporary = next(path for path in folder.iterdir() if path.name != DIGEST)
        seen.append(((folder / DIGEST).exists(), temporary.read_bytes()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    store.put(DATA)
    assert seen == [(False, DATA)]


@pytest.mark.parametrize("content", [b"", DATA[:-1], DATA + b"\0", DATA[:-1] + b"?"])
def test_a_changed_file_is_not_handed_out(store: BlockStore, folder: Path, content: bytes) -> None:
    store.put(DATA)
    (folder / DIGEST).write_bytes(content)
    with pytest.raises(InternalFailure, match="a stored block was changed"):
        store.get(DIGEST)


def test_a_missing_file_is_said(store: BlockStore) -> None:
    with pytest.raises(InternalFailure, match="a stored block is gone"):
        store.get(DIGEST)


def test_only_blocks_that_are_kept_survive(store: BlockStore, folder: Path) -> None:
    store.put(DATA)
    (folder / ".left-by-a-crash").write_bytes(b"half")
    store.keep({DIGEST})
    assert [path.name for path in folder.iterdir()] == [DIGEST]
    store.keep(set())
    assert list(folder.iterdir()) == []
