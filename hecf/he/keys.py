"""Secret material and exact decryptions, as types that do not travel."""

from __future__ import annotations

import hashlib
from typing import Generic, NoReturn, TypeVar

from hecf.he.modular import Float
from hecf.he.paillier.plan import PaillierSumPlan
from hecf.he.paillier.product_plan import PaillierProductPlan
from hecf.he.parameters import ParameterSet
from hecf.he.product.plan import ProductPlan
from hecf.he.summation.plan import SumPlan


class SecretBytes:
    """Secret material of any scheme.

    Security
    --------
    The bytes decrypt everything of a coalition. The type does not print, compare or pickle them;
    :meth:`expose` is for the key store and the decryptor only.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def expose(self) -> bytes:
        """Return the secret bytes, for storage under encryption and for decryption."""
        return self._data

    def __repr__(self) -> str:
        digest = hashlib.sha256(b"hecf secret key" + self._data).hexdigest()
        return f"{type(self).__name__}({digest[:8]})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be pickled or copied")


class SecretKey(SecretBytes):
    """A secret key of CKKS, or the empty one of the clear scheme, with its parameters.

    Security
    --------
    As for :class:`SecretBytes`.
    """

    def __init__(self, parameters: ParameterSet, data: bytes) -> None:
        super().__init__(data)
        self.parameters = parameters


P = TypeVar("P", ProductPlan, SumPlan, PaillierProductPlan, PaillierSumPlan)


class Decrypted(Generic[P]):
    """An exact decryption, which only the release gate may turn into something that travels.

    Parameters
    ----------
    plan : ProductPlan or SumPlan
    exact : float64 array
        Shape (left, right) of a product's plan, or (values,) of a sum's.

    Security
    --------
    :meth:`unwrap` is for :mod:`hecf.privacy.release` alone; a test of the source finds any other
    caller.
    """

    def __init__(self, plan: P, exact: Float) -> None:
        self.plan: P = plan
        self._exact = exact

    def unwrap(self) -> Float:
        """Return the exact values."""
        return self._exact

    def __repr__(self) -> str:
        size = " x ".join(map(str, self._exact.shape))
        return f"Decrypted({self.plan.operation} {size})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Decrypted result cannot be pickled or copied before its release")
