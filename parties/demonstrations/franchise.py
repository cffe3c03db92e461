"""The demonstration of franchise groups: one catalogue, different shoppers, encrypted sums.

Three groups of stores of the Complete Journey data fit item-kNN and EASE together, as five
processes over mutual TLS. Then the pooled model, which nobody could compute, is computed in clear
for comparison, and so is what each group could do alone.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from scipy.sparse import csr_array, vstack

from hecf.coalition import Coalition
from hecf.data import UserItems
from hecf.data.complete_journey_stores import CompleteJourneyFranchise, load_franchises
from hecf.errors import HecfError
from hecf.evaluation import compare, evaluate
from hecf.recommenders import Recommender, load_recommender
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER
from parties.demonstrations.loyalty_programme import free_ports
from parties.processes.launcher import Launcher
from parties.provisioning.configuration import CoalitionConfiguration
from parties.provisioning.provision import provision
from parties.recommending import MODELS, recommendations
from parties.system.lifetime import ERROR_PREFIX, deferred_signals

Progress = Callable[[str], None]
FITS: Mapping[str, Mapping[str, float]] = {"item-knn": {"K": 50}, "ease": {"penalty": 1000.0}}
MINIMUM_BUYERS: Mapping[str, int] = {"ckks": 60, "clear": 60, "paillier": 120}
"""Paillier takes about a hundred times longer for a product of items: it gets fewer items."""
MOST_SHOPPERS = 4096
PLACES = 20
_SECONDS = 80.0


def run(scheme: str, transport: str, progress: Progress) -> dict[str, Any]:
    """Run the demonstration and return its results.

    Raises
    ------
    HecfError
        With one sentence for whatever went wrong in whichever process.
    """
    progress("cutting the data by store")
    groups = load_franchises(MINIMUM_BUYERS[scheme])
    data = {
        name: UserItems.from_tables([group.training]).with_items(group.item_ids)
        for name, group in groups.items()
    }
    models = {name: configured(name) for name in FITS}
    start = time.perf_counter()
    if transport == "memory":
        coalition = Coalition(data, scheme=scheme)
        progress("fitting over encrypted sums, in one process")
        fitted = {name: dict(coalition.fit(model)) for name, model in models.items()}
    else:
        fitted = _over_grpc(data, scheme, progress)
    seconds = time.perf_counter() - start
    progress("computing the clear twins for comparison")
    return {
        "story": "franchise",
        "scheme": scheme,
        "transport": transport,
        "items": len(next(iter(data.values())).item_ids),
        "shoppers": {name: len(entry.user_ids) for name, entry in data.items()},
        "seconds": {"together": seconds},
        "models": {
            name: _judged(model, fitted[name], data, groups) for name, model in models.items()
        },
    }


def configured(name: str) -> Recommender:
    """Make one of the demonstration's recommenders."""
    return MODELS[name]().set_params(**FITS[name])


def show(results: Mapping[str, Any], console: Console) -> None:
    """Print recall and NDCG of every group: alone, pooled in clear, and encrypted."""
    table = Table(title=f"New items of weeks 40 to 53 among the best {PLACES}")
    for head in ("model", "group", "shoppers", "", "popular", "alone", "pooled", "encrypted"):
        table.add_column(head, justify="left" if head in ("model", "group", "") else "right")
    for model, groups in results["models"].items():
        for group, found in groups.items():
            for metric in ("recall", "NDCG"):
                key = "calibrated_recall" if metric == "recall" else "ndcg"
                values = [f"{found[which][key]:.4f}" for which in _COLUMNS]
                table.add_row(model, group, str(found["shoppers"]), metric, *values)
    console.print(table)
    every = [found for groups in results["models"].values() for found in groups.values()]
    worst = max(found["error"] for found in every)
    console.print(
        f"{results['items']:,} items; largest score error against the pooled model {worst:.1e}; "
        f"{results['seconds']['together']:.1f} s together"
    )


_COLUMNS = ("popular", "alone", "pooled", "encrypted")


def _judged(
    model: Recommender,
    fitted: Mapping[str, Recommender],
    data: Mapping[str, UserItems],
    groups: Mapping[str, CompleteJourneyFranchise],
) -> dict[str, Any]:
    pooled = csr_array(vstack([entry.counts for entry in data.values()]))
    twin = _fresh(model).fit(pooled)
    found: dict[str, Any] = {}
    for name, entry in data.items():
        bought = UserItems.from_tables([groups[name].later])
        relevant = bought.with_users(entry.user_ids).with_items(entry.item_ids).counts
        new = csr_array(relevant - relevant.multiply(entry.counts > 0))
        new.eliminate_zeros()
        best = {
            "alone": _fresh(model).fit(entry),
            "popular": MODELS["most-popular"]().fit(entry),
        }
        compared = compare(_ranked(twin, entry), _ranked(fitted[name], entry), new)
        found[name] = {
            "shoppers": compared.clear["all"].shoppers,
            **{
                key: evaluate(_ranked(one, entry)[0], new)["all"].as_dict()
                for key, one in best.items()
            },
            "pooled": compared.clear["all"].as_dict(),
            "encrypted": compared.encrypted["all"].as_dict(),
            "overlap": compared.overlap,
            "error": compared.largest_error,
        }
    return found


def _fresh(model: Recommender) -> Recommender:
    return type(model)(**model.get_params())


def _ranked(model: Recommender, entry: UserItems) -> tuple[Any, Any]:
    ids, scores = recommendations(model, entry, PLACES)
    return ids.astype("int64"), scores


def _over_grpc(
    data: Mapping[str, UserItems], scheme: str, progress: Progress
) -> dict[str, dict[str, Recommender]]:
    folder: Path | None = None
    try:
        with deferred_signals():
            folder = Path(tempfile.mkdtemp(prefix="hecf-franchise-"))
        progress("provisioning the coalition")
        configuration = CoalitionConfiguration.load(_write(folder, data, scheme))
        kits = provision(configuration, folder / "kits").kits
        logs = folder / "logs"
        logs.mkdir()
        services = {name: kits[name] for name in (COMPUTE_NODE, KEY_HOLDER)}
        fitted: dict[str, dict[str, Recommender]] = {}
        with Launcher(services, logs) as launcher:
            progress("starting compute node and key holder")
            launcher.start()
            for model in FITS:
                progress(f"fitting {model} over encrypted sums, one process for each group")
                _fit(model, {name: kits[name] for name in data}, folder)
                fitted[model] = {
                    name: load_recommender(folder / f"{model}-{name}.npz") for name in data
                }
        return fitted
    finally:
        if folder is not None:
            with deferred_signals():
                shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, data: Mapping[str, UserItems], scheme: str) -> Path:
    """Write every group's own file, the shared catalogue and the coalition's configuration."""
    catalogue = next(iter(data.values())).item_ids
    (folder / "catalogue.txt").write_text("\n".join(catalogue) + "\n")
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
        f'[coalition]\nname = "franchise"\nscheme = "{scheme}"',
        f"[members]\nmost_shoppers = {MOST_SHOPPERS}",
        f'[compute_node]\naddress = "127.0.0.1:{node}"',
        f'[key_holder]\naddress = "127.0.0.1:{holder}"',
        *(f'[retailers.{name}]\ninteractions = "{name}.parquet"' for name in data),
    ]
    path = folder / "coalition.toml"
    path.write_text("\n\n".join(lines) + "\n")
    return path


def _fit(model: str, kits: Mapping[str, Path], folder: Path) -> None:
    settings = [part for key, value in FITS[model].items() for part in ("--set", f"{key}={value}")]
    commands = {
        name: [
            *(sys.executable, "-m", "parties", "fit", model, *settings, "--session", model),
            *("--kit", str(kit / "party.toml"), "--catalogue", str(folder / "catalogue.txt")),
            *("--out", str(folder / f"{model}-{name}.npz")),
        ]
        for name, kit in kits.items()
    }
    with _running(commands, folder / "logs") as children:
        deadline = time.monotonic() + _SECONDS
        for name, child in children.items():
            try:
                code = child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise HecfError(f"{name} did not finish in time", got=f"{_SECONDS:g} s") from None
            if code != 0:
                raise HecfError(f"{name}: {_last_error(folder / 'logs' / f'{name}.log')}")


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
