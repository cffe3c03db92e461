"""The loyalty-programme demonstration: provision, run six processes, compare, report."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from hecf.data import complete_journey
from hecf.errors import ConfigurationError, HecfError, InvalidInput
from hecf.kits.kit import Kit
from hecf.measure import STAGES
from hecf.protocol.tasks import gram_plan
from hecf.protocol.terms import Terms
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER
from parties.demonstrations import in_memory
from parties.processes.launcher import Launcher
from parties.processes.serve import SUMMARY
from parties.provisioning.configuration import CoalitionConfiguration
from parties.provisioning.provision import provision
from parties.system.lifetime import ERROR_PREFIX, deferred_signals

EXAMPLE = "butcher"
_SECONDS = 600.0

Progress = Callable[[str], None]


@dataclass(frozen=True)
class DemoOptions:
    """What the demonstration runs on.

    Parameters
    ----------
    items : {"product_type", "product"}
    scheme : {"ckks", "clear"}
    transport : {"grpc", "memory"}
    shoppers : int or None
        Households to use, from the first; all by default.
    factors : int
        Columns of each local embedding.
    seed : int or None
        Seed of the split into hidden and visible shoppers; the coalition file's by default.
    """

    items: str = "product_type"
    scheme: str = "ckks"
    transport: str = "grpc"
    shoppers: int | None = None
    factors: int = 32
    seed: int | None = None


@dataclass(frozen=True)
class Surroundings:
    """Where processes run: at free ports of this machine, unless something else is said.

    Parameters
    ----------
    addresses : mapping of str to str
        Address by role, ``compute_node`` or ``key_holder``.
    within : callable
        Words before the command of a party by its name; see :class:`Launcher`.
    """

    addresses: Mapping[str, str] = field(default_factory=dict)
    within: Callable[[str], Sequence[str]] = lambda name: ()


HERE = Surroundings()


def run(
    options: DemoOptions, progress: Progress, surroundings: Surroundings = HERE
) -> dict[str, Any]:
    """Run the demonstration and return its results.

    Everything is written below one temporary folder, which is removed at the end, also after an
    error or a signal; the processes are ended first.

    Raises
    ------
    HecfError
        With one sentence for whatever went wrong in whichever process.
    """
    folder: Path | None = None
    try:
        with deferred_signals():
            folder = Path(tempfile.mkdtemp(prefix="hecf-demo-"))
        progress("provisioning the coalition")
        configuration = CoalitionConfiguration.load(
            _write_configuration(options, folder, surroundings.addresses)
        )
        provisioned = provision(configuration, folder / "kits")
        if options.transport == "grpc":
            outcome = _run_processes(provisioned.kits, folder, progress, surroundings.within)
        else:
            outcome = _run_in_memory(provisioned.kits, progress)
        progress("computing the clear twin for comparison")
        reference = _run_reference(provisioned.kits, folder)
        results = _results(provisioned.terms, configuration, outcome, reference)
        return {**results, "transport": options.transport}
    finally:
        if folder is not None:
            with deferred_signals():
                shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Outcome:
    """Processes, their summaries, and the seconds from the first start to the last result."""

    processes: list[dict[str, Any]]
    summaries: Mapping[str, Mapping[str, Any]]
    seconds: float


def _write_configuration(options: DemoOptions, folder: Path, addresses: Mapping[str, str]) -> Path:
    text = resources.files("parties").joinpath("complete-journey.toml").read_text()
    content = tomllib.loads(text)
    content["coalition"] |= {"scheme": options.scheme, "factors": options.factors}
    if options.seed is not None:
        content["evaluation"]["seed"] = options.seed
    for retailer in content["retailers"].values():
        retailer["items"] = options.items
    for role, port in zip(("compute_node", "key_holder"), free_ports(2), strict=True):
        content[role]["address"] = addresses.get(role, f"127.0.0.1:{port}")
    if options.shoppers is not None:
        everybody = complete_journey.members()
        if not 1 <= options.shoppers <= len(everybody):
            raise InvalidInput(
                "--shoppers is out of range",
                got=options.shoppers,
                expected=f"1 to {len(everybody)}",
            )
        (folder / "members.txt").write_text("\n".join(everybody[: options.shoppers]) + "\n")
        content["members"] = {"path": "members.txt"}
    path = folder / "coalition.toml"
    path.write_text("\n".join(_toml_tables(content)) + "\n")
    return path


def _toml_tables(content: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Write nested tables of strings and numbers as TOML."""
    scalars = [
        f"{key} = {json.dumps(value)}"
        for key, value in content.items()
        if not isinstance(value, Mapping)
    ]
    lines = [f"[{prefix}]", *scalars] if scalars else []
    for key, value in content.items():
        if isinstance(value, Mapping):
            lines += _toml_tables(value, f"{prefix}.{key}" if prefix else key)
    return lines


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on, all different."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


def _run_processes(
    kits: Mapping[str, Path],
    folder: Path,
    progress: Progress,
    within: Callable[[str], Sequence[str]],
) -> _Outcome:
    logs = folder / "logs"
    logs.mkdir()
    start = time.perf_counter()
    with Launcher(kits, logs, within) as launcher:
        progress("starting six processes")
        launcher.start()
        progress("training and serving under encryption")
        launcher.wait_for_retailers(_SECONDS, lambda name: progress(f"{name} has its results"))
        seconds = time.perf_counter() - start
        processes = launcher.processes
    summaries = {name: _read_json(kit / "output" / SUMMARY) for name, kit in kits.items()}
    return _Outcome(processes, summaries, seconds)


def _run_in_memory(kits: Mapping[str, Path], progress: Progress) -> _Outcome:
    start = time.perf_counter()
    loaded = {name: Kit.load(path / "party.toml") for name, path in kits.items()}
    progress("training and serving under encryption, in one process")
    node, holder = in_memory.run(loaded, lambda name: progress(f"{name} has its results"))
    seconds = time.perf_counter() - start
    summaries = {
        name: _read_json(kit / "output" / SUMMARY)
        for name, kit in kits.items()
        if name not in (COMPUTE_NODE, KEY_HOLDER)
    }
    summaries |= {COMPUTE_NODE: node, KEY_HOLDER: holder}
    processes = [
        {"role": summaries[name]["role"], "name": name, "pid": summaries[name]["pid"]}
        for name in kits
    ]
    return _Outcome(processes, summaries, seconds)


def _run_reference(kits: Mapping[str, Path], folder: Path) -> dict[str, Any]:
    """Run the clear twin in a process of its own, which may read what no party may pool."""
    out = folder / "reference.json"
    command = [
        *(sys.executable, "-m", "parties", "reference"),
        *("--kits", str(folder / "kits"), "--example", EXAMPLE, "--json", str(out)),
        "--exit-with-parent",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith(ERROR_PREFIX)]
        raise HecfError(
            lines[-1].removeprefix(ERROR_PREFIX)
            if lines
            else "the clear twin could not be computed"
        )
    return _read_json(out)


def _results(
    terms: Terms,
    configuration: CoalitionConfiguration,
    outcome: _Outcome,
    reference: Mapping[str, Any],
) -> dict[str, Any]:
    summaries = outcome.summaries
    retailers = {name: summaries[name] for name in terms.retailers}
    scored = [summary["scored"] for summary in retailers.values()]
    return {
        "data": {
            "source": "complete-journey",
            "shoppers": terms.shoppers,
            # Each retailer hides another fifth; this is the mean, the exact numbers stand below.
            "held_out": round(sum(scored) / len(scored)),
            "retailers": {
                name: {
                    "items": summary["items"],
                    "interactions": summary["interactions"],
                    "held_out": summary["scored"],
                }
                for name, summary in retailers.items()
            },
        },
        "processes": outcome.processes,
        "targets": {
            name: {
                f"{metric}@{terms.top_k}": {
                    "popularity": summary["metrics"]["popularity"][metric],
                    "clear": reference["targets"][name][metric],
                    "encrypted": summary["metrics"]["encrypted"][metric],
                }
                for metric in ("recall", "ndcg")
            }
            for name, summary in retailers.items()
        },
        "agreement": reference["agreement"],
        "seconds": {
            "total": outcome.seconds,
            # Who joins last waits for nobody.
            "taking_part": min(each["seconds_taking_part"] for each in retailers.values()),
            "clear": reference["seconds"],
            **{
                stage: sum(summary["seconds"][stage] for summary in summaries.values())
                for stage in STAGES
            },
        },
        "bytes": {name: dict(summary["bytes"]) for name, summary in summaries.items()},
        "parameters": _parameters(terms),
        "topology": terms.topology,
        "saw": {name: list(summary["saw"]) for name, summary in summaries.items()},
        "seconds_by_process": {
            name: dict(summary["seconds"]) for name, summary in summaries.items()
        },
        "example": reference["example"],
    }


def _parameters(terms: Terms) -> dict[str, Any]:
    plan = gram_plan(terms)
    encrypted = terms.scheme != "clear"
    return {
        "scheme": terms.scheme,
        "ring_degree": plan.parameters.ring_degree if encrypted else 0,
        "modulus_bits": plan.parameters.modulus_bits if encrypted else 0,
        "security_bits": plan.parameters.security_bits if encrypted else 0,
        "factors": terms.factors,
        "packing": [plan.packing.left, plan.packing.inner, plan.packing.right],
        "flooding": plan.flooding,
        "statistical_bits": terms.statistical_bits,
        "releases": terms.releases,
        "epsilon": terms.epsilon,
        "delta": terms.delta,
    }


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        raise ConfigurationError(f"{path.parent.parent.name} left no summary") from None
    return content
