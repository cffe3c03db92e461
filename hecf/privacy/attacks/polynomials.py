"""Arithmetic that attackers do on residues they have seen, in plain int64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hecf.he import ntt

Residues = NDArray[np.int64]


def inverses(values: Residues, prime: int) -> Residues:
    """Inverses modulo a prime by Fermat's little theorem; zero has none and stays zero."""
    out, base, exponent = np.ones_like(values), values % prime, prime - 2
    while exponent:
        if exponent & 1:
            out = out * base % prime
        base, exponent = base * base % prime, exponent >> 1
    return out


def centred(values: Residues, prime: int) -> Residues:
    """Return representatives in ``(-p/2, p/2)``."""
    values = values % prime
    return np.where(values > prime // 2, values - prime, values)


def coefficients(values: Residues, prime: int) -> Residues:
    """Centred coefficients (..., N) of NTT values modulo one prime."""
    step = ntt.transform(values.shape[-1], prime)
    back = step.inverse(centred(values, prime).astype(np.float64))
    return centred(back.astype(np.int64), prime)


def transformed(polynomial: Residues, prime: int) -> Residues:
    """NTT values (..., N) in ``[0, p)`` of coefficients modulo one prime."""
    step = ntt.transform(polynomial.shape[-1], prime)
    return step.forward(centred(polynomial, prime).astype(np.float64)).astype(np.int64) % prime
