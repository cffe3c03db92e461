"""The body of ``hecf report``: a page from whatever results file a command wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hecf.errors import ConfigurationError, InvalidInput
from hecf.kits.files import read_limited
from parties.report import render
from parties.report.bench import render_bench
from parties.report.utility import render_utility

_LARGEST_FILE = 16 << 20
_RENDERERS = {"results": render_bench, "coalitions": render_utility, "targets": render}
"""Renderers by a field that only their results have."""


def report(path: Path) -> str:
    """Render the results that ``hecf bench``, ``demo`` or ``privacy-utility`` wrote with --json.

    Raises
    ------
    ConfigurationError
        If the file cannot be read, holds no results, or lacks a field of them.
    """
    try:
        content: Any = json.loads(read_limited(path, _LARGEST_FILE))
    except (ValueError, RecursionError):
        content = None
    fields = content if isinstance(content, dict) else {}
    for field, renderer in _RENDERERS.items():
        if field in fields:
            try:
                return renderer(fields)
            except InvalidInput as error:
                raise ConfigurationError(f"{path} cannot be shown: {error}") from None
    raise ConfigurationError(
        f"{path} holds no results", expected="what hecf bench, demo or privacy-utility --json write"
    )
