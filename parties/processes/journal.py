"""What a retailer has contributed, in a file that outlives its process."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from hecf.errors import ConfigurationError
from hecf.kits.files import read_private, write_private


class FileJournal(MutableMapping[str, str]):
    """A mapping of texts that is on the disk before a change returns.

    Parameters
    ----------
    path : Path
        A JSON file of mode 0600; it need not exist.

    Raises
    ------
    ConfigurationError
        If the file cannot be read or written, or is no journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content: dict[str, str] = {}
        if path.exists():
            try:
                content = json.loads(read_private(path))
            except (ValueError, RecursionError):
                content = None
            if not isinstance(content, dict) or not all(
                isinstance(value, str) for value in content.values()
            ):
                raise ConfigurationError(f"{path} is no journal of contributions")
            self._content = content

    def __getitem__(self, key: str) -> str:
        return self._content[key]

    def __setitem__(self, key: str, value: str) -> None:
        self._write({**self._content, key: value})

    def __delitem__(self, key: str) -> None:
        if key not in self._content:
            raise KeyError(key)
        self._write({name: value for name, value in self._content.items() if name != key})

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def _write(self, content: dict[str, str]) -> None:
        write_private(self._path, json.dumps(content, indent=1).encode())
        self._content = content
