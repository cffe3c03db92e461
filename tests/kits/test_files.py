"""Files of a kit: atomic, private from the first byte, refused when others may read them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from hecf.errors import ConfigurationError
from hecf.kits.files import read_limited, read_private, write_private, write_public

Write = Callable[[Path, bytes], None]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("write", "mode"), [(write_private, 0o600), (write_public, 0o644)])
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_content_and_mode_do_not_depend_on_the_umask(
    tmp_path: Path, write: Write, mode: int, umask: int
) -> None:
    path = tmp_path / "file"
    before = os.umask(umask)
    try:
        write(path, b"\x00\xffcontent")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"\x00\xffcontent"
    assert mode_of(path) == mode
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_an_open_file_becomes_private_when_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o666)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert mode_of(path) == 0o600


def test_a_symbolic_link_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    link = tmp_path / "link"
    link.symlink_to(target)
    write_private(link, b"new")
    assert target.read_bytes() == b"precious"
    assert not link.is_symlink()


@pytest.mark.parametrize("write", [write_private, write_public])
def test_nobody_else_can_read_while_the_file_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    modes: list[int] = []
    real = os.fchmod

    def watched(descriptor: int, mode: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        # Everything is in the file before the mode may be widened.
        assert os.fstat(descriptor).st_size == len(b"content")
        real(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", watched)
    write(tmp_path / "file", b"content")
    assert modes == [0o600]


def fail(error: BaseException) -> Callable[..., None]:
    def failing(*_: object) -> None:
        raise error

    return failing


def test_a_full_disk_keeps_the_old_file_and_leaves_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_private(path, b"old")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "fsync", fail(full))
    with pytest.raises(ConfigurationError, match="No space left on device") as caught:
        write_private(path, b"new")
    assert caught.value.expected is not None
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_an_interruption_keeps_the_old_file_and_leaves_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_private(path, b"old")
    monkeypatch.setattr(os, "fsync", fail(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_path_without_folder_or_over_a_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "plain").write_bytes(b"")
    for path in (tmp_path / "none" / "file", tmp_path / "folder", tmp_path / "plain" / "file"):
        with pytest.raises(ConfigurationError, match="cannot be written"):
            write_private(path, b"new")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "plain"]


def test_a_private_file_is_read_back(tmp_path: Path) -> None:
    write_private(tmp_path / "file", b"secret")
    assert read_private(tmp_path / "file") == b"secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666, 0o777])
def test_a_file_open_to_others_is_refused_as_private(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"secret")
    path.chmod(mode)
    with pytest.raises(ConfigurationError) as caught:
        read_private(path)
    assert caught.value.got == f"mode {mode:04o}"
    assert caught.value.expected == "mode 0600"
    assert "secret" not in str(caught.value)
    assert read_limited(path, 6) == b"secret"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_the_owner_alone_is_accepted(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"secret")
    path.chmod(mode)
    assert read_private(path) == b"secret"


def test_a_link_to_an_open_file_is_refused_as_private(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"secret")
    target.chmod(0o644)
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(ConfigurationError, match="open to others"):
        read_private(tmp_path / "link")


@pytest.mark.parametrize("read", [read_private, lambda path: read_limited(path, 10)])
def test_what_is_no_file_is_refused(tmp_path: Path, read: Callable[[Path], bytes]) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name, sentence in {
        "none": "No such file",
        "folder": "got a folder",
        "pipe": "got a special file",
    }.items():
        with pytest.raises(ConfigurationError, match=sentence) as caught:
            read(tmp_path / name)
        assert caught.value.expected is not None


def test_the_limit_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_limited(path, 5) == b"12345"
    with pytest.raises(ConfigurationError, match="too large: got more, expected at most 4 bytes"):
        read_limited(path, 4)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        descriptors = Path("/dev/fd")
    before = sum(1 for _ in descriptors.iterdir())
    for _ in range(8):
        with pytest.raises(ConfigurationError):
            read_private(tmp_path / "folder")
    assert sum(1 for _ in descriptors.iterdir()) == before
