"""Both sides count the same bytes, whatever became of the connection."""

from __future__ import annotations

from pathlib import Path

import pytest
from coalitions import LIMITS, GrpcCoalition, make_terms
from processes import free_ports

from hecf.errors import Mismatch, Unavailable
from hecf.measure import Measurements
from hecf.rpc.client import ComputeNodeClient
from hecf.wire.transfer import Limits


def connect(coalition: GrpcCoalition, address: str, measurements: Measurements) -> None:
    client = ComputeNodeClient(
        make_terms(top_k=3),
        address,
        coalition.identity("alder"),
        patience_seconds=0.5,
        limits=Limits(LIMITS.upload_bytes),
        measurements=measurements,
    )
    try:
        client.join(make_terms(top_k=3))
    finally:
        client.close()


def test_a_request_that_nobody_took_was_not_sent(tmp_path: Path) -> None:
    coalition, mine = GrpcCoalition(make_terms(), tmp_path), Measurements()
    try:
        with pytest.raises(Unavailable, match="cannot be reached"):
            connect(coalition, f"127.0.0.1:{free_ports(1)[0]}", mine)
        assert mine.bytes == {"sent": 0, "received": 0}
        # The control: one that a server took and refused was sent, however often.
        with pytest.raises(Mismatch):
            connect(coalition, coalition.node_address, mine)
        once = mine.bytes["sent"]
        assert once > 0
        coalition._node_server.calls.drain()
        with pytest.raises(Unavailable, match="stopping"):
            connect(coalition, coalition.node_address, mine)
        assert mine.bytes["sent"] >= 2 * once
    finally:
        coalition.close()
