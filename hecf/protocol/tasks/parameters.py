"""Parameters of the key that a coalition's terms ask for."""

from __future__ import annotations

from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.paillier.plan import SCHEME as PAILLIER
from hecf.he.parameters import ParameterSet
from hecf.protocol.tasks.gram import gram_plan
from hecf.protocol.terms import Terms


def key_parameters(terms: Terms) -> ParameterSet | PaillierParameters:
    """Return those of the Gram task, which every other task of CKKS shares, or Paillier's own.

    Raises
    ------
    ParameterError
        If no secure parameters give the precision.
    """
    return PaillierParameters() if terms.scheme == PAILLIER else gram_plan(terms).parameters


def has_gram_task(terms: Terms) -> bool:
    """Whether the terms imply cross-Gram blocks.

    Paillier cannot multiply two ciphertexts, retailers with different shoppers have no common rows,
    and privacy of sums alone releases no blocks.
    """
    return terms.scheme != PAILLIER and terms.blocks_agreed


def agreed_fingerprint(terms: Terms) -> bytes:
    """Fingerprint that two parties compare when they join: of the Gram plan, or of the key's."""
    if terms.scheme == PAILLIER:
        return key_parameters(terms).fingerprint
    return gram_plan(terms).fingerprint
