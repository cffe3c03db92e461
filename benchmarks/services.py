"""A throw-away coalition whose two servers are up, with the kits of all retailers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hecf.kits.kit import Kit
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER
from parties.demonstrations.loyalty_programme import free_ports
from parties.processes.launcher import Launcher
from parties.provisioning.configuration import CoalitionConfiguration
from parties.provisioning.provision import provision
from parties.system.lifetime import deferred_signals

_CALLS = 1 << 20
"""Calls a minute: what is measured is not to be a quota."""


@contextmanager
def services(
    *, retailers: int, shoppers: int, factors: int, topology: str, scheme: str
) -> Iterator[tuple[Kit, ...]]:
    """Provision a coalition, start its two servers, and remove everything at the end.

    Yields
    ------
    tuple of Kit
        Of every retailer. The servers may still be starting; clients wait for them.

    Raises
    ------
    HecfError
        If the coalition cannot be, or a server ends.
    """
    folder: Path | None = None
    try:
        with deferred_signals():
            folder = Path(tempfile.mkdtemp(prefix="hecf-bench-"))
        names = [f"retailer-{number}" for number in range(retailers)]
        configuration = _write(folder, names, shoppers, factors, topology, scheme)
        kits = provision(CoalitionConfiguration.load(configuration), folder / "kits").kits
        logs = folder / "logs"
        logs.mkdir()
        with Launcher({name: kits[name] for name in (COMPUTE_NODE, KEY_HOLDER)}, logs) as launcher:
            launcher.start()
            yield tuple(Kit.load(kits[name] / "party.toml") for name in names)
    finally:
        if folder is not None:
            with deferred_signals():
                shutil.rmtree(folder, ignore_errors=True)


def _write(
    folder: Path, names: list[str], shoppers: int, factors: int, topology: str, scheme: str
) -> Path:
    (folder / "members.txt").write_text("\n".join(f"member-{n}" for n in range(shoppers)) + "\n")
    # Nobody reads purchases here: embeddings are drawn.
    (folder / "purchases.csv").write_text("user_id,item_id\nmember-0,item-0\n")
    node, key_holder = free_ports(2)
    tables = [
        f'[coalition]\nname = "bench"\nscheme = "{scheme}"\ntopology = "{topology}"\n'
        f"factors = {factors}\ntop_k = 1\nminimum_shoppers = 2",
        '[members]\npath = "members.txt"',
        f'[compute_node]\naddress = "127.0.0.1:{node}"',
        f'[key_holder]\naddress = "127.0.0.1:{key_holder}"',
        f"[limits]\nparty_calls_per_minute = {_CALLS}\nparty_megabytes_per_minute = {_CALLS}",
        *(f'[retailers.{name}]\ninteractions = "purchases.csv"' for name in names),
    ]
    path = folder / "coalition.toml"
    path.write_text("\n".join(tables) + "\n")
    return path
