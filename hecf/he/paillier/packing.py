"""Several signed numbers in one plaintext, side by side, with room for everything that is added.

The number in slot i is the coefficient of ``2^(i w)``. While every coefficient is smaller than
``2^(w-1)`` in absolute value, adding half a slot to each makes all of them positive, and the slots
can be read like digits: no borrow crosses from one into the next. A plaintext of k slots is then
smaller than ``2^(k w - 1)``, which must not exceed n / 2.
"""

from __future__ import annotations

from dataclasses import dataclass

from hecf.errors import MalformedMessage, ParameterError


@dataclass(frozen=True)
class SlotPacking:
    """How many numbers of which size share a plaintext.

    Parameters
    ----------
    modulus_bits : int
        Bits of n.
    result_bound : int
        Largest absolute value that a slot ever holds: a worst case over everything that is added.

    Raises
    ------
    ParameterError
        If not even one number fits.
    """

    modulus_bits: int
    result_bound: int

    def __post_init__(self) -> None:
        if self.result_bound < 1:
            raise ParameterError("a slot needs a positive bound", got=self.result_bound)
        if self.slots < 1:
            raise ParameterError(
                "not one number fits a Paillier plaintext",
                got=f"{self.slot_bits} bits",
                expected=f"at most {self.modulus_bits - 1}",
            )

    @property
    def slot_bits(self) -> int:
        """Width w: the bound of either sign is below ``2^(w-1)``."""
        return self.result_bound.bit_length() + 1

    @property
    def slots(self) -> int:
        """Numbers in one plaintext."""
        return (self.modulus_bits - 1) // self.slot_bits

    def offset(self, count: int) -> int:
        """Half a slot in each of `count` slots."""
        half = 1 << (self.slot_bits - 1)
        return half * (((1 << (count * self.slot_bits)) - 1) // ((1 << self.slot_bits) - 1))

    def check_range(self, plaintext: int, count: int) -> None:
        """Refuse a plaintext that the lowest `count` slots cannot be.

        Raises
        ------
        MalformedMessage
        """
        if not 0 <= plaintext + self.offset(count) < 1 << (count * self.slot_bits):
            raise MalformedMessage("a decrypted number exceeds its slots")
