"""Releases that say too much together although each alone may leave: overlapping batches (C20).

Two sums of which one lacks a retailer differ by that retailer's vector, and two fits between which
one shopper changed differ by her. Each rule here compares a release with those before it, and
refuses it before anything is decrypted or uploaded. Differential privacy covers overlaps, because
its ledger adds up what all releases say together; where it was agreed on there is nothing to ask.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations

from hecf.errors import ReleaseRefused

Weights = Mapping[str, int]
"""Weight of every retailer in a sum; who is missing has none."""

_MOST_CHOICES = 1 << 14
_Row = list[Fraction]


def check_sums(released: Iterable[Weights], proposed: Weights, minimum: int) -> None:
    """Refuse a sum that singles out too few contributors together with released ones.

    Whoever has the sums can subtract one from another, in any multiples. No such combination may
    be one of fewer than `minimum` retailers' vectors. What the vectors hold nobody can see under
    encryption, so all sums of a coalition count as sums of the same vectors.

    Parameters
    ----------
    released : iterable of mapping of str to int
        The sums before.
    proposed : mapping of str to int
        The sum that is asked for.
    minimum : int
        Least number of contributors in any combination.

    Raises
    ------
    ReleaseRefused
        If a combination has fewer, or there are too many retailers to tell.
    """
    sums = [*released, proposed]
    names = sorted({name for weights in sums for name in weights})
    rows = _reduced([[Fraction(weights.get(name, 0)) for name in names] for weights in sums])
    if len(rows) == 1:
        # One sum, however often: it is what was checked when it was declared.
        return
    count = min(minimum - 1, len(names))
    if math.comb(len(names), count) > _MOST_CHOICES:
        raise ReleaseRefused(
            "different sums of so many retailers cannot be compared", got=f"{len(names)} retailers"
        )
    for chosen in combinations(range(len(names)), count):
        others = [[row[k] for k in range(len(names)) if k not in chosen] for row in rows]
        if len(_reduced(others)) < len(rows):
            raise ReleaseRefused(
                "a sum and those released before single out too few contributors",
                got=", ".join(names[place] for place in chosen),
                expected=f"at least {minimum} in every combination of sums",
            )


def check_shoppers(
    earlier: Iterable[Mapping[bytes, bytes]], now: Mapping[bytes, bytes], minimum: int
) -> None:
    """Refuse a batch of shoppers that differs from an earlier one by too few of them.

    Parameters
    ----------
    earlier : iterable of mapping of bytes to bytes
        What every shopper of an earlier batch brought, as digests: of who she is, of her rows.
    now : mapping of bytes to bytes
        The same of the batch that is to be used.
    minimum : int
        Least number of shoppers who must differ, if any does.

    Raises
    ------
    ReleaseRefused
        If some do, and fewer: they came, left, or bought something since.
    """
    for batch in earlier:
        changed = {shopper for shopper, _ in batch.items() ^ now.items()}
        if 0 < len(changed) < minimum:
            raise ReleaseRefused(
                "too few shoppers have changed since an earlier fit, whose sums these would show",
                got=f"{len(changed)} shoppers",
                expected=f"none, or at least {minimum}",
            )


def _reduced(rows: Sequence[_Row]) -> list[_Row]:
    """Return a basis of the rows' span, by elimination without rounding."""
    basis: list[_Row] = []
    for row in rows:
        rest = row
        for known in basis:
            lead = next(place for place, value in enumerate(known) if value)
            factor = rest[lead] / known[lead]
            rest = [value - factor * other for value, other in zip(rest, known, strict=True)]
        if any(rest):
            basis.append(rest)
    return basis
