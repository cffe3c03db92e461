"""Similar rows of another retailer: what the one that asks does, and the one that is asked.

1. both join, and fetch the coalition's public key;
2. who asks declares the task and encrypts its rows; who is asked compares the task with what it
   would agree to, and encrypts its own;
3. who asks receives the best rows for each of its own.
"""

from __future__ import annotations

from collections.abc import MutableMapping

import numpy as np
from numpy.typing import NDArray

from hecf.errors import InvalidInput, Mismatch
from hecf.he.plan import LEFT, RIGHT
from hecf.he.scheme import Encryptor, scheme_by_name
from hecf.he.similarity.scores import TopSimilar
from hecf.measure import Measurements
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.protocol.tasks import SimilarityTask, key_parameters
from hecf.protocol.terms import Terms
from hecf.recipes.contribution import Contributor

Float = NDArray[np.float64]


class SimilarityRetailer:
    """One retailer of a coalition that compares rows.

    Parameters
    ----------
    terms : Terms
    name : str
        The retailer's name in the terms.
    node : ComputeNode
    key_holder : KeyHolder
    measurements : Measurements
    journal : mutable mapping of str to str, optional
        What was contributed before; see :class:`hecf.recipes.contribution.Contributor`.
    """

    def __init__(
        self,
        terms: Terms,
        name: str,
        node: ComputeNode,
        key_holder: KeyHolder,
        measurements: Measurements,
        journal: MutableMapping[str, str] | None = None,
    ) -> None:
        self._terms = terms
        self._name = name
        self._node = node
        self._key_holder = key_holder
        self._measurements = measurements
        self._contributor = Contributor(node, key_holder, journal)

    def ask(self, label: str, source: str, rows: Float, candidates: int, count: int) -> TopSimilar:
        """Find the most similar rows of another retailer for every row of one's own.

        Parameters
        ----------
        label : str
            What is compared; used once.
        source : str
            The other retailer.
        rows : float64 array, shape (a, d)
            Norm at most 1.
        candidates : int
            How many rows the other retailer has.
        count : int
            How many are asked for.

        Raises
        ------
        InvalidInput, ReleaseRefused
            If rows or numbers do not suit the terms; nothing is uploaded then.
        PartyMissing, Unavailable
            If another party does not act or cannot be reached.
        """
        _check_matrix(rows)
        left, inner = rows.shape
        task = SimilarityTask(
            self._terms, self._name, label, source, left, candidates, inner, count
        )
        task.plan.checked(LEFT, task.operand(rows))
        encryptor = self._join()
        self._node.declare(task)
        self._contribute(encryptor, task, LEFT, rows)
        return self._key_holder.release_similar(task)

    def answer(self, declarer: str, label: str, rows: Float, most: int) -> None:
        """Contribute one's rows to the task of another retailer.

        Parameters
        ----------
        declarer, label : str
            Who asks, and what is compared.
        rows : float64 array, shape (b, d)
            Norm at most 1.
        most : int
            Most of them that may be released for each row of the other.

        Raises
        ------
        InvalidInput
            If the rows are not finite, or a norm is above 1; nothing is uploaded then.
        Mismatch
            If the declared task asks for other rows, or for more.
        PartyMissing, Unavailable
            If another party does not act or cannot be reached.

        Security
        --------
        The one that asks chooses its rows freely; see :class:`hecf.protocol.tasks.SimilarityTask`.
        """
        _check_matrix(rows)
        encryptor = self._join()
        name = SimilarityTask.name_of(declarer, label)
        task = self._node.await_task(self._terms, name)
        expected = (name, self._name, rows.shape)
        if not isinstance(task, SimilarityTask) or task.count > most:
            raise Mismatch("another similarity was declared than agreed", got=task.name)
        if (task.name, task.source, (task.right, task.inner)) != expected:
            raise Mismatch(
                "a similarity is declared for other rows",
                got=(task.name, task.source, (task.right, task.inner)),
                expected=expected,
            )
        self._contribute(encryptor, task, RIGHT, rows)

    def _join(self) -> Encryptor:
        self._node.join(self._terms)
        self._key_holder.join(self._terms)
        public_key = self._contributor.public_key(self._terms)
        scheme = scheme_by_name(self._terms.scheme)
        return scheme.encryptor(key_parameters(self._terms), public_key)

    def _contribute(
        self, encryptor: Encryptor, task: SimilarityTask, side: str, rows: Float
    ) -> None:
        def make() -> bytes:
            with self._measurements.stage("encode"):
                encoded = encryptor.encode(task.plan, side, task.operand(rows))
            with self._measurements.stage("encrypt"):
                return encryptor.encrypt(encoded).to_bytes()

        self._contributor.contribute(task, side, make)


def _check_matrix(rows: Float) -> None:
    if rows.ndim != 2:
        raise InvalidInput("rows have another shape", got=rows.shape, expected="(rows, columns)")
