"""Provisioned coalitions in files, and real processes that are always ended."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from coalitions import purchases, role_of

from hecf.protocol.terms import Terms
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER
from parties.provisioning.configuration import CoalitionConfiguration
from parties.provisioning.provision import provision

SERVERS = (COMPUTE_NODE, KEY_HOLDER)
ROOT = Path(__file__).parent.parent
LONGEST_SECONDS = 120.0
"""Ends a test that hangs; nothing here takes as long, however busy the machine is."""


@dataclass(frozen=True)
class Provisioned:
    """A provisioned coalition and what only its retailers know.

    ``counts`` has a row for each of ``members`` and a column for each of the retailer's ``items``.
    """

    folder: Path
    terms: Terms
    kits: Mapping[str, Path]
    members: tuple[str, ...]
    items: Mapping[str, tuple[str, ...]]
    counts: Mapping[str, np.ndarray]
    ports: Mapping[str, int]

    def party(self, name: str) -> Path:
        """Path of a party's configuration."""
        return self.kits[name] / "party.toml"


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


def make_coalition(
    folder: Path,
    *,
    retailers: tuple[str, ...] = ("alder", "birch"),
    scheme: str = "clear",
    shoppers: int = 150,
    factors: int = 4,
    patience: float = 30.0,
    more: str = "",
    limits: str = "",
    most_shoppers: int | None = None,
    topology: str = "coalition-key-blinded",
) -> Provisioned:
    """Write members, purchases and ``coalition.toml`` into a new folder, and provision it.

    With `most_shoppers` the terms have no member directory and no factors.
    """
    folder.mkdir(parents=True)
    members = tuple(f"loyalty-card-{7919 * n % 99991:05d}-quartzite" for n in range(shoppers))
    (folder / "members.txt").write_text("\n".join(members) + "\n")
    items: dict[str, tuple[str, ...]] = {}
    counts: dict[str, np.ndarray] = {}
    for number, name in enumerate(retailers):
        items[name] = tuple(f"{name}-shelf-{n:03d}-hollyhock" for n in range(30 + number))
        # Every retailer has never seen another seventh of the members.
        absent = tuple(range(number, shoppers, 7))
        counts[name] = purchases(number, shoppers, 30 + number, absent)
        write_purchases(folder / f"{name}.csv", members, items[name], counts[name])
    ports = dict(zip(SERVERS, free_ports(2), strict=True))
    shared = most_shoppers is None
    rows = "path = 'members.txt'" if shared else f"most_shoppers = {most_shoppers}"
    tables = [
        f'[coalition]\nname = "loyal"\nscheme = "{scheme}"\ntop_k = 5\nreleases = 256',
        f'topology = "{topology}"',
        f"factors = {factors}" if shared else "",
        f"[members]\n{rows}",
        f'[compute_node]\naddress = "127.0.0.1:{ports[COMPUTE_NODE]}"',
        f'[key_holder]\naddress = "127.0.0.1:{ports[KEY_HOLDER]}"',
        f"[limits]\npatience_seconds = {patience}\n{limits}",
        *(f"[retailers.{name}]\ninteractions = '{name}.csv'" for name in retailers),
        more,
    ]
    (folder / "coalition.toml").write_text("\n".join(tables) + "\n")
    made = provision(CoalitionConfiguration.load(folder / "coalition.toml"), folder / "kits")
    return Provisioned(folder, made.terms, made.kits, members, items, counts, ports)


def write_purchases(
    path: Path, members: tuple[str, ...], items: tuple[str, ...], counts: np.ndarray
) -> None:
    """Write every count above zero as a row."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user_id", "item_id", "rating"])
        for row, column in np.argwhere(counts > 0):
            rows.writerow([members[row], items[column], counts[row, column]])


class Running:
    """Processes of parties, started one by one; what is left at the end is killed."""

    def __init__(self, coalition: Provisioned) -> None:
        self.coalition = coalition
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs = coalition.folder / "logs"
        self._logs.mkdir(exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()

    def start(self, *names: str) -> None:
        """Start ``hecf serve`` for parties, one after the other."""
        for name in names:
            command = ["serve", role_of(name), "--config", str(self.coalition.party(name))]
            with self.log(name).open("wb") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "parties", *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment(),
                    cwd=ROOT,
                    # As in a terminal of its own, where Ctrl-C reaches the whole group.
                    start_new_session=True,
                )

    def log(self, name: str) -> Path:
        """Where a party's process writes."""
        return self._logs / f"{name}.log"

    def text(self, name: str) -> str:
        """What a party's process has written."""
        return self.log(name).read_text()

    def errors(self, name: str) -> list[str]:
        """The sentences with which a party's process ended; anything unplanned fails."""
        text = self.text(name)
        assert "Traceback" not in text, text
        return [line for line in text.splitlines() if line.startswith("error: ")]

    def wait(self, name: str) -> int:
        """Exit code of a party's process once it has ended; one that never does fails the test."""
        return self.processes[name].wait(LONGEST_SECONDS)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a party's process."""
        self.processes[name].send_signal(number)

    def ctrl_c(self, name: str) -> None:
        """Interrupt a party's process and all below it, as a terminal does."""
        os.killpg(self.processes[name].pid, signal.SIGINT)

    def finished(self, name: str) -> bool:
        """Whether a retailer has its recommendations."""
        return (self.coalition.kits[name] / "output" / "summary.json").exists()


def environment() -> dict[str, str]:
    """Environment of a child: few cores are shared."""
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def until(holds: Callable[[], bool], what: str, seconds: float = LONGEST_SECONDS) -> None:
    """Wait for something that happens elsewhere."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} seconds"
        time.sleep(0.01)


def descendants(pid: int) -> set[int]:
    """Processes below a process that have not ended."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name in brackets may hold anything; what follows it is regular.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting += below
    return found


def alive(pid: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def listening(port: int) -> bool:
    """Whether somebody accepts connections on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
