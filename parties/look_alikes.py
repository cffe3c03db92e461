"""What ``hecf lookalike`` does: a question about another retailer's shoppers, and its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hecf.coalition import Coalition
from hecf.coalition.connected import ConnectedCoalition
from hecf.data import ColumnNames
from hecf.errors import InvalidInput
from hecf.kits.kit import Kit
from hecf.recommenders import load_recommender
from hecf.recommenders.factors import FactorRecommender
from parties.recommending import write_table

Progress = Callable[[str], None]


def read_users(path: Path) -> list[str]:
    """Read ids, one a line.

    Raises
    ------
    InvalidInput
        If the file cannot be read, or has none.
    """
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(f"the file {path.name!r} cannot be read") from None
    users = [line.strip() for line in lines if line.strip()]
    if not users:
        raise InvalidInput(f"the file {path.name!r} names no shopper", expected="one id a line")
    return users


def ask(
    kit: Kit,
    model: Path,
    users: Sequence[str],
    target: str,
    candidates: int,
    count: int,
    session: str,
    out: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Ask for the look-alikes of some shoppers, and write ``user_id,row,score,rank``.

    Raises
    ------
    InvalidInput
        If a shopper is not in the file that the kit names, or the model was not fitted on it.
    HecfError
        If another party is not as agreed; nothing is written then.
    """
    coalition, fitted = _opened(kit, model, progress)
    places = {user: row for row, user in enumerate(coalition.user_items[coalition.name].user_ids)}
    strange = sum(user not in places for user in users)
    if strange:
        raise InvalidInput("shoppers are not in the interactions of the kit", got=strange)
    progress(f"asking {target}")
    rows = np.array([places[user] for user in users])
    found, scores = coalition.similar_users(
        fitted, rows, target, candidates, count, session=session
    )
    write_table(
        out,
        {
            "user_id": np.repeat(np.array(users, dtype=object), count),
            "row": found.ravel(),
            "score": scores.ravel(),
            "rank": np.tile(np.arange(1, count + 1), len(users)),
        },
    )
    return {**_told(coalition), "asked": len(users), "file": str(out)}


def answer(
    kit: Kit, model: Path, source: str, count: int, session: str, progress: Progress
) -> dict[str, Any]:
    """Let another retailer find one's shoppers; errors as for :func:`ask`."""
    coalition, fitted = _opened(kit, model, progress)
    progress(f"answering {source}")
    coalition.answer_similar_users(fitted, source, count, session=session)
    return {**_told(coalition), "candidates": len(fitted.user_directions)}


def _opened(
    kit: Kit, model: Path, progress: Progress
) -> tuple[ConnectedCoalition, FactorRecommender]:
    fitted = load_recommender(model)
    if not isinstance(fitted, FactorRecommender):
        raise InvalidInput("the model compares no shoppers", expected="als or pure-svd")
    progress("reading the interactions")
    coalition = Coalition.connect(
        kit, columns=ColumnNames(timestamp=None), catalogue=fitted.item_ids
    )
    shoppers = len(coalition.user_items[coalition.name].user_ids)
    if shoppers != len(fitted.user_directions):
        raise InvalidInput(
            "the model was fitted on other shoppers than those of the kit",
            got=len(fitted.user_directions),
            expected=shoppers,
        )
    return coalition, fitted


def _told(coalition: ConnectedCoalition) -> dict[str, Any]:
    return {
        "scheme": coalition.terms.scheme,
        "seconds": coalition.measurements.seconds,
        "bytes": coalition.measurements.bytes,
    }
