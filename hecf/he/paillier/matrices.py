"""Batches of Paillier ciphertexts and their bytes, which become numbers at the gate only.

A batch keeps what it received as bytes: header and length are checked when it is parsed, and
:func:`hecf.he.paillier.gate.admit_octets` is the only way from there to integers.
"""

from __future__ import annotations

from dataclasses import dataclass

from hecf.errors import Mismatch
from hecf.he.messages import Kind, header, open_header
from hecf.he.paillier.plan import KEY_FINGERPRINT_BYTES
from hecf.he.paillier.product_plan import PaillierPlan, PaillierProductPlan


@dataclass(frozen=True, repr=False)
class CiphertextBatch:
    """Ciphertexts of fixed width under one key.

    Parameters
    ----------
    plan : PaillierSumPlan or PaillierProductPlan
    key_fingerprint : bytes
        Of the public key.
    octets : bytes
        Little-endian numbers side by side.
    """

    plan: PaillierPlan
    key_fingerprint: bytes
    octets: bytes

    kind = 0

    def to_bytes(self) -> bytes:
        """Header, fingerprint of the key, ciphertexts."""
        return header(self.kind, self.plan.fingerprint) + self.key_fingerprint + self.octets

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.plan.operation}, {len(self.octets)} bytes)"


class PaillierMatrix(CiphertextBatch):
    """An encrypted operand, or a sum of operands.

    Ciphertexts of a vector follow each other; those of a matrix A (K, I) stand by group of
    columns, then by row: (groups, K).
    """

    kind = Kind.PAILLIER_OPERAND

    @classmethod
    def from_bytes(cls, plan: PaillierPlan, data: bytes) -> PaillierMatrix:
        """Parse.

        Raises
        ------
        Mismatch
            If the bytes belong to another plan, which fixes the exponent too.
        MalformedMessage
            If version, kind or length is not as agreed.
        """
        body = open_header(
            data, Kind.PAILLIER_OPERAND, plan.fingerprint, plan.operand_bytes("left")
        )
        return cls(plan, *split(body))


class PaillierProduct(CiphertextBatch):
    """An encrypted product: ciphertexts by group of left columns, then by right columns."""

    kind = Kind.PAILLIER_PRODUCT

    @classmethod
    def from_bytes(cls, plan: PaillierProductPlan, data: bytes) -> PaillierProduct:
        """Parse; errors as for :meth:`PaillierMatrix.from_bytes`."""
        body = open_header(data, Kind.PAILLIER_PRODUCT, plan.fingerprint, plan.result_bytes)
        return cls(plan, *split(body))


def check_key(batch: CiphertextBatch, fingerprint: bytes) -> None:
    """Refuse a batch under another key.

    Raises
    ------
    Mismatch
    """
    if batch.key_fingerprint != fingerprint:
        raise Mismatch(
            "a batch is encrypted under another key",
            got=batch.key_fingerprint.hex()[:16],
            expected=fingerprint.hex()[:16],
        )


def split(body: memoryview) -> tuple[bytes, bytes]:
    """Return the fingerprint of the key, and the ciphertexts that follow it."""
    return bytes(body[:KEY_FINGERPRINT_BYTES]), bytes(body[KEY_FINGERPRINT_BYTES:])
