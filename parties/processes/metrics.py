"""Metrics of a running node or key holder for Prometheus, on this machine only.

Numbers are read when they are asked for; nothing that serves calls waits for them. Names follow
Prometheus' conventions (base units, ``_total`` for what only grows); labels are methods, reasons
and stages, never parties' data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hecf.errors import ConfigurationError
from hecf.kits.configuration import OperationsSection
from hecf.kits.kit import Kit
from hecf.measure import Measurements
from hecf.rpc.calls import Calls
from hecf.rpc.server import Server
from hecf.rpc.status import STATUS, reason_of

LOOPBACK = "127.0.0.1"


class PartyCollector:
    """What one party shows; see :class:`prometheus_client.registry.Collector`.

    Parameters
    ----------
    calls : Calls
    measurements : Measurements
    waiting : callable
        Returns how many jobs of the worker process wait or run.
    """

    def __init__(
        self, calls: Calls, measurements: Measurements, waiting: Callable[[], int]
    ) -> None:
        self._calls = calls
        self._measurements = measurements
        self._waiting = waiting

    def collect(self) -> Iterable[Any]:
        """Yield every metric with its values now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        yield GaugeMetricFamily(
            "hecf_jobs_waiting", "Jobs that wait for the worker process or run.", self._waiting()
        )
        yield GaugeMetricFamily("hecf_calls_open", "Calls that are open.", self._calls.open_calls)
        answered = CounterMetricFamily(
            "hecf_calls_answered", "Calls that were answered.", labels=["method"]
        )
        refused = CounterMetricFamily(
            "hecf_calls_refused", "Calls that were refused or failed.", labels=["method", "reason"]
        )
        for (method, outcome), count in sorted(self._calls.outcomes.items()):
            if outcome in _REASONS:
                refused.add_metric([method, _REASONS[outcome]], count)
            else:
                answered.add_metric([method], count)
        yield answered
        yield refused
        moved = CounterMetricFamily(
            "hecf_message_bytes", "Bytes of messages.", labels=["direction"]
        )
        for direction, size in self._measurements.bytes.items():
            moved.add_metric([direction], size)
        yield moved
        seconds = CounterMetricFamily(
            "hecf_stage_seconds", "Seconds of work by stage.", labels=["stage"]
        )
        for stage, value in self._measurements.seconds.items():
            seconds.add_metric([stage], value)
        yield seconds


class MetricsServer:
    """Answers ``GET /metrics`` on a port of this machine.

    Parameters
    ----------
    port : int
    collector : PartyCollector

    Raises
    ------
    ConfigurationError
        If the extra ``metrics`` is not installed, or the port is taken.

    Security
    --------
    It binds to 127.0.0.1 alone and knows no certificates: whoever is on this machine can read how
    busy the party is. Let a collector on the same machine fetch it.
    """

    def __init__(self, port: int, collector: PartyCollector) -> None:
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ImportError:
            raise ConfigurationError(
                "metrics need the package prometheus-client",
                expected="pip install 'hecf[metrics]', or no metrics_port",
            ) from None
        registry = CollectorRegistry()
        registry.register(collector)
        try:
            self._server, self._thread = start_http_server(port, LOOPBACK, registry)
        except OSError as error:
            raise ConfigurationError(
                f"the metrics cannot be served on port {port}",
                got=error.strerror,
                expected="a free port of this machine",
            ) from None

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Operations:
    """What the kit's ``[operations]`` asks for, beside a server.

    Parameters
    ----------
    kit : Kit
    server : Server
        With all its services added.
    measurements : Measurements
    waiting : callable
        Returns how many jobs of the worker process wait or run.
    """

    def __init__(
        self, kit: Kit, server: Server, measurements: Measurements, waiting: Callable[[], int]
    ) -> None:
        section = kit.configuration.operations or OperationsSection()
        self._port = section.metrics_port
        self._collector = PartyCollector(server.calls, measurements, waiting)
        self._metrics: MetricsServer | None = None
        if section.reflection:
            server.add_reflection()

    def start(self) -> None:
        """Serve the metrics, if the kit has a port for them; raises ConfigurationError."""
        if self._port is not None:
            self._metrics = MetricsServer(self._port, self._collector)

    def close(self) -> None:
        """Stop serving them."""
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None


_REASONS = {cls.__name__: reason_of(cls) for cls in STATUS}
