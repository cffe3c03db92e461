"""Fitted models in files: NumPy's ``.npz`` with a JSON header and a format version, no pickle."""

from __future__ import annotations

import json
import os
import secrets
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecf.errors import InvalidInput

FORMAT = "hecf-recommender"
VERSION = 1
_HEADER = "header"


def write_arrays(
    path: str | os.PathLike[str],
    model: str,
    settings: Mapping[str, Any],
    item_ids: tuple[str, ...] | None,
    arrays: Mapping[str, NDArray[Any]],
) -> None:
    """Write a model, all at once or not at all.

    Raises
    ------
    OSError
        If the file cannot be written; an existing one is unchanged then.
    """
    header = {
        "format": FORMAT,
        "version": VERSION,
        "model": model,
        "settings": dict(settings),
        "item_ids": None if item_ids is None else list(item_ids),
    }
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.npz")
    try:
        np.savez_compressed(temporary, allow_pickle=False, **{_HEADER: text}, **arrays)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def read_model_name(path: str | os.PathLike[str]) -> str:
    """Name of the class of a saved model; raises InvalidInput as :func:`read_arrays` does."""
    header, _ = _read(Path(path))
    return str(header.get("model"))


def read_arrays(
    path: str | os.PathLike[str], model: str, names: tuple[str, ...]
) -> tuple[dict[str, Any], tuple[str, ...] | None, dict[str, NDArray[Any]]]:
    """Read a model.

    Parameters
    ----------
    path : path
    model : str
        Name of the class that is expected.
    names : tuple of str
        Arrays that must be there, and no others.

    Returns
    -------
    settings : dict
    item_ids : tuple of str or None
    arrays : dict of str to array

    Raises
    ------
    InvalidInput
        If there is no such file, it is of another model or version, or it is broken.
    """
    file = Path(path)
    header, content = _read(file)
    found = (header.get("format"), header.get("version"), header.get("model"))
    if found != (FORMAT, VERSION, model) or set(content) != set(names):
        raise InvalidInput(
            f"{file.name!r} is another kind of file",
            got=f"{found[2]} of version {found[1]}",
            expected=f"{model} of version {VERSION}",
        )
    item_ids = header["item_ids"]
    return header["settings"], None if item_ids is None else tuple(item_ids), content


def _read(file: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            content = {name: stored[name] for name in stored.files}
        header = json.loads(content.pop(_HEADER).tobytes())
    except FileNotFoundError:
        raise InvalidInput(f"there is no file {str(file)!r}") from None
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile):
        # NumPy gives back an array, without a context, for a file that is no archive.
        raise InvalidInput(f"{file.name!r} is no saved recommender") from None
    if not isinstance(header, dict):
        raise InvalidInput(f"{file.name!r} is no saved recommender")
    return header, content
