"""A retailer's way from its kit to the running compute node and key holder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hecf.kits.kit import Kit
from hecf.measure import Measurements
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.rpc.client import ComputeNodeClient, KeyHolderClient
from hecf.wire.transfer import Limits


@contextmanager
def connected(kit: Kit, measurements: Measurements) -> Iterator[tuple[ComputeNode, KeyHolder]]:
    """Reach the node and the key holder of a retailer's kit, as long as the context lasts."""
    limits = kit.configuration.limits
    options: dict[str, Any] = {
        "patience_seconds": limits.patience_seconds,
        "limits": Limits(limits.upload_bytes),
        "measurements": measurements,
    }
    node = ComputeNodeClient(
        kit.terms, kit.configuration.compute_node.address, kit.identity, **options
    )
    key_holder = KeyHolderClient(
        kit.terms, kit.configuration.key_holder.address, kit.identity, **options
    )
    try:
        yield node, key_holder
    finally:
        node.close()
        key_holder.close()
