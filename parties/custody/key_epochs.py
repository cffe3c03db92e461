"""The body of ``hecf keys``, and the debit that ends with a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hecf.errors import InternalFailure
from hecf.kits.kit import Kit
from hecf.rpc.identity import KEY_HOLDER
from hecf.rpc.key_holder import Debit
from parties.custody.keystore import KeyEpoch, KeyStore
from parties.custody.ledger import LedgerFile


def key_store(kit: Kit) -> KeyStore:
    """Return the key store of a key holder's kit."""
    storage_key = kit.configuration.files.storage_key
    if storage_key is None:
        raise InternalFailure("the kit has no storage key")
    return KeyStore(kit.state, storage_key, kit.terms)


def ledger_file(kit: Kit) -> LedgerFile:
    """Return the ledger of a key holder's kit."""
    witness = kit.configuration.files.ledger_witness
    if witness is None:
        raise InternalFailure("the kit has no witness of its ledger")
    return LedgerFile(kit.state, witness, kit.terms)


def debit_under(store: KeyStore, ledger: LedgerFile) -> Debit:
    """Return a debit under the present key, which refuses once the key has expired."""
    fingerprint = store.epoch.fingerprint
    ledger.read()

    def debit(task: str, ciphertexts: int, noise_multiplier: float) -> None:
        # Read again: the key may have been expired by command since.
        store.epoch.check(datetime.now(UTC))
        ledger.debit(fingerprint, task, ciphertexts, noise_multiplier)

    return debit


def generate(config: Path, days: int, passphrase: str | None) -> str:
    """Draw the first key pair of a kit; returns one line that names it."""
    return _line(_store(config).generate(days=days, passphrase=passphrase))


def rotate(config: Path, days: int, passphrase: str | None) -> str:
    """Replace the key pair of a kit; returns one line that names the new one."""
    return _line(_store(config).rotate(days=days, passphrase=passphrase))


def expire(config: Path) -> str:
    """End the present key of a kit; returns one line that names it."""
    return _line(_store(config).expire())


def described(config: Path) -> dict[str, Any]:
    """Describe every epoch with the releases that the ledger counts under it."""
    kit = Kit.load(config, role=KEY_HOLDER)
    ledger = ledger_file(kit).read()
    epochs = key_store(kit).epochs
    return {
        "coalition": kit.terms.coalition,
        "releases": ledger.releases,
        "epochs": [
            {
                **asdict(epoch),
                "spent": ledger.spent(epoch.fingerprint),
                "present": epoch is epochs[-1],
            }
            for epoch in epochs
        ],
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Write what :func:`described` found, an epoch a line."""
    for epoch in found["epochs"]:
        state = "present" if epoch["present"] else "replaced"
        yield (
            f"epoch {epoch['number']} {epoch['fingerprint'][:16]} created {epoch['created']} "
            f"expires {epoch['expires']} releases {epoch['spent']} of {found['releases']} {state}"
        )


def _store(config: Path) -> KeyStore:
    return key_store(Kit.load(config, role=KEY_HOLDER))


def _line(epoch: KeyEpoch) -> str:
    return f"epoch {epoch.number} {epoch.fingerprint} expires {epoch.expires}"
