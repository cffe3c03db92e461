"""The body of ``hecf ledger``: what a key holder spent, from its kit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hecf.kits.kit import Kit
from hecf.rpc.identity import KEY_HOLDER
from parties.custody.key_epochs import ledger_file


def described(config: Path) -> dict[str, Any]:
    """Read and verify a key holder's ledger.

    Returns
    -------
    dict
        ``entries``, and under ``budgets`` the releases by epoch and epsilon with their limits.

    Raises
    ------
    ConfigurationError
        If the kit is another role's or the ledger cannot be trusted.
    """
    kit = Kit.load(config, role=KEY_HOLDER)
    ledger = ledger_file(kit).read()
    epochs = dict.fromkeys(entry.epoch for entry in ledger.entries)
    return {
        "coalition": kit.terms.coalition,
        "head": asdict(ledger.head),
        "budgets": {
            "releases": {
                "limit": ledger.releases,
                "spent": {epoch: ledger.spent(epoch) for epoch in epochs},
            },
            "epsilon": {
                "limit": ledger.epsilon,
                "delta": ledger.delta,
                "spent": ledger.spent_epsilon,
            },
        },
        "entries": [asdict(entry) for entry in ledger.entries],
    }


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print what :func:`described` found."""
    table = Table(title=f"ledger of {found['coalition']}")
    for column in ("number", "time", "task", "epoch", "ciphertexts", "noise multiplier"):
        table.add_column(column)
    for entry in found["entries"]:
        noise = entry["noise_multiplier"]
        table.add_row(
            str(entry["number"]),
            entry["time"],
            entry["task"][:16],
            entry["epoch"][:16],
            str(entry["ciphertexts"]),
            f"{noise:.4g}" if noise else "none",
        )
    console.print(table)
    releases, epsilon = found["budgets"]["releases"], found["budgets"]["epsilon"]
    for epoch, spent in releases["spent"].items():
        console.print(f"releases under key {epoch[:16]}: {spent} of {releases['limit']}")
    if not releases["spent"]:
        console.print(f"nothing was released; {releases['limit']} releases for each key")
    if epsilon["limit"] > 0:
        console.print(
            f"epsilon: {epsilon['spent']:.4g} of {epsilon['limit']:.4g} "
            f"at delta {epsilon['delta']:.3g}"
        )
    else:
        console.print("differential privacy: none agreed")
