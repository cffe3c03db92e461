"""What key holders have released, from their ledgers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parties.report import figures
from parties.report.markup import Column, Content, Markup, name, paragraph, table, tag

_SHORT = 16
"""Digits of an identifier that are shown."""


def ledgers(found: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Show every debit of every coalition, and what is left of its budgets."""
    if not found:
        return []
    return [tag("section", tag("h2", "Privacy ledger"), *(_ledger(each) for each in found))]


def _ledger(ledger: Mapping[str, Any]) -> Markup:
    releases, epsilon = ledger["budgets"]["releases"], ledger["budgets"]["epsilon"]
    limit = figures.count(releases["limit"])
    spent = "; ".join(
        f"{figures.count(count)} of {limit} under key {str(epoch)[:_SHORT]}"
        for epoch, count in releases["spent"].items()
    )
    if epsilon["limit"] > 0:
        private = (
            f"epsilon {figures.ratio(epsilon['spent'])} of {figures.ratio(epsilon['limit'])} at "
            f"delta {figures.scientific(epsilon['delta'])}."
        )
    else:
        private = "none was agreed."
    rows: list[list[Content]] = [
        [
            figures.count(entry["number"]),
            str(entry["time"]),
            str(entry["task"])[:_SHORT],
            str(entry["epoch"])[:_SHORT],
            figures.count(entry["ciphertexts"]),
            figures.ratio(entry["noise_multiplier"]) if entry["noise_multiplier"] else "none",
        ]
        for entry in ledger["entries"]
    ]
    columns = [
        Column("Number"),
        *map(Column, ("Time", "Task", "Key")),
        Column("Ciphertexts", numeric=True),
        Column("Noise multiplier", numeric=True),
    ]
    return tag(
        "div",
        tag("h3", name(str(ledger["coalition"]))),
        paragraph(
            f"Ciphertexts released: {spent or 'none; ' + limit + ' for each key'}. ",
            f"Differential privacy: {private}",
        ),
        table("Debits of the ledger, which form one chain", columns, rows),
    )
