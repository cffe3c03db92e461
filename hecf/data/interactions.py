"""Interactions of shoppers with items: as a checked table and as a sparse matrix.

The table is what a retailer brings. The matrix has one row for every member of the coalition's
directory, so that row i is the same shopper at every retailer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array, csr_matrix

from hecf.data.directory import MemberDirectory, PseudonymKey
from hecf.errors import InvalidInput

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)
class InteractionTable:
    """Rows of who interacted with what, how often and perhaps when.

    Parameters
    ----------
    user_ids : object array of str, shape (n,)
        Member ids as the retailer knows them.
    item_ids : object array of str, shape (n,)
        Item ids.
    counts : float64 array, shape (n,)
        Purchases, plays or rating of each row: finite and not negative.
    timestamps : int64 array, shape (n,), optional
        When, in any unit, as long as it is one unit.

    Raises
    ------
    InvalidInput
        If lengths differ, there is no row, an id is not text or is empty, or a count is NaN,
        infinite or negative. Rows in messages are counted from 1.

    Notes
    -----
    The arrays are kept read-only, and text ids are not changed in any way.
    """

    user_ids: NDArray[np.object_]
    item_ids: NDArray[np.object_]
    counts: NDArray[np.float64]
    timestamps: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name in ("user_ids", "item_ids"):
            ids = np.asarray(getattr(self, name), dtype=object)
            object.__setattr__(self, name, _read_only(ids))
        object.__setattr__(self, "counts", _read_only(_as_counts(self.counts)))
        columns = {"user_ids": self.user_ids, "item_ids": self.item_ids, "counts": self.counts}
        if self.timestamps is not None:
            stamps = np.asarray(self.timestamps)
            if stamps.dtype.kind not in "iu":
                raise InvalidInput(
                    "timestamps are not whole numbers", got=stamps.dtype, expected="int64"
                )
            object.__setattr__(self, "timestamps", _read_only(stamps.astype(np.int64)))
            columns["timestamps"] = stamps
        shapes = {name: column.shape for name, column in columns.items()}
        if any(len(shape) != 1 for shape in shapes.values()) or len(set(shapes.values())) != 1:
            raise InvalidInput(
                "the columns of an interaction table differ in length",
                got=", ".join(f"{name} {shape}" for name, shape in shapes.items()),
                expected="one dimension and one length",
            )
        if len(self) == 0:
            raise InvalidInput("an interaction table has no rows", got=0, expected="at least 1")
        check_ids("user", self.user_ids)
        check_ids("item", self.item_ids)
        refuse_rows("count is NaN or infinite", ~np.isfinite(self.counts), "finite numbers")
        refuse_rows("count is negative", self.counts < 0, "numbers of at least 0")

    def __len__(self) -> int:
        return int(self.counts.shape[0])

    def __repr__(self) -> str:
        """Only the size: ids and rows must not reach a log through a repr."""
        return f"InteractionTable({len(self)} rows)"

    def where(self, chosen: NDArray[np.bool_]) -> InteractionTable:
        """Keep the rows that are marked.

        Parameters
        ----------
        chosen : bool array, shape (n,)

        Raises
        ------
        InvalidInput
            If none is marked, or there is not one mark for each row.
        """
        marks = np.asarray(chosen)
        if marks.shape != (len(self),) or marks.dtype.kind != "b":
            raise InvalidInput(
                "marks do not fit the rows of the interaction table",
                got=f"{marks.dtype} of shape {marks.shape}",
                expected=f"bool of shape {(len(self),)}",
            )
        return InteractionTable(
            self.user_ids[marks],
            self.item_ids[marks],
            self.counts[marks],
            None if self.timestamps is None else self.timestamps[marks],
        )

    def aggregated(self) -> InteractionTable:
        """One row for each user and item, with the counts summed.

        Returns
        -------
        InteractionTable
            Sorted by user, then item, as text. It has no timestamps, because a sum has none.
        """
        users, user_codes = encode_ids(self.user_ids)
        items, item_codes = encode_ids(self.item_ids)
        pairs, inverse = np.unique(user_codes * items.size + item_codes, return_inverse=True)
        sums = np.bincount(inverse, weights=self.counts, minlength=pairs.size)
        counts = np.asarray(sums, dtype=np.float64)
        return InteractionTable(users[pairs // items.size], items[pairs % items.size], counts)


@dataclass(frozen=True, eq=False)
class InteractionMatrix:
    """Interactions by directory row and catalogue column.

    Parameters
    ----------
    counts : sparse CSR array or matrix of float64, shape (directory length, items)
        Sums of counts; a member who never came in is a row without entries.
    item_ids : tuple of str, length items
        The item of each column.

    Raises
    ------
    InvalidInput
        If the catalogue is empty, doubled or of another length than the columns, or a count is
        not finite or negative.
    """

    counts: csr_array | csr_matrix
    item_ids: tuple[str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.counts, csr_array | csr_matrix):
            raise InvalidInput(
                "counts are not a sparse row matrix",
                got=type(self.counts).__name__,
                expected="csr_array or csr_matrix",
            )
        object.__setattr__(self, "item_ids", _catalogue(self.item_ids))
        object.__setattr__(self, "counts", self.counts.astype(np.float64, copy=False))
        if self.counts.ndim != 2 or self.counts.shape[1] != len(self.item_ids):
            raise InvalidInput(
                "the matrix does not fit the catalogue",
                got=f"shape {self.counts.shape}",
                expected=f"{len(self.item_ids)} columns",
            )
        wrong = int(np.count_nonzero(~np.isfinite(self.counts.data) | (self.counts.data < 0)))
        if wrong:
            raise InvalidInput(
                "counts of the matrix are out of range",
                got=f"{wrong} values NaN, infinite or negative",
                expected="finite numbers of at least 0",
            )

    def __repr__(self) -> str:
        rows, columns = self.counts.shape
        return f"InteractionMatrix({rows} shoppers x {columns} items, {self.counts.nnz} entries)"

    @classmethod
    def from_table(
        cls,
        table: InteractionTable,
        directory: MemberDirectory,
        key: PseudonymKey,
        item_ids: Iterable[str] | None = None,
    ) -> InteractionMatrix:
        """Arrange a table by the rows of the member directory.

        Parameters
        ----------
        table : InteractionTable
            Doubled rows are summed.
        directory : MemberDirectory
            Gives the row of each member's pseudonym.
        key : PseudonymKey
            The coalition's key, with which the directory was made.
        item_ids : iterable of str, optional
            The catalogue, in the order of the columns; other items are dropped. By default all
            items of the table, sorted as text.

        Raises
        ------
        InvalidInput
            If users of the table are not in the directory (the message says how many), or the
            catalogue is empty or doubled.
        """
        users, user_codes = encode_ids(table.user_ids)
        positions = [directory.position(key.pseudonym(user)) for user in users]
        unknown = sum(position is None for position in positions)
        if unknown:
            raise InvalidInput(
                "users of the table are not in the member directory",
                got=f"{unknown} unknown of {len(positions)} users",
                expected="only members, and the coalition's own pseudonym key",
            )
        rows = np.array(positions, dtype=np.int64)[user_codes]
        items, item_codes = encode_ids(table.item_ids)
        catalogue = _catalogue(items if item_ids is None else item_ids)
        column_of = {item: column for column, item in enumerate(catalogue)}
        columns = np.array([column_of.get(item, -1) for item in items], dtype=np.int64)[item_codes]
        # A count of 0 says nothing happened, so it must not make its shopper look present.
        kept = (columns >= 0) & (table.counts > 0)
        shape = (len(directory), len(catalogue))
        matrix = csr_array(
            coo_array((table.counts[kept], (rows[kept], columns[kept])), shape=shape)
        )
        return cls(matrix, catalogue)


def encode_ids(ids: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Distinct ids sorted as text, and the position among them of each given id.

    Parameters
    ----------
    ids : object array of str, shape (n,)

    Returns
    -------
    distinct : object array of str, shape (u,)
    codes : int64 array, shape (n,)
    """
    # A dictionary needs one pass; sorting n Python strings would take ten times as long.
    distinct = sorted(set(ids.tolist()))
    code_of = {identifier: code for code, identifier in enumerate(distinct)}
    codes = np.fromiter((code_of[identifier] for identifier in ids), np.int64, ids.size)
    names = np.empty(len(distinct), dtype=object)
    names[:] = distinct
    return names, codes


def refuse_rows(problem: str, wrong: NDArray[np.bool_], expected: str) -> None:
    """Raise when any row is marked, naming how many and the first, counted from 1.

    Raises
    ------
    InvalidInput
        With the problem and the row number, never with the content of the row.
    """
    number = int(np.count_nonzero(wrong))
    if number:
        raise InvalidInput(
            problem,
            got=f"{number} of {wrong.size} rows, the first is row {int(np.argmax(wrong)) + 1}",
            expected=expected,
        )


def check_ids(name: str, ids: NDArray[np.object_]) -> None:
    """Refuse ids that are not text or are blank.

    Raises
    ------
    InvalidInput
        Naming how many rows and the first one.
    """
    usable = np.fromiter(
        (isinstance(value, str) and not (value == "" or value.isspace()) for value in ids),
        np.bool_,
        ids.size,
    )
    refuse_rows(f"{name} id is missing, empty or not text", ~usable, "text in every row")


def _as_counts(values: ArrayLike) -> NDArray[np.float64]:
    counts = np.asarray(values)
    if counts.dtype.kind not in "biuf":
        raise InvalidInput("counts are not numbers", got=counts.dtype, expected="float64")
    return counts.astype(np.float64)


def _read_only(values: NDArray[_Scalar]) -> NDArray[_Scalar]:
    view = values.view()
    view.flags.writeable = False
    return view


def _catalogue(item_ids: Iterable[str]) -> tuple[str, ...]:
    items: Sequence[str] = tuple(item_ids)
    if not items:
        raise InvalidInput("the catalogue has no items", got=0, expected="at least 1")
    if not all(isinstance(item, str) and item for item in items):
        raise InvalidInput("the catalogue has items that are empty or not text", expected="text")
    if len(set(items)) != len(items):
        raise InvalidInput(
            "the catalogue names items more than once",
            got=f"{len(items) - len(set(items))} doubled of {len(items)}",
            expected="different items",
        )
    return tuple(items)
