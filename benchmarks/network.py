"""Training and scoring over a network of bounded bandwidth and some delay, beside its projection.

Usage: ``python -m benchmarks.network [--quick] [--json PATH]``, as root. The compute node runs in
one network namespace; key holder and retailers in another. A token bucket bounds their link each
way, and a relay delays every byte. The same processes, over the same relays without bound and
delay, are what the projection starts from: their seconds, the bytes of the node over the bandwidth,
and one round trip.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.namespaces import Namespace, join, shape
from benchmarks.script import guarded
from hecf.errors import ConfigurationError
from hecf.rpc.identity import COMPUTE_NODE
from parties.commands.guard import check_target, write_json
from parties.demonstrations import loyalty_programme
from parties.demonstrations.loyalty_programme import DemoOptions, Surroundings
from parties.report.networks import LAN, WAN, Network
from parties.system.lifetime import raise_on_signals

NODE = "198.18.0.2:7100"
"""Where the node listens, and in the other namespace the relay to it: reserved for benchmarks."""

KEYS = "127.0.0.1:7200"
ENDS = ("198.18.1.1", "198.18.1.2")
PORT = 7300
"""Of the relay on the node's side of the link."""


def measure(quick: bool, progress: Callable[[str], None]) -> dict[str, Any]:
    """Run the demonstration over every network.

    Returns
    -------
    dict
        JSON-like: ``networks`` with measured and projected seconds of training and scoring, and
        the bytes that the node received and sent.

    Raises
    ------
    ConfigurationError
        If no network namespaces are to be had.
    HecfError
        If a party fails.
    """
    options = DemoOptions(shoppers=150, factors=4) if quick else DemoOptions()
    with_nothing, _ = _run(options, None, progress)
    networks = []
    for network in (LAN, WAN):
        seconds, moved = _run(options, network, progress)
        projected = with_nothing + network.seconds(sum(moved.values()))
        networks.append(
            {
                "name": network.title,
                "bits": network.bits,
                "round_trip": network.round_trip,
                "bytes": moved,
                "seconds_without": with_nothing,
                "seconds": seconds,
                "projected_seconds": projected,
                "ratio": seconds / projected,
            }
        )
    return {"machine": machine(), "quick": quick, "networks": networks}


def _run(
    options: DemoOptions, network: Network | None, progress: Callable[[str], None]
) -> tuple[float, dict[str, int]]:
    """Seconds from the last retailer's joining to its recommendations, and bytes of the node."""
    progress("no bound, no delay" if network is None else network.title)
    with _connected(network) as surroundings:
        found = loyalty_programme.run(options, lambda _: None, surroundings)
    return float(found["seconds"]["taking_part"]), dict(found["bytes"][COMPUTE_NODE])


@contextmanager
def _connected(network: Network | None) -> Iterator[Surroundings]:
    """Two namespaces with a link and a relay on each side, as long as the context lasts."""
    with ExitStack() as stack:
        inner, outer = (stack.enter_context(Namespace()) for _ in range(2))
        join(inner, outer, ENDS)
        for namespace in (inner, outer):
            # Both know the node's address as their own: behind one of them is a relay.
            namespace.run("ip", "address", "add", f"{_host(NODE)}/32", "dev", "lo")
        if network is not None:
            shape(inner, outer, network.bits)
        delay = 0.0 if network is None else network.round_trip / 2
        stack.enter_context(_relay(inner, f"{ENDS[0]}:{PORT}", NODE, 0.0))
        stack.enter_context(_relay(outer, NODE, f"{ENDS[0]}:{PORT}", delay))
        yield Surroundings(
            {"compute_node": NODE, "key_holder": KEYS},
            lambda name: inner.words if name == COMPUTE_NODE else outer.words,
        )


def show(found: Mapping[str, Any]) -> str:
    """Write what was measured, a line for each network."""
    lines = [
        f"{each['name']}: {each['seconds']:.2f} s measured, {each['projected_seconds']:.2f} s "
        f"projected, ratio {each['ratio']:.2f}; {each['seconds_without']:.2f} s without bound and "
        f"delay; node received {each['bytes']['received']:,} bytes, sent {each['bytes']['sent']:,}"
        for each in found["networks"]
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code says whether it could be done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.network", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--json", type=Path, help="write results here")
    options = parser.parse_args(arguments)
    raise_on_signals()

    def work() -> int:
        check_target(options.json)
        found = measure(options.quick, _say)
        write_json(options.json, found)
        sys.stdout.write(f"{show(found)}\n")
        return 0

    return guarded(work)


@contextmanager
def _relay(namespace: Namespace, source: str, target: str, delay: float) -> Iterator[None]:
    program = [sys.executable, "-m", "benchmarks.relay", source, target, str(delay)]
    with subprocess.Popen(  # noqa: S603
        [*namespace.words, *program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as running:
        try:
            if running.stdout is None or not running.stdout.readline():
                raise ConfigurationError("a relay does not start", got=source)
            yield
        finally:
            running.terminate()


def _say(step: str) -> None:
    sys.stderr.write(f"{step}\n")


def _host(address: str) -> str:
    return address.rpartition(":")[0]


if __name__ == "__main__":
    sys.exit(main())
