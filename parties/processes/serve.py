"""Run one party until SIGTERM: the body of ``hecf serve``."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import structlog

from hecf.kits.files import write_private
from hecf.kits.kit import Kit
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER, RETAILER
from hecf.threads import limit_threads
from parties.system.lifetime import StopSignal, die_with_parent, exit_on_signals

SUMMARY = "summary.json"


class Process(Protocol):
    """A party that serves, or takes part once."""

    def start(self) -> None:
        """Accept calls, or take part; called in a thread of its own."""
        ...

    def stop(self) -> None:
        """Refuse new calls, finish what is running or being written, stop."""
        ...

    def summary(self) -> dict[str, Any] | None:
        """Say what the party did and saw, unless it has written that already."""
        ...


def serve(role: str, path: Path, *, exit_with_parent: bool = False) -> None:
    """Run the party of a kit until SIGTERM or SIGINT, which end it with exit code 0.

    Raises
    ------
    HecfError
        If kit, data, address or another party prevents it.
    """
    if exit_with_parent:
        die_with_parent()
    configure_logging()
    exit_on_signals(0)
    log = structlog.get_logger("hecf")
    make = _process_of(role)
    kit = Kit.load(path, role=role)
    if kit.configuration.limits.threads is not None:
        limit_threads(kit.configuration.limits.threads)
    log.info("starting", role=role, name=kit.party.name, coalition=kit.terms.coalition)
    signal = StopSignal()
    process = make(kit, path)
    started = False
    try:
        started = signal.run(process.start)
        if started:
            log.info("recommendations written" if role == RETAILER else "serving", role=role)
            signal.wait()
    finally:
        process.stop()
    summary = process.summary()
    if summary is not None:
        write_private(kit.output / SUMMARY, json.dumps(summary, indent=1).encode())
    log.info("stopped", role=role)
    if not started:
        # What was started goes on in its thread, so nothing but this ends the process now.
        os._exit(0)


def configure_logging() -> None:
    """Write logs as JSON lines on stderr; they carry names, sizes and codes, never payloads."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # gRPC's own logger would print the text of exceptions.
    logging.getLogger("grpc").setLevel(logging.CRITICAL)


def _process_of(role: str) -> Callable[[Kit, Path], Process]:
    """Import what a role runs, and nothing else: the compute node must not load an HE library."""
    if role == RETAILER:
        from parties.processes.retailer import RetailerProcess

        return lambda kit, path: RetailerProcess(kit)
    if role == COMPUTE_NODE:
        from parties.processes.compute_node import ComputeNodeProcess

        return lambda kit, path: ComputeNodeProcess(kit)
    from parties.processes.key_holder import KeyHolderProcess

    return KeyHolderProcess


__all__ = ["COMPUTE_NODE", "KEY_HOLDER", "RETAILER", "configure_logging", "serve"]
