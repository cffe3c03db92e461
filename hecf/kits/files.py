"""Reading and writing the files of a kit: all at once or not at all, and private where it matters.

A crash, a full disk or an interruption leaves either the old file or the new one, never half of
one, and a private file is at no moment readable by anybody but its owner (control C11).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from hecf.errors import ConfigurationError

PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
_OTHERS = 0o077


def write_private(path: Path, data: bytes) -> None:
    """Write a file with mode 0600, atomically and durably.

    Parameters
    ----------
    path : Path
        The file; an existing one is replaced, a symbolic link is replaced and not followed.
    data : bytes
        The whole content.

    Raises
    ------
    ConfigurationError
        If the file cannot be written; nothing new lies in the folder then.
    """
    _write(path, data, PRIVATE_MODE)


def write_public(path: Path, data: bytes) -> None:
    """Write a file with mode 0644, atomically and durably.

    Parameters and errors are those of :func:`write_private`.

    Security
    --------
    Everybody on the machine may read the result. It is for reports, never for kits.
    """
    _write(path, data, PUBLIC_MODE)


def read_private(path: Path) -> bytes:
    """Read a file that only its owner may read or write.

    Raises
    ------
    ConfigurationError
        If the file is missing, is not a regular file, cannot be read, or grants any permission
        to its group or to others.

    Security
    --------
    The mode is taken from the opened file, so that the file cannot be swapped between the check
    and the reading. A secret that others could read counts as known to them: replace it, do not
    only tighten its mode.
    """
    return _read(path, None, private=True)


def read_limited(path: Path, limit: int) -> bytes:
    """Read a file of at most `limit` bytes, without ever holding more in memory.

    Raises
    ------
    ConfigurationError
        If the file is missing, is not a regular file, cannot be read or is larger.
    """
    return _read(path, limit, private=False)


def _write(path: Path, data: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        # O_EXCL refuses a name that somebody prepared, and the narrow mode holds from the start;
        # it is widened, for public files, only when the content is complete.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(temporary, flags, PRIVATE_MODE), "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.replace(path)
        _synchronise_folder(path.parent)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written",
            got=error.strerror,
            expected="a writable folder with free space",
        ) from None
    finally:
        # After the rename there is nothing left to remove; after any failure there may be.
        with contextlib.suppress(OSError):
            temporary.unlink()


def _synchronise_folder(folder: Path) -> None:
    """Make a rename durable: the entry belongs to the folder, not to the file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, limit: int | None, *, private: bool) -> bytes:
    try:
        # O_NONBLOCK keeps a named pipe from stopping the party before its type is known.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            _check_status(path, os.fstat(descriptor), private=private)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read() if limit is None else file.read(limit + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read", got=error.strerror, expected="a readable file"
        ) from None
    if limit is not None and len(data) > limit:
        raise ConfigurationError(
            f"{path} is too large", got="more", expected=f"at most {limit} bytes"
        )
    return data


def _check_status(path: Path, status: os.stat_result, *, private: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a special file"
        raise ConfigurationError(f"{path} is not a file", got=kind, expected="a regular file")
    mode = stat.S_IMODE(status.st_mode)
    if private and mode & _OTHERS:
        raise ConfigurationError(
            f"{path} is open to others on this machine",
            got=f"mode {mode:04o}",
            expected=f"mode {PRIVATE_MODE:04o}",
        )
