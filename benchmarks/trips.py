"""One operation from clear operands to a released value, step by step, for whichever scheme."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.harness import Timing, stopwatch
from hecf.he.modular import Float
from hecf.he.scheme import Decryptor, Encryptor, Evaluator, Scheme, scheme_by_name
from hecf.measure import Measurements

Operands = list[tuple[str, Float]]


class Side(NamedTuple):
    """Everything that works with one key."""

    scheme: Scheme
    encryptor: Encryptor
    evaluator: Evaluator
    decryptor: Decryptor


@dataclass
class Trip:
    """Seconds by step, bytes and result of one scheme."""

    released: Any = None
    watch: Measurements = field(default_factory=stopwatch)
    bytes: dict[str, int] = field(default_factory=dict)
    error: float = 0.0

    def step(self, name: str, work: Callable[[], Any]) -> Any:
        """Do and time one step, which belongs to a stage."""
        with self.watch.stage(name):
            return work()

    @property
    def timing(self) -> Timing:
        """Seconds of all steps, which are taken once."""
        return Timing((sum(self.watch.seconds.values()),))


def round_trip(
    side: Side,
    plan: Any,
    operands: Operands,
    node: Callable[[Evaluator, list[Any]], Any],
    decrypt: Callable[[Decryptor, Any], Any],
    release: Callable[[Any], Float],
) -> Trip:
    """Encrypt, compute, decrypt and release, through the bytes that would travel."""
    trip = Trip()
    encode, encrypt = side.encryptor.encode, side.encryptor.encrypt
    names = [name for name, _ in operands]
    encoded = trip.step("encode", lambda: [encode(plan, *operand) for operand in operands])
    encrypted = trip.step("encrypt", lambda: [encrypt(each) for each in encoded])
    uploads: list[bytes] = trip.step("serialise", lambda: [each.to_bytes() for each in encrypted])
    parsed = trip.step(
        "serialise",
        lambda: [
            side.scheme.operand(plan, name, data) for name, data in zip(names, uploads, strict=True)
        ],
    )
    computed = trip.step("compute", lambda: node(side.evaluator, parsed))
    answer: bytes = trip.step("serialise", computed.to_bytes)
    decrypted = trip.step("decrypt", lambda: decrypt(side.decryptor, answer))
    trip.released = trip.step("release", lambda: release(decrypted))
    trip.bytes = {"uploads": sum(map(len, uploads)), "result": len(answer)}
    return trip


def ckks_side(plan: Any) -> Side:
    """Return a fresh CKKS key for a plan."""
    scheme = scheme_by_name("ckks")
    secret, public = scheme.generate_keys(plan.parameters)
    evaluator = scheme.evaluator(plan.parameters, public, secrets.token_bytes)
    encryptor = scheme.encryptor(plan.parameters, public)
    return Side(scheme, encryptor, evaluator, scheme.decryptor(secret))
