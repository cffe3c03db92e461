"""Secret material and exact decryptions, as types that do not travel."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NoReturn

from hecf.he.modular import Float
from hecf.he.parameters import ParameterSet
from hecf.he.plan import ProductPlan


class SecretKey:
    """A secret key with its parameters.

    Security
    --------
    The bytes decrypt everything of a coalition. The type does not print, compare or pickle them;
    :meth:`expose` is for the key store and the decryptor only.
    """

    def __init__(self, parameters: ParameterSet, data: bytes) -> None:
        self.parameters = parameters
        self._data = data

    def expose(self) -> bytes:
        """Return the secret bytes, for storage under encryption and for decryption."""
        return self._data

    def __repr__(self) -> str:
        digest = hashlib.sha256(b"hecf secret key" + self._data).hexdigest()
        return f"SecretKey({digest[:8]})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretKey cannot be pickled or copied")


@dataclass(frozen=True, repr=False)
class Decrypted:
    """An exact decryption, which only the release gate may turn into something that travels.

    Parameters
    ----------
    plan : ProductPlan
    values : float64 array, shape (left, right) of the plan
    """

    plan: ProductPlan
    values: Float

    def __repr__(self) -> str:
        return f"Decrypted({self.plan.operation} {self.plan.left} x {self.plan.right})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Decrypted result cannot be pickled or copied before its release")
