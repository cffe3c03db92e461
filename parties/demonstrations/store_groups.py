"""Store groups with one catalogue as parties of a coalition: kits, services, and their commands."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hecf.data import UserItems
from hecf.errors import HecfError
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER
from parties.demonstrations.loyalty_programme import free_ports
from parties.processes.launcher import Launcher
from parties.provisioning.configuration import CoalitionConfiguration
from parties.provisioning.provision import provision
from parties.system.lifetime import ERROR_PREFIX, deferred_signals

Progress = Callable[[str], None]
MOST_SHOPPERS = 4096
_SECONDS = 300.0
"""How long the commands of groups may take together, on a busy machine as well."""


@dataclass(frozen=True)
class StoreGroups:
    """Groups whose compute node and key holder are running.

    Parameters
    ----------
    folder : Path
        Where their commands read and write; it is removed at the end.
    kits : mapping of str to Path
        Folder of the kit of every group.
    """

    folder: Path
    kits: Mapping[str, Path]

    def fit(self, model: str, settings: Mapping[str, float]) -> dict[str, Path]:
        """Let all groups fit a recommender together, and return the file of each one's model.

        Raises
        ------
        HecfError
            With the sentence of the first group that fails.
        """
        options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        options += ["--session", model, "--catalogue", str(self.folder / _CATALOGUE)]
        files = {name: self.folder / f"{model}-{name}.npz" for name in self.kits}
        self.run({name: ["fit", model, *options, "--out", str(files[name])] for name in files})
        return files

    def run(self, commands: Mapping[str, list[str]]) -> None:
        """Run a command of ``hecf`` for some groups at once, each with its kit, to their ends.

        Raises
        ------
        HecfError
            With the sentence of the first group that fails.
        """
        complete = {
            name: [
                *(sys.executable, "-m", "parties", *command),
                *("--kit", str(self.kits[name] / "party.toml")),
            ]
            for name, command in commands.items()
        }
        with _running(complete, self.folder) as children:
            deadline = time.monotonic() + _SECONDS
            for name, child in children.items():
                try:
                    code = child.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    got = f"{_SECONDS:g} s"
                    raise HecfError(f"{name} did not finish in time", got=got) from None
                if code != 0:
                    raise HecfError(f"{name}: {_last_error(self.folder / f'{name}.log')}")


_CATALOGUE = "catalogue.txt"


@contextlib.contextmanager
def store_groups(
    coalition: str, data: Mapping[str, UserItems], scheme: str, progress: Progress
) -> Iterator[StoreGroups]:
    """Provision a coalition of groups in a temporary folder, and run its services.

    Parameters
    ----------
    coalition : str
        Its name.
    data : mapping of str to UserItems
        What every group knows, by the shared catalogue.
    scheme : str
    progress : callable

    Raises
    ------
    HecfError
        If the services do not start.
    """
    folder: Path | None = None
    try:
        with deferred_signals():
            folder = Path(tempfile.mkdtemp(prefix=f"hecf-{coalition}-"))
        progress("provisioning the coalition")
        configuration = CoalitionConfiguration.load(_write(folder, coalition, data, scheme))
        kits = provision(configuration, folder / "kits").kits
        logs = folder / "logs"
        logs.mkdir()
        services = {name: kits[name] for name in (COMPUTE_NODE, KEY_HOLDER)}
        with Launcher(services, logs) as launcher:
            progress("starting compute node and key holder")
            launcher.start()
            yield StoreGroups(folder, {name: kits[name] for name in data})
    finally:
        if folder is not None:
            with deferred_signals():
                shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, coalition: str, data: Mapping[str, UserItems], scheme: str) -> Path:
    """Write every group's own file, the shared catalogue and the coalition's configuration."""
    catalogue = next(iter(data.values())).item_ids
    (folder / _CATALOGUE).write_text("\n".join(catalogue) + "\n")
    for name, entry in data.items():
        entries = entry.counts.tocoo()
        rows, columns = entries.coords
        table = pa.table(
            {
                "user_id": [entry.user_ids[row] for row in rows],
                "item_id": [catalogue[column] for column in columns],
                "rating": entries.data,
            }
        )
        pq.write_table(table, folder / f"{name}.parquet")
    node, holder = free_ports(2)
    lines = [
        f'[coalition]\nname = "{coalition}"\nscheme = "{scheme}"',
        f"[members]\nmost_shoppers = {MOST_SHOPPERS}",
        f'[compute_node]\naddress = "127.0.0.1:{node}"',
        f'[key_holder]\naddress = "127.0.0.1:{holder}"',
        *(f'[retailers.{name}]\ninteractions = "{name}.parquet"' for name in data),
    ]
    path = folder / "coalition.toml"
    path.write_text("\n\n".join(lines) + "\n")
    return path


@contextlib.contextmanager
def _running(
    commands: Mapping[str, list[str]], logs: Path
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            with deferred_signals(), (logs / f"{name}.log").open("wb") as log:
                children[name] = subprocess.Popen(  # noqa: S603
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
        yield children
    finally:
        with deferred_signals():
            for child in children.values():
                if child.poll() is None:
                    child.kill()
                child.wait()


def _last_error(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if line.startswith(ERROR_PREFIX)]
    return errors[-1].removeprefix(ERROR_PREFIX) if errors else "it ended without a reason"
