"""What identifies a task and the parts of it."""

from __future__ import annotations

import hashlib
import re
import struct

from hecf.errors import InvalidInput
from hecf.he.paillier.plan import PaillierSumPlan
from hecf.he.plan import OperandPlan
from hecf.protocol.terms import Terms

Part = tuple[str, str]
"""A retailer and what it contributes: left, right or model."""

_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def digest(kind: str, terms: Terms, plan: OperandPlan | PaillierSumPlan, *more: bytes) -> str:
    """Return SHA-256 over the kind of a task, its terms, plan and parameters in hexadecimal."""
    state = hashlib.sha256(f"hecf task 1 {kind}".encode())
    for part in (bytes.fromhex(terms.fingerprint), plan.fingerprint, *more):
        state.update(struct.pack("<Q", len(part)) + part)
    return state.hexdigest()


def check_retailer(terms: Terms, name: str) -> None:
    """Refuse a name that is no retailer of the coalition; raises InvalidInput."""
    if name not in terms.retailers:
        raise InvalidInput("unknown retailer", got=name, expected=" or ".join(terms.retailers))


def check_label(label: str, what: str) -> None:
    """Refuse a label that is not of lower-case letters, digits and hyphens; raises InvalidInput."""
    if not _LABEL.fullmatch(label):
        raise InvalidInput(
            f"{what} has an unsuitable label", got=label, expected="one like 'item-counts'"
        )


def check_retailers(terms: Terms, names: tuple[str, ...], what: str) -> None:
    """Refuse names that are no retailers, or do not stand once each in the terms' order.

    Raises
    ------
    InvalidInput
    """
    for name in names:
        check_retailer(terms, name)
    if names != tuple(name for name in terms.retailers if name in names):
        raise InvalidInput(f"{what} are not in the order of the terms, each of them once")
