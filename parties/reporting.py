"""The body of ``hecf report``: a page from whatever results files commands wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hecf.errors import ConfigurationError, InvalidInput
from hecf.kits.files import read_limited
from parties.report import render
from parties.report.bench import render_bench
from parties.report.utility import render_utility

_LARGEST_FILE = 16 << 20
SECTIONS = frozenset({"results", "growth", "latencies", "networks"})
"""Fields whose lists are put together in one page about cost."""

LEDGER = "budgets"
"""A field that only ``hecf ledger show`` writes."""

_ALONE = {"coalitions": render_utility, "targets": render}
"""Renderers of results that have a page of their own, by a field that only they have."""


def report(paths: Sequence[Path]) -> str:
    """Render what commands wrote with --json: one page, also of several files about cost.

    Raises
    ------
    ConfigurationError
        If a file cannot be read, holds no results, lacks a field of them or needs a page of its
        own, or if two files have a job of the same name.
    """
    contents = [_read(path) for path in paths]
    names = ", ".join(map(str, paths))
    try:
        for field, renderer in _ALONE.items():
            if field in contents[0] and len(contents) == 1:
                return renderer(contents[0])
        return render_bench(_together(paths, contents))
    except InvalidInput as error:
        raise ConfigurationError(f"{names} cannot be shown: {error}") from None


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content: Any = json.loads(read_limited(path, _LARGEST_FILE))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not {LEDGER, *SECTIONS, *_ALONE} & set(content):
        raise ConfigurationError(
            f"{path} holds no results",
            expected="what hecf bench, demo, ledger or privacy-utility --json write",
        )
    return content


def _together(paths: Sequence[Path], contents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put the sections of several files into one."""
    together: dict[str, Any] = {"quick": False, "machines": [], "results": []}
    for path, content in zip(paths, contents, strict=True):
        if set(_ALONE) & set(content):
            raise ConfigurationError(f"{path} needs a page of its own", got=f"{len(paths)} files")
        if LEDGER in content:
            together.setdefault("ledgers", []).append(content)
        for field in SECTIONS & set(content):
            found = content[field]
            if not isinstance(found, list):
                raise InvalidInput("a field of the results is no list", got=field)
            together[field] = [*together.get(field, []), *found]
        if "machine" in content and content["machine"] not in together["machines"]:
            together["machines"].append(content["machine"])
        together["quick"] = together["quick"] or bool(content.get("quick"))
    return together
