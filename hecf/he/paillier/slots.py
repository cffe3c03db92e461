"""Numbers into the slots of plaintexts and back; the layout is that of :mod:`.packing`."""

from __future__ import annotations

from collections.abc import Sequence

from hecf.he.paillier.arithmetic import gmpy2, mpz
from hecf.he.paillier.packing import SlotPacking


def pack(packing: SlotPacking, numbers: Sequence[int]) -> mpz:
    """Put signed numbers into slots; the plaintext is negative as often as not."""
    half = 1 << (packing.slot_bits - 1)
    shifted = [number + half for number in numbers]
    return gmpy2.pack(shifted, packing.slot_bits) - packing.offset(len(shifted))


def unpack(packing: SlotPacking, plaintext: mpz, count: int) -> list[int]:
    """Read the lowest `count` slots; what stands above them is ignored."""
    half, width = 1 << (packing.slot_bits - 1), packing.slot_bits
    low = (plaintext + packing.offset(count)) & ((1 << (count * width)) - 1)
    digits = gmpy2.unpack(low, width) if low else []
    numbers = [int(digit) - half for digit in digits]
    return numbers + [-half] * (count - len(numbers))
