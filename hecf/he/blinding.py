"""Blinded decryption: the key holder opens a result that only its recipient can read.

::

    compute node                     key holder                    recipient
    ------------                     ----------                    ---------
    seed at random, r = mask(seed)
    result + r           --------->  decrypt: m + noise + r
    seed                 ---------------------------------------->
                                     + flooding noise   --------->  - r, decode

The mask r is uniform modulo every prime at every agreed coefficient, so what the key holder
decrypts is uniform whatever the result is: a one-time pad over the residues, taken off before
anything is decoded. The mask itself is expanded from 32 bytes (:func:`hecf.he.sampling.expanded`).

Security
--------
A seed blinds one result and no other: under a seed that is used twice the key holder reads the
difference of two results. The recipient sees the noise of the decryption, so the key holder floods
the residues before it passes them on (:meth:`hecf.privacy.release.ReleaseGate.blinded`). Node and
key holder together read the result, as they read everything.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from hecf.errors import MalformedMessage, ParameterError
from hecf.he import sampling
from hecf.he.kernels import add
from hecf.he.messages import (
    Kind,
    check_words,
    header,
    open_header,
    pack_words,
    parse_words,
)
from hecf.he.modular import Float, Words, digits_to_float, recombine
from hecf.he.plan import WORD_BYTES
from hecf.he.product.plan import ProductPlan
from hecf.he.sampling import RandomBytes

SEED_BYTES = 32
FLOODING_TAIL = 9
"""Standard deviations that a plan must have room for beside its largest result."""


@dataclass(frozen=True, repr=False)
class MaskSeed:
    """What a mask expands from; the node draws it and the recipient alone receives it.

    Raises
    ------
    MalformedMessage
        If it does not have 32 bytes.
    """

    data: bytes

    def __post_init__(self) -> None:
        if len(self.data) != SEED_BYTES:
            raise MalformedMessage(
                "a mask's seed has another length", got=len(self.data), expected=SEED_BYTES
            )

    @classmethod
    def draw(cls, random: RandomBytes) -> MaskSeed:
        """Draw a seed for one result."""
        return cls(random(SEED_BYTES))

    def __repr__(self) -> str:
        return "MaskSeed()"


@dataclass(frozen=True)
class BlindedProduct:
    """An encrypted result plus a mask on its agreed coefficients.

    Parameters
    ----------
    plan : ProductPlan
    constant : uint32 array, shape ``plan.constant_shape``
        Agreed coefficients of c_0, masked.
    tail : uint32 array, shape ``tail_shape(plan)``
        NTT values of the components after c_0; the clear scheme has none.
    """

    plan: ProductPlan
    constant: Words
    tail: Words

    def __post_init__(self) -> None:
        check_room(self.plan)
        check_words(self.constant, self.plan.constant_shape)
        check_words(self.tail, tail_shape(self.plan))

    def to_bytes(self) -> bytes:
        """Header and packed words."""
        start = header(Kind.BLINDED_PRODUCT, self.plan.fingerprint)
        return start + pack_words(self.constant) + pack_words(self.tail)

    @classmethod
    def from_bytes(cls, plan: ProductPlan, data: bytes) -> BlindedProduct:
        """Parse and check every residue.

        Raises
        ------
        Mismatch
            If the bytes belong to another plan.
        MalformedMessage
            If version, kind, length or a residue is not as agreed.
        """
        shapes = (plan.constant_shape, tail_shape(plan))
        length = WORD_BYTES * sum(math.prod(shape) for shape in shapes)
        body = open_header(data, Kind.BLINDED_PRODUCT, plan.fingerprint, length)
        return cls(plan, *parse_words(body, shapes, plan.primes))


@dataclass(frozen=True, repr=False)
class BlindedDecryption:
    """Masked residues with the exact noise of their decryption, for the release gate only.

    Parameters
    ----------
    plan : ProductPlan
    words : uint32 array, shape ``plan.constant_shape``
    """

    plan: ProductPlan
    words: Words

    def __post_init__(self) -> None:
        check_words(self.words, self.plan.constant_shape)

    def __repr__(self) -> str:
        return f"BlindedDecryption({self.plan.operation} {self.plan.left} x {self.plan.right})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a BlindedDecryption cannot be pickled or copied before its release")


@dataclass(frozen=True)
class BlindedResult:
    """Masked and flooded residues on their way from the key holder to the recipient.

    Parameters
    ----------
    plan : ProductPlan
    words : uint32 array, shape ``plan.constant_shape``
    """

    plan: ProductPlan
    words: Words

    def __post_init__(self) -> None:
        check_words(self.words, self.plan.constant_shape)

    def to_bytes(self) -> bytes:
        """Header and packed words."""
        return header(Kind.BLINDED_RESULT, self.plan.fingerprint) + pack_words(self.words)

    @classmethod
    def from_bytes(cls, plan: ProductPlan, data: bytes) -> BlindedResult:
        """Parse and check every residue; errors as for :meth:`BlindedProduct.from_bytes`."""
        length = WORD_BYTES * math.prod(plan.constant_shape)
        body = open_header(data, Kind.BLINDED_RESULT, plan.fingerprint, length)
        return cls(plan, *parse_words(body, (plan.constant_shape,), plan.primes))

    def unblind(self, seed: MaskSeed) -> Float:
        """Take the mask off and decode: float64 of shape (left, right).

        With another seed than the result's the values are uniform nonsense, which nothing here
        can notice.
        """
        plan = self.plan
        tiles = digits_to_float(self.digits(seed), plan.primes, plan.scale)
        return plan.packing.unpack_result(tiles, plan.left, plan.right)

    def digits(self, seed: MaskSeed) -> tuple[NDArray[np.int64], ...]:
        """Take the mask off: exact balanced mixed-radix digits (groups, groups, m n)."""
        plan = self.plan
        hidden = mask(plan, seed)
        residues = np.empty(self.words.shape, dtype=np.int64)
        for index, prime in enumerate(plan.primes):
            residues[:, :, index] = self.words[:, :, index].astype(np.int64) - hidden[:, :, index]
            residues[:, :, index] %= prime
        return recombine(residues, plan.primes)


def mask(plan: ProductPlan, seed: MaskSeed) -> Words:
    """Expand a seed: uniform residues of ``plan.constant_shape``, for one plan and prime each."""
    out = np.empty(plan.constant_shape, dtype=np.uint32)
    for index, prime in enumerate(plan.primes):
        label = b"hecf blinding" + seed.data + plan.fingerprint + bytes([index])
        stream = sampling.expanded(hashlib.sha256(label).digest())
        part = out[:, :, index]
        part[...] = sampling.uniform(part.shape, prime, stream)
    return out


def masked(plan: ProductPlan, constant: Words, seed: MaskSeed) -> Words:
    """Add a mask to agreed coefficients of shape ``plan.constant_shape``."""
    return add([constant, mask(plan, seed)], plan.primes)


def flooded(decryption: BlindedDecryption, random: RandomBytes) -> BlindedResult:
    """Add the plan's flooding noise to masked residues, as rounded integers.

    Adding before rounding or after is the same for an integer, so the theorem behind
    :attr:`hecf.he.plan.ScaledPlan.flooding` holds for the rounded noise as well. The clear scheme
    has no noise to flood.
    """
    plan = decryption.plan
    return BlindedResult(plan, flooding_added(plan, decryption.words, random))


def flooding_added(plan: ProductPlan, words: Words, random: RandomBytes) -> Words:
    """Add flooding noise to residues of shape ``plan.constant_shape``."""
    if plan.flooding == 0:
        return words
    shape = (*plan.constant_shape[:2], plan.constant_shape[3])
    noise = sampling.gaussian_residues(shape, plan.flooding * plan.scale, plan.primes, random)
    return add([words, noise], plan.primes)


def tail_shape(plan: ProductPlan) -> tuple[int, ...]:
    """Shape of the components after c_0, of which the clear scheme has none."""
    if plan.scheme == "clear":
        return (*plan.tail_shape[:2], 0, *plan.tail_shape[3:])
    return plan.tail_shape


def check_room(plan: ProductPlan) -> None:
    """Refuse a plan under which a flooded result could wrap around the modulus.

    Raises
    ------
    ParameterError
    """
    needed = plan.result_bound + math.ceil(FLOODING_TAIL * plan.flooding * plan.scale)
    if needed >= plan.modulus // 2:
        raise ParameterError(
            "a flooded result could exceed the modulus",
            got=f"{needed.bit_length() + 1} bits",
            expected=f"less than {plan.modulus.bit_length()}",
        )
