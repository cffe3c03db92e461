"""Run one party until SIGTERM: the body of ``hecf serve``."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any, Protocol

import structlog

from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER, RETAILER
from parties.files import write_private
from parties.kit import Kit
from parties.lifetime import Stopped, die_with_parent, raise_on_signals, wait_for_signal

SUMMARY = "summary.json"


class Process(Protocol):
    """A party that serves."""

    def start(self) -> None:
        """Accept calls."""
        ...

    def stop(self) -> None:
        """Refuse new calls, finish running ones, stop."""
        ...

    def summary(self) -> dict[str, Any]:
        """Say what the party did and saw."""
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
    raise_on_signals()
    log = structlog.get_logger("hecf")
    try:
        kit = Kit.load(path, role=role)
        log.info("starting", role=role, name=kit.party.name, coalition=kit.terms.coalition)
        if role == RETAILER:
            _run_retailer(kit, log)
        else:
            _run_server(_process(role, kit, path), kit, log)
    except Stopped:
        log.info("stopped", role=role)


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


def _run_retailer(kit: Kit, log: Any) -> None:
    from parties import retailer

    retailer.run_over_grpc(kit)
    log.info("recommendations written", folder=str(kit.output))
    wait_for_signal()


def _run_server(process: Process, kit: Kit, log: Any) -> None:
    try:
        process.start()
        log.info("serving", role=kit.party.role)
        wait_for_signal()
    finally:
        process.stop()
        content = json.dumps(process.summary(), indent=1).encode()
        write_private(kit.output / SUMMARY, content)


def _process(role: str, kit: Kit, path: Path) -> Process:
    # Imported late: the compute node's process must not load an HE library.
    if role == COMPUTE_NODE:
        from parties.compute_node import ComputeNodeProcess

        return ComputeNodeProcess(kit)
    from parties.key_holder import KeyHolderProcess

    return KeyHolderProcess(kit, path)


__all__ = ["COMPUTE_NODE", "KEY_HOLDER", "RETAILER", "configure_logging", "serve"]
