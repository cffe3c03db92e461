"""Encrypted rounds of a loyalty programme whose roles are all in this process."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hecf.coalition.services import LocalServices
from hecf.coalition.week import Week
from hecf.errors import InvalidInput
from hecf.measure import Measurements
from hecf.models.cross_ridge import Blocks
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.protocol.terms import Terms
from hecf.recipes.horizontal import HorizontalRetailer
from hecf.recipes.vertical import VerticalRetailer
from hecf.recommenders import CrossRetailer

Float = NDArray[np.float64]


def released_blocks(terms: Terms, left: Mapping[str, Float], right: Mapping[str, Float]) -> Blocks:
    """Products ``left[r]' right[s]`` of every pair of retailers, r before s.

    Parameters
    ----------
    terms : Terms
    left, right : mapping of str to float64 array, shape (b, d)
        Columns of norm 1 at most, b at most the shoppers of the terms.
    """

    def take_part(name: str, node: ComputeNode, holder: KeyHolder, mine: Measurements) -> Blocks:
        retailer = VerticalRetailer(terms, name, node, holder, mine)
        # A plan has a fewest number of rows; those of nobody are empty.
        padded = [
            np.pad(side[name], ((0, terms.shoppers - len(side[name])), (0, 0)))
            for side in (left, right)
        ]
        return retailer.blocks(retailer.join(), *padded)

    with LocalServices(terms) as services:
        return next(iter(services.run(terms.retailers, take_part).values()))


def released_differences(terms: Terms, week: Week, fitted: int) -> tuple[Blocks, dict[str, Float]]:
    """Release what a week changes in the blocks, and in retailers' products with themselves.

    Parameters
    ----------
    terms : Terms
        Of the coalition.
    week : Week
    fitted : int
        Shoppers of the fit.
    """
    count, old = (max(map(len, rows.values())) for rows in (week.after, week.before))
    # Columns of the fit have norm 1, and what came later is about as long for as many shoppers;
    # this leaves room for twice that.
    unit = 2.0 * math.sqrt(max(1.0, count / fitted))
    size = count + old
    differing = replace(
        terms,
        identifier=secrets.token_hex(16),
        shoppers=max(size, terms.factors + 1),
        # Rows before the week, and of who bought nothing, do not count as shoppers.
        minimum_shoppers=size - week.active + terms.minimum_shoppers,
    )
    # after' after - before' before is one product, in which old rows stand on the right negated.
    left = {name: np.vstack([week.after[name], old]) / unit for name, old in week.before.items()}
    right = {name: np.vstack([week.after[name], -old]) / unit for name, old in week.before.items()}
    blocks = released_blocks(differing, left, right)
    squares = {name: rows.T @ right[name] for name, rows in left.items()}
    known = released_squares(terms, squares, bound=1.0)
    return (
        {pair: unit**2 * block for pair, block in blocks.items()},
        {name: unit**2 * square for name, square in known.items()},
    )


def released_squares(terms: Terms, squares: Mapping[str, Float], bound: float) -> dict[str, Float]:
    """Every retailer's own (d, d) matrix, known to all afterwards.

    Each fills its own part of one vector, so the sum of the vectors is all of them.
    """
    names, size = terms.retailers, terms.factors**2

    def take_part(name: str, node: ComputeNode, holder: KeyHolder, mine: Measurements) -> Float:
        vector = np.zeros(len(names) * size)
        start = names.index(name) * size
        vector[start : start + size] = squares[name].ravel()
        summation = HorizontalRetailer(terms, name, node, holder, mine)
        return summation("own-blocks", vector, value_bound=bound, whole=False)

    with LocalServices(terms) as services:
        total = next(iter(services.run(names, take_part).values()))
    shape = (terms.factors, terms.factors)
    parts = np.split(total, len(names))
    return {name: part.reshape(shape) for name, part in zip(names, parts, strict=True)}


def released_scores(
    terms: Terms, models: Mapping[str, CrossRetailer], rows: Mapping[str, Float], target: str
) -> Float:
    """Scores of all items of a retailer for some shoppers, (b, m), from the others' rows of them.

    Parameters
    ----------
    terms : Terms
    models : mapping of str to CrossRetailer
    rows : mapping of str to float64 array, shape (b, d)
        Of every retailer but the target.
    target : str
    """
    count = len(next(iter(rows.values())))

    def take_part(
        name: str, node: ComputeNode, holder: KeyHolder, mine: Measurements
    ) -> Float | None:
        retailer = VerticalRetailer(terms, name, node, holder, mine)
        encryptor = retailer.join()
        if name == target:
            task, unit = retailer.declare(models[name].embedding, tuple(range(count)))
            return retailer.scores(task, unit)
        retailer.share(encryptor, rows[name], models[name].regression, target)
        return None

    with LocalServices(terms) as services:
        found = services.run(terms.retailers, take_part)[target]
    if found is None:
        raise InvalidInput("there is no such retailer", got=target)
    return found
