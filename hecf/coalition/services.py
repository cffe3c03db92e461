"""A compute node and a key holder in this process, for notebooks, tests and demonstrations."""

from __future__ import annotations

import hashlib
import secrets
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from hecf.he.scheme import scheme_by_name
from hecf.measure import Measurements
from hecf.privacy.ledger import Ledger
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.protocol.tasks import key_parameters
from hecf.protocol.terms import Terms
from hecf.rpc.compute_node import ComputeNodeService
from hecf.rpc.computing import LocalComputer
from hecf.rpc.identity import KEY_HOLDER, RETAILER, Party
from hecf.rpc.key_holder import Debit, KeyHolderService, LocalReleaser
from hecf.rpc.memory import MemoryComputeNode, MemoryKeyHolder
from hecf.rpc.spool import Spool
from hecf.rpc.store import BlockStore

Result = TypeVar("Result")
PATIENCE_SECONDS = 600.0
TILE_MEMORY = 1 << 32
"""Bytes for the tiles of a similarity, which a panel of 8192 rows and columns fits."""


class MemoryLedger:
    """What a coalition in one process has released: the budgets of a ledger, kept in memory.

    Parameters
    ----------
    terms : Terms
    """

    def __init__(self, terms: Terms) -> None:
        self._ledger = Ledger(terms.fingerprint, terms.releases, terms.epsilon, terms.delta)
        self._lock = threading.Lock()

    @property
    def ledger(self) -> Ledger:
        """Every debit so far."""
        return self._ledger

    def debit_under(self, public_key: bytes) -> Debit:
        """Return what debits releases under a key; it raises LimitExceeded when they are spent."""
        epoch = hashlib.sha256(public_key).hexdigest()

        def debit(task: str, ciphertexts: int, noise_multiplier: float) -> None:
            with self._lock:
                self._ledger = self._ledger.debit(
                    epoch=epoch,
                    task=task,
                    ciphertexts=ciphertexts,
                    noise_multiplier=noise_multiplier,
                    time=datetime.now(UTC).isoformat(timespec="seconds"),
                )

        return debit


class LocalServices:
    """The two services of one set of terms, with a key drawn for them.

    Parameters
    ----------
    terms : Terms
    ledger : MemoryLedger, optional
        What was released before under these terms; a new one by default.

    Security
    --------
    Every role is played by this process, so nothing is kept from anybody who can look into it.
    What passes between the roles is what would pass over the network, encrypted and gated alike.
    """

    def __init__(self, terms: Terms, ledger: MemoryLedger | None = None) -> None:
        self.terms = terms
        self._folder = tempfile.TemporaryDirectory(prefix="hecf-")
        scheme = scheme_by_name(terms.scheme)
        secret, self._public_key = scheme.generate_keys(key_parameters(terms))
        debits = ledger or MemoryLedger(terms)
        blocks = BlockStore(Path(self._folder.name) / "blocks")
        self.node = ComputeNodeService(
            terms,
            blocks,
            LocalComputer(terms, blocks, secrets.token_bytes, tile_memory=TILE_MEMORY),
            Spool(Path(self._folder.name) / "arriving"),
            patience_seconds=PATIENCE_SECONDS,
        )
        self.holder_measurements = Measurements()
        link = MemoryComputeNode(self.node, self._party(KEY_HOLDER, KEY_HOLDER), Measurements())
        self.key_holder = KeyHolderService(
            terms,
            self._public_key,
            link,
            LocalReleaser(terms, secret, secrets.token_bytes, self.holder_measurements),
            debits.debit_under(self._public_key),
            patience_seconds=PATIENCE_SECONDS,
        )
        link.join(terms)
        link.publish_key(terms, self._public_key)

    def run(
        self,
        names: Sequence[str],
        take_part: Callable[[str, ComputeNode, KeyHolder, Measurements], Result],
    ) -> dict[str, Result]:
        """Let several retailers act at once, each in a thread of its own.

        Parameters
        ----------
        names : sequence of str
        take_part : callable
            Called with a retailer's name, its way to the node and to the key holder, and its own
            measurements.

        Returns
        -------
        dict of str to result

        Raises
        ------
        HecfError
            The first that a retailer meets.
        """

        def act(name: str) -> Result:
            mine = Measurements()
            party = self._party(RETAILER, name)
            node = MemoryComputeNode(self.node, party, mine)
            holder = MemoryKeyHolder(self.key_holder, party, mine, self.holder_measurements)
            return take_part(name, node, holder, mine)

        with ThreadPoolExecutor(len(names)) as pool:
            running = {name: pool.submit(act, name) for name in names}
            try:
                done, _ = wait(running.values(), return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            except BaseException:
                # Whoever waits for the one that failed must not wait on.
                self.node.close()
                self.key_holder.close()
                raise
            return {name: future.result() for name, future in running.items()}

    def close(self) -> None:
        """End every wait and remove the stored ciphertexts."""
        self.node.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _party(self, role: str, name: str) -> Party:
        return Party(self.terms.identifier, role, name)
