"""A self-contained HTML report of a demonstration run: no script, no network, one file."""

from __future__ import annotations

from parties.report.document import render

__all__ = ["render"]
