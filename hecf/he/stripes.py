"""Stripes: the smallest pieces in which an operand is encoded, encrypted, sent and computed on.

A stripe is as many rows of a Gram operand, shoppers of a score, values of a sum or rows of a
similarity as one polynomial holds. Stripes follow each other on the wire, so an operand of any
size passes through memory for a few of them (:mod:`hecf.he.streams`).
"""

from __future__ import annotations

from dataclasses import dataclass

from hecf.errors import InvalidInput, Mismatch


@dataclass(frozen=True)
class Stripes:
    """How one operand is cut.

    Parameters
    ----------
    length : int
        Entries of the operand in clear along the axis that is cut.
    entries : int
        Entries of one stripe; the last one may have fewer.
    axis : int
        Axis of the operand in clear that is cut.
    word_axis : int
        Axis of the words of an encrypted operand along which stripes lie.
    """

    length: int
    entries: int
    axis: int
    word_axis: int

    @property
    def count(self) -> int:
        """Stripes of the whole operand."""
        return -(-self.length // self.entries)

    def within(self, entries: int) -> int:
        """Stripes that so many entries need."""
        return -(-entries // self.entries)

    def check_piece(self, shape: tuple[int, ...], whole: tuple[int, ...], first: int) -> None:
        """Refuse a piece of an operand that is not made of whole stripes from `first` on.

        Raises
        ------
        InvalidInput
        """
        taken = first * self.entries
        left = self.length - taken
        if len(shape) == len(whole):
            size = shape[self.axis]
            fits = 0 < size <= left and (size == left or size % self.entries == 0)
            expected = (*whole[: self.axis], size if fits else left, *whole[self.axis + 1 :])
        else:
            expected = whole
        if shape != expected:
            raise InvalidInput("an operand has another shape", got=shape, expected=expected)

    def check_range(self, first: int, count: int) -> None:
        """Refuse stripes that an operand does not have.

        Raises
        ------
        Mismatch
        """
        if first < 0 or count < 1 or first + count > self.count:
            raise Mismatch(
                "an operand has no such stripes",
                got=f"{count} from {first}",
                expected=f"up to {self.count}",
            )
