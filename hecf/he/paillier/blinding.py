"""Blinded decryption under Paillier: the key holder opens integers that its recipients can read.

As for CKKS (:mod:`hecf.he.blinding`), with a mask that is uniform modulo n for every ciphertext: to
a packed plaintext m the node adds r, the key holder decrypts ``m + r mod n``, which is uniform
whatever m is, and who has the seed of r takes it off and reads the slots. A decryption is exact and
carries no noise of the key, so nothing is flooded.

Security
--------
A seed blinds one result and no other. The masked ciphertexts are re-randomised: otherwise the key
holder could divide two of them and compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from hecf.errors import MalformedMessage
from hecf.he.blinding import MaskSeed
from hecf.he.messages import Kind, header, open_header
from hecf.he.modular import Float
from hecf.he.paillier.matrices import CiphertextBatch, split
from hecf.he.paillier.plan import KEY_FINGERPRINT_BYTES
from hecf.he.paillier.product_plan import PaillierPlan


class PaillierBlinded(CiphertextBatch):
    """An encrypted sum or product plus a mask on every plaintext."""

    kind = Kind.PAILLIER_BLINDED

    @classmethod
    def from_bytes(cls, plan: PaillierPlan, data: bytes) -> PaillierBlinded:
        """Parse; errors as for :meth:`hecf.he.paillier.matrices.PaillierMatrix.from_bytes`."""
        body = open_header(data, Kind.PAILLIER_BLINDED, plan.fingerprint, plan.result_bytes)
        return cls(plan, *split(body))


@dataclass(frozen=True, repr=False)
class MaskedIntegers:
    """Masked plaintexts as they were decrypted, for the release gate only.

    Parameters
    ----------
    plan : PaillierSumPlan or PaillierProductPlan
    key_fingerprint : bytes
        Of the public key.
    octets : bytes
        Little-endian integers modulo n, side by side.
    """

    plan: PaillierPlan
    key_fingerprint: bytes
    octets: bytes

    def __repr__(self) -> str:
        return f"MaskedIntegers({self.plan.operation})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a MaskedIntegers cannot be pickled or copied before its release")


@dataclass(frozen=True, repr=False)
class BlindedIntegers:
    """Masked plaintexts on their way from the key holder to the recipients.

    Parameters
    ----------
    plan, key_fingerprint, octets
        As of :class:`MaskedIntegers`.

    Raises
    ------
    MalformedMessage
        If fingerprint or octets have another length.
    """

    plan: PaillierPlan
    key_fingerprint: bytes
    octets: bytes

    def __post_init__(self) -> None:
        expected = KEY_FINGERPRINT_BYTES, masked_bytes(self.plan)
        got = len(self.key_fingerprint), len(self.octets)
        if got != expected:
            raise MalformedMessage(
                "masked integers have another length", got=got, expected=expected
            )

    @classmethod
    def of(cls, masked: MaskedIntegers) -> BlindedIntegers:
        """Take over what the release gate lets through."""
        return cls(masked.plan, masked.key_fingerprint, masked.octets)

    def to_bytes(self) -> bytes:
        """Header, fingerprint of the key, integers."""
        start = header(Kind.PAILLIER_MASKED, self.plan.fingerprint)
        return start + self.key_fingerprint + self.octets

    @classmethod
    def from_bytes(cls, plan: PaillierPlan, data: bytes) -> BlindedIntegers:
        """Parse; errors as for :meth:`hecf.he.paillier.matrices.PaillierMatrix.from_bytes`."""
        length = KEY_FINGERPRINT_BYTES + masked_bytes(plan)
        body = open_header(data, Kind.PAILLIER_MASKED, plan.fingerprint, length)
        return cls(plan, *split(body))

    def unblind(self, seed: MaskSeed, public_key: bytes) -> Float:
        """Take the mask off and read the slots.

        Parameters
        ----------
        seed : MaskSeed
            Under another one a plaintext is uniform modulo n.
        public_key : bytes
            Of the key holder, whose modulus the integers are reduced by.

        Returns
        -------
        float64 array, shape (values,) of a sum or (left, right) of a product

        Raises
        ------
        Mismatch
            If the integers are under another key.
        MalformedMessage
            If an integer is not below n, or a number of a sum exceeds its slots: with a wrong seed
            as likely as the slots leave room in the plaintext.
        """
        from hecf.he.paillier.masks import unmasked

        return unmasked(self, seed, public_key)

    def __repr__(self) -> str:
        return f"BlindedIntegers({self.plan.operation})"


def masked_bytes(plan: PaillierPlan) -> int:
    """Bytes of the masked integers of a result."""
    ciphertexts = (plan.result_bytes - KEY_FINGERPRINT_BYTES) // plan.parameters.ciphertext_bytes
    return ciphertexts * plan.parameters.modulus_bytes
