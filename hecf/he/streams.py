"""Operands that pass through memory in blocks of stripes: cutting, writing, and strict parsing.

::

    pieces of a matrix --cut--> stripes --encrypt--> blocks --written--> bytes
    bytes in chunks of any size --OperandReader--> checked blocks --> accumulators of the evaluator

A byte string is one header and the words of stripe after stripe, so what is written block by block
is what is written at once, and the receiver may read it in blocks of another size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Generic, Protocol, TypeVar

import numpy as np

from hecf.errors import InvalidInput, LimitExceeded, MalformedMessage, Mismatch
from hecf.he.messages import HEADER_BYTES, Kind, check_header, header, open_header
from hecf.he.modular import Float
from hecf.he.plan import OperandPlan

MEMORY = 1 << 28
"""Bytes that a reader or an encryptor of blocks may use, unless told otherwise."""

COPIES = 8
"""Arrays of a block's size on the wire that exist at once while it is parsed or encrypted."""

CHUNK = 1 << 20
"""Bytes that are read from a file at once."""

Source = BinaryIO | Iterable[bytes]
"""A binary file that is open for reading, or chunks of bytes."""

P = TypeVar("P", bound=OperandPlan, contravariant=True)
B = TypeVar("B")
B_co = TypeVar("B_co", covariant=True)


class Block(Protocol):
    """Some consecutive stripes of an operand."""

    @property
    def plan(self) -> OperandPlan:
        """The plan of the operand."""
        ...

    @property
    def side(self) -> str:
        """Side of the operand."""
        ...

    @property
    def first(self) -> int:
        """Number of the first stripe."""
        ...

    @property
    def count(self) -> int:
        """How many stripes there are."""
        ...

    def body(self) -> bytes:
        """Return the bytes of the stripes."""
        ...

    @staticmethod
    def kind(side: str) -> Kind:
        """Return what the header of an operand says."""
        ...


class BlockFormat(Protocol[P, B_co]):
    """How a scheme lays stripes out in bytes: the class methods of its operands."""

    def kind(self, side: str) -> Kind:
        """Return what the header of an operand says."""
        ...

    def body_bytes(self, plan: P, side: str, first: int, count: int) -> int:
        """Return the bytes of some stripes."""
        ...

    def from_body(self, plan: P, side: str, first: int, count: int, data: memoryview) -> B_co:
        """Parse some stripes, of which the length was checked."""
        ...


def parsed(form: BlockFormat[P, B], plan: P, side: str, data: bytes) -> B:
    """Parse a whole operand at once.

    Raises
    ------
    Mismatch
        If the bytes belong to another plan.
    MalformedMessage
        If version, kind, length or a value is not as agreed.
    """
    count = plan.stripes(side).count
    length = form.body_bytes(plan, side, 0, count)
    body = open_header(data, form.kind(side), plan.fingerprint, length)
    return form.from_body(plan, side, 0, count, body)


def written(blocks: Iterable[Block]) -> Iterator[bytes]:
    """Yield the bytes of an operand whose blocks arrive in order: a header, then block by block.

    Raises
    ------
    Mismatch
        If a block is missing, out of order or of another operand.
    """
    start: Block | None = None
    done = 0
    for block in blocks:
        if start is None:
            start = block
            yield header(block.kind(block.side), block.plan.fingerprint)
        check_next(block, start.plan, start.side, done)
        done += block.count
        yield block.body()
    if start is None or done != start.plan.stripes(start.side).count:
        raise Mismatch("stripes of an operand are missing", got=done)


def check_next(block: Block, plan: OperandPlan, side: str, done: int) -> None:
    """Refuse a block that does not continue an operand of which `done` stripes are there.

    Raises
    ------
    Mismatch
    """
    if block.plan.fingerprint != plan.fingerprint:
        raise Mismatch("an operand belongs to another plan")
    if block.side != side:
        raise Mismatch("an operand belongs to another side", got=block.side, expected=side)
    if block.first != done:
        raise Mismatch("a block of an operand is out of order", got=block.first, expected=done)


def cut(
    plan: OperandPlan, side: str, pieces: Iterable[Float], stripes: int
) -> Iterator[tuple[int, Float]]:
    """Cut an operand that arrives in pieces of any size into runs of whole stripes.

    Parameters
    ----------
    pieces : iterable of float64 array
        Consecutive rows (of a Gram block or similarity), columns of shoppers (of a score) or values
        (of a sum).
    stripes : int
        Most stripes of a run.

    Yields
    ------
    first : int
        Number of the first stripe.
    run : float64 array

    Raises
    ------
    InvalidInput
        If a piece has another shape, a bound over all rows is exceeded, or pieces are missing.
    """
    cutting, whole = plan.stripes(side), plan.matrix_shape(side)
    axis, size = cutting.axis, stripes * cutting.entries
    run: list[Float] = []
    gathered = done = 0
    running: Float | None = None
    for piece in pieces:
        if piece.ndim != len(whole) or _others(piece.shape, axis) != _others(whole, axis):
            raise InvalidInput("an operand has another shape", got=piece.shape, expected=whole)
        running = plan.check_running(piece, running)
        start, length = 0, piece.shape[axis]
        while start < length:
            stop = min(length, start + size - gathered)
            run.append(piece.take(range(start, stop), axis=axis))
            gathered, start = gathered + stop - start, stop
            if gathered == size:
                yield done // cutting.entries, np.concatenate(run, axis=axis)
                done, gathered, run = done + size, 0, []
    if done + gathered != cutting.length:
        raise InvalidInput(
            "an operand has another length", got=done + gathered, expected=cutting.length
        )
    if run:
        yield done // cutting.entries, np.concatenate(run, axis=axis)


def _others(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def stripes_within(form: BlockFormat[P, B], plan: P, memory: int) -> int:
    """Return how many stripes may be in work at once: as many on both sides of a product.

    Raises
    ------
    LimitExceeded
        If the memory is too small for one.
    """
    each = COPIES * max(form.body_bytes(plan, side, 0, 1) for side in plan.encrypted_sides)
    if memory < each:
        raise LimitExceeded(
            "the memory is too small for a stripe of an operand",
            got=f"{memory} bytes",
            expected=f"at least {each}",
        )
    return memory // each


class OperandReader(Generic[P, B]):
    """Parses an operand from a file or from chunks of bytes, and yields checked blocks.

    Parameters
    ----------
    form : BlockFormat
        Class of the operand, such as :class:`hecf.he.matrices.EncryptedMatrix`.
    plan : OperandPlan
    side : {"left", "right"}
    source : binary file, or iterable of bytes
    memory : int
        Bytes that the reader may use; decides how many stripes a block has.

    Raises
    ------
    LimitExceeded
        If the memory is too small for one stripe.
    Mismatch
        While it is read, if the bytes belong to another plan.
    MalformedMessage
        While it is read, if version, kind, length or a value is not as agreed.
    """

    def __init__(
        self,
        form: BlockFormat[P, B],
        plan: P,
        side: str,
        source: Source,
        *,
        memory: int = MEMORY,
    ) -> None:
        self._form, self._plan, self._side = form, plan, side
        self._stripes = stripes_within(form, plan, memory)
        self._chunks = chunks_of(source)
        self._rest = memoryview(b"")

    def __iter__(self) -> Iterator[B]:
        check_header(self._take(HEADER_BYTES), self._form.kind(self._side), self._plan.fingerprint)
        total = self._plan.stripes(self._side).count
        for first in range(0, total, self._stripes):
            count = min(self._stripes, total - first)
            length = self._form.body_bytes(self._plan, self._side, first, count)
            yield self._form.from_body(self._plan, self._side, first, count, self._take(length))
        if len(self._rest) or next(self._chunks, None) is not None:
            raise MalformedMessage("a message has another length", got="more bytes than planned")

    def _take(self, length: int) -> memoryview:
        if len(self._rest) >= length:
            taken, self._rest = self._rest[:length], self._rest[length:]
            return taken
        gathered = bytearray(length)
        done = 0
        while done < length:
            if not len(self._rest):
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise MalformedMessage(
                        "a message is too short", got=f"{length - done} bytes are missing"
                    )
                self._rest = memoryview(chunk)
            part = self._rest[: length - done]
            gathered[done : done + len(part)] = part
            done, self._rest = done + len(part), self._rest[len(part) :]
        return memoryview(gathered)


def chunks_of(source: Source) -> Iterator[bytes]:
    """Yield bytes that are not empty."""
    read = getattr(source, "read", None)
    chunks = iter(lambda: read(CHUNK), b"") if read is not None else iter(source)
    return (chunk for chunk in chunks if chunk)
