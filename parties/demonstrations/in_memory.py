"""The whole coalition in one process: the same kits, services and recipe, without a network."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

from hecf.kits.kit import Kit
from hecf.measure import Measurements
from hecf.rpc.computing import LocalComputer
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER
from hecf.rpc.key_holder import KeyHolderService, LocalReleaser
from hecf.rpc.memory import MemoryComputeNode, MemoryKeyHolder
from hecf.rpc.release_store import SqliteReleaseStore
from parties.custody.key_epochs import debit_under, key_store, ledger_file
from parties.processes import compute_node, key_holder, retailer


def run(
    kits: Mapping[str, Kit], on_finished: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a coalition to its end.

    Parameters
    ----------
    kits : mapping of str to Kit
        Kits of every party by name.
    on_finished : callable
        Called with the name of every retailer that has its recommendations.

    Returns
    -------
    node, key_holder : dict
        What the two services did and saw; each retailer writes its own summary.

    Raises
    ------
    HecfError
        The first that a retailer meets.
    """
    node_kit = kits[COMPUTE_NODE]
    blocks = compute_node.make_store(node_kit)
    computer = LocalComputer(node_kit.terms, blocks, secrets.token_bytes)
    node_service = compute_node.make_service(node_kit, blocks, computer)
    holder_kit = kits[KEY_HOLDER]
    holder_measurements = Measurements()
    store = key_store(holder_kit)
    public_key = store.load_or_generate()
    holder_node = MemoryComputeNode(node_service, holder_kit.party, holder_measurements)
    holder_service = KeyHolderService(
        holder_kit.terms,
        public_key,
        holder_node,
        LocalReleaser(holder_kit.terms, store.secret(), secrets.token_bytes, holder_measurements),
        debit_under(store, ledger_file(holder_kit)),
        patience_seconds=holder_kit.configuration.limits.patience_seconds,
        releases=SqliteReleaseStore(holder_kit.state / key_holder.RELEASES),
    )
    holder_node.join(holder_kit.terms)
    holder_node.publish_key(holder_kit.terms, public_key)

    def take_part(kit: Kit) -> None:
        measurements = Measurements()
        node = MemoryComputeNode(node_service, kit.party, measurements)
        holder = MemoryKeyHolder(holder_service, kit.party, measurements, holder_measurements)
        retailer.run(kit, node, holder, measurements)
        on_finished(kit.party.name)

    retailers = holder_kit.terms.retailers
    with ThreadPoolExecutor(len(retailers)) as pool:
        running = [pool.submit(take_part, kits[name]) for name in retailers]
        try:
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            failed = [future.exception() for future in done if future.exception() is not None]
            if failed and failed[0] is not None:
                raise failed[0]
        except BaseException:
            # Whoever waits for the one that failed, or after a signal, must not wait on.
            node_service.close()
            holder_service.close()
            raise
    return (
        compute_node.summary(node_service),
        key_holder.summary(holder_service, holder_measurements),
    )
