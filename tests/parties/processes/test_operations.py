"""Metrics and reflection of a running node: right, complete, off unless asked for."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import grpc
import pytest
from coalitions import make_client
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from processes import Provisioned, free_ports, make_coalition
from prometheus_client.parser import text_string_to_metric_families

from hecf.errors import ConfigurationError, HecfError
from hecf.kits.kit import Kit
from hecf.protocol.tasks import GramTask
from hecf.rpc.client import ComputeNodeClient
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER, server_name
from parties.processes.compute_node import ComputeNodeProcess

NODE = "/hecf.v1.ComputeNodeService/"


@pytest.fixture(scope="module")
def coalition(tmp_path_factory: pytest.TempPathFactory) -> Provisioned:
    return make_coalition(tmp_path_factory.mktemp("metrics") / "coalition")


def kit_with(coalition: Provisioned, table: str) -> Kit:
    path = coalition.party(COMPUTE_NODE)
    changed = path.with_name("changed.toml")
    changed.write_text(path.read_text() + table)
    changed.chmod(0o600)
    return Kit.load(changed)


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def node(coalition: Provisioned, port: int) -> Iterator[ComputeNodeProcess]:
    kit = kit_with(coalition, f"\n[operations]\nmetrics_port = {port}\nreflection = true\n")
    made = ComputeNodeProcess(kit)
    made.start()
    yield made
    made.stop()


def metrics(port: int) -> dict[tuple[str, ...], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def services(coalition: Provisioned) -> set[str]:
    """What reflection lists, asked as grpcurl asks."""
    kit = Kit.load(coalition.party("alder"))
    name = ("grpc.ssl_target_name_override", server_name(kit.terms.identifier, COMPUTE_NODE))
    with grpc.secure_channel(
        kit.configuration.compute_node.address, kit.identity.client(), options=[name]
    ) as channel:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        [answer] = stub.ServerReflectionInfo(iter([request]), timeout=10)
        return {service.name for service in answer.list_services_response.service}


def test_metrics_count_calls_bytes_and_refusals_by_reason(
    coalition: Provisioned, node: ComputeNodeProcess, port: int
) -> None:
    kit = Kit.load(coalition.party("alder"))
    address = kit.configuration.compute_node.address
    client = make_client(ComputeNodeClient, kit.terms, address, kit.identity)
    identity = Kit.load(coalition.party(KEY_HOLDER)).identity
    key_holder = make_client(ComputeNodeClient, kit.terms, address, identity)
    key_holder.publish_key(kit.terms, b"")
    key_holder.close()
    for _ in range(3):
        client.join(kit.terms)
    task = GramTask(kit.terms)
    refusals: list[HecfError] = []
    for data in (b"x" * 100, b"y" * 2000):
        try:
            client.contribute(task, "left", data)
        except HecfError as error:
            refusals.append(error)
    assert len(refusals) == 2
    client.close()
    found = metrics(port)
    assert found["hecf_calls_answered_total", NODE + "Join"] == 3
    assert found["hecf_calls_refused_total", NODE + "Contribute", "MALFORMED_MESSAGE"] == 2
    assert found["hecf_message_bytes_total", "received"] > 2100
    assert found["hecf_stage_seconds_total", "compute"] == 0
    assert found[("hecf_jobs_waiting",)] == 0
    assert found[("hecf_calls_open",)] == 0
    assert node._server.calls.open_calls == 0


def test_metrics_are_for_this_machine_only(node: ComputeNodeProcess, port: int) -> None:
    with socket.socket() as probe:
        probe.settimeout(2)
        assert probe.connect_ex(("127.0.0.1", port)) == 0
    with socket.socket() as probe:
        probe.settimeout(2)
        # Another address of the same machine: a server on all addresses would answer.
        assert probe.connect_ex(("127.0.0.2", port)) != 0


def test_reflection_lists_the_services(coalition: Provisioned, node: ComputeNodeProcess) -> None:
    assert services(coalition) >= {"hecf.v1.ComputeNodeService", "grpc.health.v1.Health"}


def test_both_are_off_unless_the_kit_asks_for_them(coalition: Provisioned, port: int) -> None:
    node = ComputeNodeProcess(Kit.load(coalition.party(COMPUTE_NODE)))
    node.start()
    try:
        with pytest.raises(grpc.RpcError) as got:
            services(coalition)
        assert got.value.code() == grpc.StatusCode.UNIMPLEMENTED  # type: ignore[attr-defined]
        with pytest.raises(urllib.error.URLError):
            metrics(port)
    finally:
        node.stop()


def test_a_port_that_is_taken_is_said_in_one_sentence(coalition: Provisioned) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        node = ComputeNodeProcess(kit_with(coalition, f"\n[operations]\nmetrics_port = {port}\n"))
        with pytest.raises(ConfigurationError, match=f"cannot be served on port {port}"):
            node.start()
        node.stop()
