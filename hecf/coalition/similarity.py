"""Encrypted similarity between the rows of two retailers: similar items, look-alike shoppers.

::

    retailer A            compute node                key holder           retailer A
    encrypts rows  ---->  A B' on ciphertexts,  --->  decrypts, floods --> the best n rows of B
    retailer B            concealed                   and keeps the        for each of its own
    encrypts rows  ---->                              best n of a row
"""

from __future__ import annotations

import secrets

import numpy as np
from numpy.typing import NDArray

from hecf.errors import InvalidInput
from hecf.he.plan import LEFT, RIGHT
from hecf.he.scheme import streaming_scheme
from hecf.he.similarity.plan import PUBLIC_KEY, normalise_rows
from hecf.he.similarity.planner import plan_similarity
from hecf.privacy.release import ReleaseGate
from hecf.protocol.terms import Terms

Float = NDArray[np.float64]
PRECISION = 2.0**-10
"""Largest standard deviation of a released cosine."""


def most_similar_rows(
    terms: Terms, left: Float, right: Float, count: int
) -> tuple[NDArray[np.int64], Float]:
    """Find the most similar rows of another retailer, under encryption.

    Parameters
    ----------
    terms : Terms
        Their scheme, strength of flooding and top_k are used; the key is drawn for this call.
    left : float64 array, shape (a, d)
        Rows of the retailer that asks, norm at most 1.
    right : float64 array, shape (b, d)
        Rows of the other retailer, norm at most 1.
    count : int
        1 to the smaller of b and the terms' top_k.

    Returns
    -------
    rows : int64 array, shape (a, count)
        Positions in `right`, best first.
    scores : float64 array, shape (a, count)

    Raises
    ------
    InvalidInput
        If the rows do not fit each other, or a norm is above 1.
    ReleaseRefused
        If more is asked for than the terms release.

    Notes
    -----
    The result fills a ring of 8192 rows and columns however few there are: about 1 GB between node
    and key holder, and some seconds.

    Security
    --------
    All roles run in this process. Whoever asks with rows of its own choice learns where the
    other's rows lie: with d independent questions, everything about the best ones.
    """
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise InvalidInput(
            "rows of two retailers do not fit each other",
            got=f"{left.shape} and {right.shape}",
            expected="the same number of columns",
        )
    plan = plan_similarity(
        scheme=terms.scheme,
        inner=left.shape[1],
        left=left.shape[0],
        right=right.shape[0],
        precision=PRECISION,
        encryption=PUBLIC_KEY,
        statistical_bits=terms.statistical_bits,
        releases=terms.releases,
    )
    gate = ReleaseGate(terms.release_policy, secrets.token_bytes)
    scheme = streaming_scheme(terms.scheme)
    secret, public = scheme.generate_keys(plan.parameters)
    encryptor = scheme.encryptor(plan.parameters, public)
    operands = [
        encryptor.encrypt(encryptor.encode(plan, side, rows))
        for side, rows in ((LEFT, left), (RIGHT, right))
    ]
    evaluator = scheme.evaluator(plan.parameters, public, secrets.token_bytes)
    panels = scheme.decryptor(secret).panels(plan, evaluator.similarity(*operands))
    found = gate.most_similar(plan, panels, count)
    return found.columns, found.scores


def unit_rows(matrix: Float) -> Float:
    """Rows of norm 1, and of zeros where there is nothing."""
    return normalise_rows(np.asarray(matrix, dtype=np.float64))
