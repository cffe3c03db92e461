"""Random factors computed ahead by worker processes, so that encryption itself takes microseconds.

GMP's products hold Python's lock, so threads would not help. Every worker holds the table of powers
and draws its exponents from the operating system. A factor leaves the pool once and lives in memory
only: one that hid two plaintexts would show their difference.
"""

from __future__ import annotations

import multiprocessing
import secrets
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType

from hecf.errors import InternalFailure, ParameterError
from hecf.he.paillier.arithmetic import from_octets, mpz, to_octets
from hecf.he.paillier.keys import PublicKey
from hecf.he.paillier.parameters import CLASSIC, PaillierParameters
from hecf.he.paillier.randomness import FixedBaseTable, Randomiser

BATCH = 32
"""Factors that one call of a worker computes: some 50 ms of work, 24 kB to hand over."""

_randomiser: Randomiser | None = None


class BlindingPool:
    """A stock of random factors that worker processes keep full.

    Parameters
    ----------
    public_key : PublicKey
    workers : int
        Processes; each holds the table of powers (some 40 MB at 3072 bits).
    capacity : int
        Factors in stock, 768 bytes each at 3072 bits.
    table : FixedBaseTable, optional
        A stored one; without it one is built.
    prepare : callable, optional
        Runs first in every worker: a function of a module, for what the party wants of its
        children.

    Raises
    ------
    ParameterError
        If there is no worker or no capacity.
    """

    def __init__(
        self,
        public_key: PublicKey,
        *,
        workers: int,
        capacity: int,
        table: FixedBaseTable | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        if workers < 1 or capacity < 1:
            raise ParameterError(
                "a blinding pool needs a worker and a capacity", got=(workers, capacity)
            )
        self._width = public_key.parameters.ciphertext_bytes
        self._batches = -(-capacity // BATCH)
        self._ready: deque[mpz] = deque()
        self._coming: deque[Future[bytes]] = deque()
        stored = b""
        if public_key.parameters.randomness != CLASSIC:
            stored = (table or FixedBaseTable.build(public_key)).to_bytes()
        self._executor = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(public_key.parameters, public_key.to_bytes(), stored, prepare),
        )
        self._order(self._batches)

    def take(self, count: int) -> list[mpz]:
        """Hand out that many fresh factors, and let the workers make up for them.

        Raises
        ------
        InternalFailure
            If a worker died, or the pool is closed.
        """
        while len(self._ready) < count:
            missing = -(-(count - len(self._ready)) // BATCH)
            self._order(max(0, missing - len(self._coming)))
            try:
                octets = self._coming.popleft().result()
            except BrokenProcessPool:
                raise InternalFailure("a worker of the blinding pool died") from None
            self._ready.extend(from_octets(octets, self._width))
        taken = [self._ready.popleft() for _ in range(count)]
        self._order(self._batches - len(self._coming) - len(self._ready) // BATCH)
        return taken

    @property
    def stock(self) -> int:
        """Factors that could be taken without waiting."""
        return len(self._ready) + BATCH * sum(batch.done() for batch in self._coming)

    def close(self) -> None:
        """End the workers and forget the factors."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._coming.clear()
        self._ready.clear()

    def __enter__(self) -> BlindingPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _order(self, batches: int) -> None:
        try:
            for _ in range(batches):
                self._coming.append(self._executor.submit(_factors, BATCH))
        except BrokenProcessPool:
            raise InternalFailure("a worker of the blinding pool died") from None
        except RuntimeError:
            raise InternalFailure("the blinding pool is closed") from None


def _start(
    parameters: PaillierParameters,
    key: bytes,
    stored: bytes,
    prepare: Callable[[], None] | None,
) -> None:
    global _randomiser
    if prepare is not None:
        prepare()
    public_key = PublicKey.from_bytes(parameters, key)
    table = FixedBaseTable.from_bytes(public_key, stored) if stored else None
    _randomiser = Randomiser(public_key, secrets.token_bytes, table)


def _factors(count: int) -> bytes:
    if _randomiser is None:
        raise InternalFailure("a worker of the blinding pool has not started")
    factors = _randomiser.take(count)
    return to_octets(factors, _randomiser.public_key.parameters.ciphertext_bytes)
