"""A retailer's own interactions, aligned with the member directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from hecf.data import complete_journey
from hecf.data.directory import MemberDirectory, PseudonymKey
from hecf.data.interactions import InteractionMatrix, InteractionTable
from hecf.data.readers import read_interactions
from hecf.data.splits import held_out
from hecf.errors import ConfigurationError, InvalidInput, Mismatch
from hecf.kits.configuration import DataSection, EvaluationSection
from hecf.kits.files import read_limited, read_private
from hecf.kits.kit import Kit
from hecf.protocol.terms import OWN_KEY, Terms

_LARGEST_DIRECTORY = 1 << 30


@dataclass(frozen=True, eq=False)
class LocalData:
    """What one retailer trains on, whom it wants scored, and what they really bought.

    Parameters
    ----------
    training : csr array, shape (members, items)
        Counts; the rows of hidden members are empty.
    item_ids : tuple of str
    item_names : mapping of str to str
    rows : tuple of int
        Directory positions of the members to be scored: ascending, or under the topology
        ``own-key`` the busiest first.
    members : tuple of str
        How this retailer knows them: its own identifier, or else the pseudonym.
    relevant : csr array, shape (rows, items), or None
        What hidden members bought, where that is known.
    relevant_total : int64 array, shape (rows,), or None
        How many different items, those outside the catalogue included.
    interactions : int
        Sum of all counts before anybody was hidden.
    """

    training: csr_array
    item_ids: tuple[str, ...]
    item_names: Mapping[str, str]
    rows: tuple[int, ...]
    members: tuple[str, ...]
    relevant: csr_array | None
    relevant_total: NDArray[np.int64] | None
    interactions: int


def load(kit: Kit) -> LocalData:
    """Load the data that a retailer's kit names.

    Raises
    ------
    InvalidInput
        If the data cannot be used.
    Mismatch
        If the directory is not the one of the terms.
    """
    data = kit.configuration.data
    files = kit.configuration.files
    if data is None or files.pseudonym_key is None or files.directory is None:
        raise ConfigurationError("the kit names no member directory", got=kit.party.role)
    key = PseudonymKey.from_bytes(read_private(files.pseudonym_key))
    text = read_limited(files.directory, _LARGEST_DIRECTORY).decode("ascii", "replace")
    directory = MemberDirectory.from_text(text)
    _check_directory(directory, kit.terms)
    training, year, names = _tables(kit.party.name, data, key, directory)
    if kit.terms.topology == OWN_KEY:
        return _asked(kit, training, names, key, directory)
    hidden = _hidden(kit, data, year)
    return _aligned(training, year, names, hidden, key, directory)


def _tables(
    name: str, data: DataSection, key: PseudonymKey, directory: MemberDirectory
) -> tuple[InteractionTable, InteractionTable, Mapping[str, str]]:
    if data.interactions is not None:
        table = read_interactions(data.interactions).aggregated()
        return table, table, {item: item for item in table.item_ids.tolist()}
    loaded = complete_journey.load_retailer(name, data.items)
    # A demonstration on part of the households uses a directory of that part.
    return (
        _known_only(loaded.training, key, directory),
        _known_only(loaded.year, key, directory),
        loaded.item_names,
    )


def _hidden(kit: Kit, data: DataSection, year: InteractionTable) -> set[str] | None:
    """Return members whose history is hidden, or None if nobody's is."""
    if data.held_out_members is not None:
        text = read_limited(data.held_out_members, _LARGEST_DIRECTORY).decode("utf-8", "replace")
        return {line.strip() for line in text.splitlines() if line.strip()}
    evaluation: EvaluationSection | None = kit.configuration.evaluation
    if evaluation is None:
        return None
    return {
        member
        for member in set(year.user_ids.tolist())
        if held_out(
            member,
            kit.party.name,
            kit.terms.retailers,
            evaluation.held_out_fraction,
            evaluation.seed,
        )
    }


def _asked(
    kit: Kit,
    training: InteractionTable,
    names: Mapping[str, str],
    key: PseudonymKey,
    directory: MemberDirectory,
) -> LocalData:
    """Align the purchases of members who are asked about elsewhere, the busiest first."""
    if kit.configuration.evaluation is not None:
        raise ConfigurationError(
            "a retailer cannot judge recommendations from the catalogues of others",
            got="a table [evaluation]",
            expected=f"none with topology {OWN_KEY}",
        )
    matrix = InteractionMatrix.from_table(training, directory, key)
    counts = csr_array(matrix.counts)
    own = {directory.position(key.pseudonym(m)): m for m in set(training.user_ids.tolist())}
    bought = counts.sum(axis=1)
    rows = np.argsort(-bought, kind="stable")[: np.count_nonzero(bought)].tolist()
    members = tuple(own[row] for row in rows)
    return LocalData(
        counts, matrix.item_ids, names, tuple(rows), members, None, None, int(counts.sum())
    )


def _aligned(
    training: InteractionTable,
    year: InteractionTable,
    names: Mapping[str, str],
    hidden: set[str] | None,
    key: PseudonymKey,
    directory: MemberDirectory,
) -> LocalData:
    matrix = InteractionMatrix.from_table(training, directory, key)
    counts = csr_array(matrix.counts)
    interactions = int(counts.sum())
    if hidden is None:
        absent = np.flatnonzero(np.diff(counts.indptr) == 0)
        # A retailer that has seen every member asks about all of them.
        rows = absent if absent.size else np.arange(len(directory))
        own = {directory.position(key.pseudonym(m)): m for m in set(training.user_ids.tolist())}
        members = tuple(own.get(int(row), directory.pseudonyms[row].hex()) for row in rows)
        return LocalData(
            counts, matrix.item_ids, names, tuple(rows.tolist()), members, None, None, interactions
        )
    positions = {directory.position(key.pseudonym(member)): member for member in sorted(hidden)}
    if None in positions:
        raise InvalidInput("a member to hide is not in the member directory")
    by_row = {row: member for row, member in positions.items() if row is not None}
    if not by_row:
        raise InvalidInput("no member is held out at this retailer", got=0, expected="at least 1")
    rows = np.array(sorted(by_row))
    keep = np.ones(len(directory))
    keep[rows] = 0.0
    visible = csr_array(diags_array(keep) @ counts)
    visible.eliminate_zeros()
    bought = InteractionMatrix.from_table(year, directory, key)
    known = InteractionMatrix.from_table(year, directory, key, matrix.item_ids)
    return LocalData(
        training=visible,
        item_ids=matrix.item_ids,
        item_names=names,
        rows=tuple(rows.tolist()),
        members=tuple(by_row[int(row)] for row in rows),
        relevant=csr_array(csr_array(known.counts)[rows]),
        relevant_total=np.diff(csr_array(bought.counts).indptr)[rows].astype(np.int64),
        interactions=interactions,
    )


def _known_only(
    table: InteractionTable, key: PseudonymKey, directory: MemberDirectory
) -> InteractionTable:
    members = set(table.user_ids.tolist())
    known = {m for m in members if directory.position(key.pseudonym(m)) is not None}
    if len(known) == len(members):
        return table
    keep = np.array([member in known for member in table.user_ids.tolist()])
    return table.where(keep)


def _check_directory(directory: MemberDirectory, terms: Terms) -> None:
    if len(directory) != terms.shoppers:
        raise Mismatch(
            "the member directory has another length than the terms say",
            got=f"{len(directory)} members",
            expected=terms.shoppers,
        )
    if directory.fingerprint != terms.directory:
        raise Mismatch(
            "the member directory has another fingerprint than the terms say",
            got=directory.fingerprint[:16],
            expected=terms.directory[:16],
        )
