"""Networks of namespaces and relays: every byte arrives, bounds are set, and nothing stays."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import free_ports, until

from benchmarks import namespaces, network
from benchmarks.namespaces import Namespace
from hecf.errors import ConfigurationError
from parties.demonstrations.loyalty_programme import HERE, DemoOptions, Surroundings
from parties.report.networks import LAN, WAN


@pytest.fixture
def echo() -> Iterator[str]:
    """A server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_relay_passes_every_byte_on_and_ends_with_its_input(echo: str) -> None:
    sent = np.random.default_rng(1).bytes(3_000_000)
    (port,) = free_ports(1)
    program = [sys.executable, "-m", "benchmarks.relay", f"127.0.0.1:{port}", echo, "0.02"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as relay:
        assert relay.stdin is not None
        assert relay.stdout is not None
        assert relay.stdout.readline() == b"listening\n"
        with socket.create_connection(("127.0.0.1", port)) as connection:
            writer = threading.Thread(target=connection.sendall, args=(sent,))
            writer.start()
            received = bytearray()
            while len(received) < len(sent):
                received += connection.recv(1 << 16)
            writer.join()
        assert received == sent
        relay.stdin.close()
        assert relay.wait(60) == 0


def of_a_demonstration(
    options: DemoOptions, progress: object, surroundings: Surroundings
) -> dict[str, Any]:
    return {
        "seconds": {"taking_part": 10.0},
        "bytes": {"compute-node": {"sent": 10_000_000, "received": 40_000_000}},
    }


def without_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_connected", lambda bound: nullcontext(HERE))
    monkeypatch.setattr(network.loyalty_programme, "run", of_a_demonstration)


def test_the_projection_is_of_the_bytes_and_one_round_trip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_namespaces(monkeypatch)
    lan, wan = network.measure(True, lambda step: None)["networks"]
    assert lan["projected_seconds"] == pytest.approx(10 + 0.4 + 0.001)
    assert wan["projected_seconds"] == pytest.approx(10 + 4 + 0.04)
    assert (lan["name"], wan["name"]) == (LAN.title, WAN.title)


def test_who_may_not_make_namespaces_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(namespaces.os, "geteuid", lambda: 1000)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    assert network.main(["--quick"]) == 1
    for number, handler in before.items():
        signal.signal(number, handler)
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: network namespaces cannot be made: got ")


@pytest.fixture
def joined() -> Iterator[tuple[Namespace, Namespace]]:
    try:
        with Namespace() as first, Namespace() as second:
            namespaces.join(first, second, network.ENDS)
            yield first, second
    except ConfigurationError as refusal:
        pytest.skip(str(refusal))


def test_a_link_is_bounded_and_its_namespaces_go(joined: tuple[Namespace, Namespace]) -> None:
    namespaces.shape(*joined, bits=1e8)
    for namespace in joined:
        shown = subprocess.run(
            [*namespace.words, "tc", "qdisc", "show", "dev", "hecf0"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "tbf" in shown
        assert "rate 100Mbit burst 125000b" in shown or "rate 100Mbit burst 122" in shown
    with pytest.raises(ConfigurationError, match="a network cannot be set up by ip: got "):
        joined[0].run("ip", "link", "set", "nowhere", "up")
    for namespace in joined:
        namespace.close()
        assert not Path(f"/proc/{namespace.pid}").exists()


def test_a_namespace_goes_with_a_process_that_is_killed(
    joined: tuple[Namespace, Namespace],
) -> None:
    program = (
        "from benchmarks.namespaces import Namespace\n"
        "with Namespace() as made:\n"
        "    print(made.pid, flush=True)\n"
        "    input()\n"
    )
    maker = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with maker:
        assert maker.stdout is not None
        holder = int(maker.stdout.readline())
        assert Path(f"/proc/{holder}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
        maker.kill()
    until(lambda: not held(holder), "the namespace goes")


def held(holder: int) -> bool:
    """Whether a process still runs; one that nobody has waited for yet does not."""
    try:
        return ") Z " not in Path(f"/proc/{holder}/stat").read_text()
    except OSError:
        return False
