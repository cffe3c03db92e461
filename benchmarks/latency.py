"""Latency of encrypted sums at a compute node and a key holder that are already up.

Usage: ``python -m benchmarks.latency KITS``, with the folder of kits that ``hecf provision`` made
and the two servers running. Each request is one round of federated learning as a retailer sees it:
declare a sum of items x factors values, encrypt and upload the vector of every retailer, have it
computed, decrypted and released, and compare the released sum with the exact one. Gram blocks and
scores are released once per coalition, so sums are what can be repeated.

Security
--------
Each request leaves a task at the node and an entry, which spends nothing, in the key holder's
ledger. Use a coalition that was provisioned for it: the kits of all retailers lie in one place.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import rng
from benchmarks.machine import machine
from benchmarks.open_loop import offer, summary
from benchmarks.script import guarded
from hecf.errors import ConfigurationError, Mismatch
from hecf.he.modular import Float
from hecf.he.plan import LEFT
from hecf.he.scheme import scheme_by_name
from hecf.kits.connection import connected
from hecf.kits.kit import Kit
from hecf.measure import Measurements
from hecf.protocol.tasks import SumTask, key_parameters
from hecf.protocol.terms import Terms
from hecf.recipes.contribution import Contributor
from hecf.recipes.horizontal import received_sum
from parties.commands.guard import as_text, check_target, write_json


class Client:
    """All retailers of a coalition, each over connections of its own, doing one round at a time.

    Parameters
    ----------
    kits : sequence of Kit
        One of every retailer, in the order of the terms.
    stack : ExitStack
        Closes the connections.
    """

    def __init__(self, kits: Sequence[Kit], stack: ExitStack) -> None:
        self._terms: Terms = kits[0].terms
        self.measurements = Measurements()
        self._ports = [stack.enter_context(connected(kit, self.measurements)) for kit in kits]
        self._pool = stack.enter_context(ThreadPoolExecutor(len(kits)))
        self._session = secrets.token_hex(6)
        scheme, parameters = scheme_by_name(self._terms.scheme), key_parameters(self._terms)
        self._encryptors, self._public_key = [], b""
        self._contributors = [Contributor(*ports) for ports in self._ports]
        for (node, key_holder), contributor in zip(self._ports, self._contributors, strict=True):
            node.join(self._terms)
            key_holder.join(self._terms)
            self._public_key = contributor.public_key(self._terms)
            self._encryptors.append(scheme.encryptor(parameters, self._public_key))

    def round(self, number: int, vectors: Float) -> None:
        """Sum one row of whole numbers of every retailer, at most 1 in size.

        Raises
        ------
        Mismatch
            If the released sum is not the exact one.
        HecfError
            If a party refuses or cannot be reached.
        """
        declarer = self._terms.retailers[0]
        label = f"latency-{self._session}-{vectors.shape[1]}-{number}"
        task = SumTask(self._terms, declarer, label, vectors.shape[1], 1.0)
        node, key_holder = self._ports[0]
        node.declare(task)
        list(self._pool.map(lambda place: self._contribute(task, place, vectors), self._places))
        released = received_sum(task, node, key_holder, self._public_key)
        if not np.array_equal(released.values, vectors.sum(axis=0)):
            raise Mismatch("a released sum is not that of the vectors")

    @property
    def _places(self) -> range:
        return range(len(self._ports))

    def _contribute(self, task: SumTask, place: int, vectors: Float) -> None:
        encryptor = self._encryptors[place]

        def make() -> bytes:
            with self.measurements.stage("encode"):
                encoded = encryptor.encode(task.plan, LEFT, vectors[place])
            with self.measurements.stage("encrypt"):
                return encryptor.encrypt(encoded).to_bytes()

        self._contributors[place].contribute(task, LEFT, make)


def measure(
    folder: Path,
    *,
    items: Sequence[int],
    factors: Sequence[int],
    clients: Sequence[int],
    rates: Sequence[float],
    seconds: float,
) -> dict[str, Any]:
    """Offer every combination of size, clients and rate in turn.

    Returns
    -------
    dict
        ``cold_seconds`` from the first connection to the key being ready, ``warm_seconds`` the
        same for the last client; and for every combination percentiles of latency, which counts
        from when a request was due, and of service, which counts from when a client took it up,
        bytes of one request to the servers and back, and the seconds of its stages at home.

    Raises
    ------
    HecfError
        If the kits cannot be used or a server cannot be reached.
    """
    kits = _retailers(folder)
    results = []
    with ExitStack() as stack:
        ready: list[Client] = []
        spent = []
        for _ in range(max(clients)):
            start = time.perf_counter()
            ready.append(Client(kits, stack))
            spent.append(time.perf_counter() - start)
        number = 0
        for size, width, many, rate in product(items, factors, clients, rates):
            vectors = rng(size).integers(-1, 2, (len(kits), size * width)).astype(np.float64)
            chosen = ready[:many]
            for client in chosen:
                client.round(number, vectors)
                number += 1
            before = _counts(chosen)
            first = number
            requests = offer(
                [lambda n, client=client: client.round(first + n, vectors) for client in chosen],  # type: ignore[misc]  # noqa: B023
                rate=rate,
                seconds=seconds,
            )
            number += len(requests)
            after = _counts(chosen)
            results.append(
                {
                    "operation": "sum",
                    "items": size,
                    "factors": width,
                    "clients": many,
                    "rate": rate,
                    **summary(requests),
                    "a_request": {
                        name: (after[name] - before[name]) / len(requests) for name in after
                    },
                }
            )
    terms = kits[0].terms
    return {
        "machine": machine(),
        "coalition": {"scheme": terms.scheme, "retailers": len(terms.retailers)},
        "cold_seconds": spent[0],
        "warm_seconds": spent[-1],
        "latencies": results,
    }


def _retailers(folder: Path) -> list[Kit]:
    """Kits of all retailers, from any one of them."""
    paths = sorted(folder.glob("*/party.toml"))
    if not paths:
        raise ConfigurationError(f"{folder} holds no kits", expected="what hecf provision made")
    names = Kit.load(paths[0]).terms.retailers
    return [Kit.load(folder / name / "party.toml", role="retailer") for name in names]


def _counts(clients: Sequence[Client]) -> dict[str, float]:
    """Bytes and seconds of all clients so far."""
    total = {"bytes_sent": 0.0, "bytes_received": 0.0}
    for client in clients:
        for way, count in client.measurements.bytes.items():
            total[f"bytes_{way}"] += count
        for stage in ("encode", "encrypt", "transfer"):
            name = f"seconds_{stage}"
            total[name] = total.get(name, 0.0) + client.measurements.seconds[stage]
    return total


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print JSON; the exit code says whether every request was answered rightly."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("kits", type=Path, help="folder of kits; both servers must be up")
    parser.add_argument("--items", type=whole, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--factors", type=whole, nargs="+", default=[16, 64])
    parser.add_argument("--clients", type=whole, nargs="+", default=[1, 4])
    parser.add_argument(
        "--rates", type=positive, nargs="+", default=[0.5, 2.0], help="requests due in a second"
    )
    parser.add_argument("--seconds", type=positive, default=20.0, help="for each combination")
    parser.add_argument("--json", type=Path, help="write results here too")
    options = vars(parser.parse_args(arguments))
    folder, target = options.pop("kits"), options.pop("json")

    def work() -> int:
        check_target(target)
        found = measure(folder, **options)
        write_json(target, found)
        sys.stdout.write(as_text(found))
        return int(any(each["failed"] for each in found["latencies"]))

    return guarded(work)


def whole(text: str) -> int:
    """Read a whole number from 1 on; raises ValueError."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def positive(text: str) -> float:
    """Read a finite number above zero; raises ValueError."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


if __name__ == "__main__":
    sys.exit(main())
