"""Horizontal recommenders: the same catalogue, different shoppers.

Every retailer runs the same steps; for each sum that a recommender asks for:

1. the first retailer of the terms declares the sum, the others wait for it and compare it with
   what they would have declared themselves;
2. each encrypts its own vector, uploads it, and commits to it at the key holder; where the terms
   agree on privacy, it adds its share of noise before;
3. each receives the released sum, which is exact in fixed point.
"""

from __future__ import annotations

import math
import secrets

import numpy as np
from numpy.typing import NDArray

from hecf.errors import InvalidInput, Mismatch
from hecf.he.plan import LEFT
from hecf.he.sampling import RandomBytes
from hecf.he.scheme import Encryptor, scheme_by_name
from hecf.he.summation.digits import LARGEST_DIGIT_BITS
from hecf.measure import Measurements
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.protocol.released import ReleasedBlindedSum, ReleasedSum
from hecf.protocol.tasks import SumTask, key_parameters
from hecf.protocol.terms import Terms
from hecf.recipes.contribution import Contributor

Float = NDArray[np.float64]
FINEST_BITS = 24


class HorizontalRetailer:
    """One retailer's way to encrypted sums; a recommender's ``summation``.

    Parameters
    ----------
    terms : Terms
        ``terms.shoppers`` bounds the shoppers of any retailer.
    name : str
        The retailer's name in the terms.
    node : ComputeNode
    key_holder : KeyHolder
    measurements : Measurements
    session : str, optional
        Tells the sums of one fit from those of another: lower-case letters, digits and hyphens.
    random : callable, optional
        Source of cryptographically secure bytes for the noise of private sums.

    Security
    --------
    Where the terms agree on privacy, whoever calls this must have bounded what a shopper adds by
    :attr:`contribution_bound`, as recommenders do; of a vector alone that cannot be seen.
    """

    def __init__(
        self,
        terms: Terms,
        name: str,
        node: ComputeNode,
        key_holder: KeyHolder,
        measurements: Measurements,
        session: str = "fit",
        random: RandomBytes = secrets.token_bytes,
    ) -> None:
        self._terms = terms
        self._name = name
        self._node = node
        self._key_holder = key_holder
        self._measurements = measurements
        self._session = session
        self._random = random
        self._scheme = scheme_by_name(terms.scheme)
        self._contributor = Contributor(node, key_holder)
        self._encryptor: Encryptor | None = None
        self._public_key = b""

    @property
    def shoppers(self) -> int:
        """Most shoppers of any retailer."""
        return self._terms.shoppers

    @property
    def contribution_bound(self) -> float:
        """Largest norm of what one shopper may add to a vector; infinite where sums are exact."""
        private = self._terms.sum_privacy
        return math.inf if private is None else private.clip

    def __call__(self, label: str, vector: Float, *, value_bound: float, whole: bool) -> Float:
        """Sum a vector of every retailer under encryption.

        Parameters
        ----------
        label : str
        vector : float64 array, shape (n,)
        value_bound : float
        whole : bool
            As :class:`hecf.recommenders.Summation` says. Private sums are never whole.

        Raises
        ------
        InvalidInput
            If the vector exceeds the bound or is not finite, or the terms agree on privacy and on
            no sums; nothing is uploaded then.
        ParameterError
            If sums of that bound do not fit the coalition's parameters.
        Mismatch
            If another sum was declared under this label, or a retailer is missing in the result.
        PartyMissing, Unavailable
            If another party does not act or cannot be reached.
        """
        fraction, bound = self._precision(vector.size, value_bound, whole=whole)
        declarer = self._terms.retailers[0]
        task = SumTask(
            self._terms,
            declarer,
            f"{self._session}-{label}",
            values=vector.size,
            value_bound=bound,
            fraction_bits=fraction,
        )
        # The others would wait in vain for a vector that its retailer finds unsuitable later.
        task.plan.checked(LEFT, vector)
        noise = task.noise
        mine = vector if noise is None else noise.noisy(task.plan, vector, self._random)
        encryptor = self.join()
        if self._name == declarer:
            self._node.declare(task)
        else:
            declared = self._node.await_task(self._terms, task.name)
            if declared.identifier != task.identifier:
                raise Mismatch(
                    "another sum was declared than this retailer would declare", got=task.name
                )

        def make() -> bytes:
            with self._measurements.stage("encode"):
                encoded = encryptor.encode(task.plan, LEFT, mine)
            with self._measurements.stage("encrypt"):
                return encryptor.encrypt(encoded).to_bytes()

        self._contributor.contribute(task, LEFT, make)
        released = received_sum(task, self._node, self._key_holder, self._public_key)
        if released.contributors != self._terms.retailers:
            raise Mismatch(
                "retailers are missing in a sum",
                got=f"{len(released.contributors)} contributors",
                expected=len(self._terms.retailers),
            )
        return released.values

    def join(self) -> Encryptor:
        """Compare terms with node and key holder, and fetch the public key, once."""
        if self._encryptor is None:
            self._node.join(self._terms)
            self._key_holder.join(self._terms)
            self._public_key = self._contributor.public_key(self._terms)
            parameters = key_parameters(self._terms)
            self._encryptor = self._scheme.encryptor(parameters, self._public_key)
        return self._encryptor

    def _precision(self, values: int, value_bound: float, *, whole: bool) -> tuple[int, float]:
        """Fraction bits of a sum, and its bound with room for noise."""
        private = self._terms.sum_privacy
        if private is None:
            return 0 if whole else self._fraction_bits(value_bound), value_bound
        # A finer grid needs less noise, and less noise leaves room for a finer grid.
        for fraction in range(FINEST_BITS, 0, -1):
            bound = private.noise(values, fraction).bound(value_bound)
            if self._fraction_bits(bound) >= fraction:
                return fraction, bound
        return 0, private.noise(values, 0).bound(value_bound)

    def _fraction_bits(self, value_bound: float) -> int:
        """Bits after the point that leave room for the largest sum of either sign."""
        if not (math.isfinite(value_bound) and value_bound > 0):
            raise InvalidInput("a value bound is out of range", got=value_bound, expected="above 0")
        largest = 2 * len(self._terms.retailers) * value_bound
        return min(FINEST_BITS, max(0, LARGEST_DIGIT_BITS - 1 - math.ceil(math.log2(largest))))


def received_sum(
    task: SumTask, node: ComputeNode, key_holder: KeyHolder, public_key: bytes
) -> ReleasedSum:
    """Wait for a released sum, and take its mask off if it has one.

    Parameters
    ----------
    task : SumTask
    node : ComputeNode
    key_holder : KeyHolder
    public_key : bytes
        Of the key holder.

    Raises
    ------
    PermissionDenied, UnknownTask
        If the caller is no recipient.
    MalformedMessage
        If the sum does not fit its plan under the mask of the node.
    PartyMissing, Unavailable
        If another party does not act or cannot be reached.
    """
    released = key_holder.release_sum(task)
    if isinstance(released, ReleasedBlindedSum):
        return released.unblind(node.fetch_mask(task), public_key)
    return released
