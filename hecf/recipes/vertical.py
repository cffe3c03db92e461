"""The vertical recommender: shared shoppers, different catalogues.

One retailer's steps, in the order in which :meth:`VerticalRetailer.run` takes them:

1. join, and fetch the coalition's public key;
2. encrypt the local embedding ``P_r`` and upload it; receive every released block ``P_r' P_s``;
3. solve the joint ridge regression at home;
4. declare which members one wants scored, and upload one's own item model;
5. for every other retailer's task encrypt ``e_r W_rt`` and upload it;
6. receive the best items of one's own members.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecf.errors import InvalidInput, Mismatch
from hecf.he.blinding import BlindedResult
from hecf.he.parameters import ParameterSet
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.item_model import ItemModel
from hecf.he.scheme import Encryptor, scheme_by_name
from hecf.measure import Measurements
from hecf.models import CrossRetailerRidge, LocalEmbedding, top_k
from hecf.models.cross_ridge import Blocks
from hecf.privacy.sensitivity import clipped_rows
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.protocol.tasks import EMBEDDING_BOUND, MODEL, GramTask, ScoreTask, gram_plan
from hecf.protocol.terms import Terms
from hecf.recipes.contribution import Contributor

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Recommendations:
    """Released best items, best first, in the units of the retailer's own model.

    Parameters
    ----------
    rows : tuple of int
        Positions of the members in the directory.
    items : int32 array, shape (rows, k)
        Positions in the retailer's catalogue.
    scores : float64 array, shape (rows, k)
    """

    rows: tuple[int, ...]
    items: NDArray[np.int32]
    scores: Float


class VerticalRetailer:
    """One retailer of a coalition.

    Parameters
    ----------
    terms : Terms
    name : str
        The retailer's name in the terms.
    node : ComputeNode
    key_holder : KeyHolder
    measurements : Measurements
    encryptor : callable, optional
        Makes the encryptor for parameters and the bytes of a public key; by default the scheme.
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
        encryptor: Callable[[ParameterSet, bytes], Encryptor] | None = None,
        journal: MutableMapping[str, str] | None = None,
    ) -> None:
        self._terms = terms
        self._name = name
        self._node = node
        self._key_holder = key_holder
        self._measurements = measurements
        self._encryptor = encryptor or scheme_by_name(terms.scheme).encryptor
        self._contributor = Contributor(node, key_holder, journal)

    def run(self, embedding: LocalEmbedding, rows: tuple[int, ...]) -> Recommendations:
        """Train with the coalition and have some members scored.

        Parameters
        ----------
        embedding : LocalEmbedding
            Fitted on the rows of the member directory, with the terms' number of factors.
        rows : tuple of int
            Ascending positions of the members to be scored on this retailer's items.

        Raises
        ------
        InvalidInput
            If the embedding or the rows do not suit the terms; nothing is uploaded then.
        Mismatch
            If another party has other terms.
        PartyMissing, Unavailable
            If another party does not act or cannot be reached.
        """
        # The others would wait in vain for a retailer that finds this out after it has joined.
        self._check(embedding, rows)
        encryptor = self.join()
        ridge = self.train(encryptor, embedding)
        task, unit = self.declare(embedding, rows)
        for target in self._terms.retailers:
            if target != self._name:
                self.assist(encryptor, embedding, ridge, target)
        return self.collect(task, unit)

    def join(self) -> Encryptor:
        """Compare terms with node and key holder, and fetch the public key."""
        self._node.join(self._terms)
        self._key_holder.join(self._terms)
        public_key = self._contributor.public_key(self._terms)
        return self._encryptor(gram_plan(self._terms).parameters, public_key)

    def train(self, encryptor: Encryptor, embedding: LocalEmbedding) -> CrossRetailerRidge:
        """Contribute the embedding and solve the joint regression from the released blocks."""
        private = self._terms.gram_privacy
        return CrossRetailerRidge.fit(
            self.blocks(encryptor, embedding.shoppers),
            self._terms.retailers,
            ridge=self._terms.ridge,
            decay=self._terms.decay,
            noise=0.0 if private is None else private.deviation(gram_plan(self._terms)),
        )

    def blocks(self, encryptor: Encryptor, rows: Float, right: Float | None = None) -> Blocks:
        """Contribute rows of the directory, (shoppers, d), and receive every released block.

        Parameters
        ----------
        encryptor : Encryptor
        rows : float64 array, shape (shoppers, d)
        right : float64 array, shape (shoppers, d), optional
            The right operands, where they are others than the left ones.
        """
        task = GramTask(self._terms)
        sides = {LEFT: rows, RIGHT: rows if right is None else right}
        for name, side in task.parts:
            if name == self._name:
                self._contribute(encryptor, task, side, self._clipped(sides[side]))
        return self._key_holder.release_blocks(task).blocks

    def _clipped(self, rows: Float) -> Float:
        """Rows as the agreed privacy counts on them."""
        private = self._terms.gram_privacy
        if private is None:
            return rows
        return clipped_rows(rows, private.row_bound(self._terms.factors, self._terms.shoppers))

    def declare(self, embedding: LocalEmbedding, rows: tuple[int, ...]) -> tuple[ScoreTask, float]:
        """Declare one's own score task and upload the item model.

        Returns
        -------
        task : ScoreTask
        unit : float
            Factor from released scores to the scores of the model; it stays at home.
        """
        task = self._task(embedding, rows)
        model, unit = ItemModel.scaled(embedding.items, embedding.mean)
        self._node.declare(task)
        self._contributor.contribute(task, MODEL, lambda: model.to_bytes(task.plan))
        return task, unit

    def assist(
        self,
        encryptor: Encryptor,
        embedding: LocalEmbedding,
        ridge: CrossRetailerRidge,
        target: str,
    ) -> None:
        """Contribute this retailer's share of the embeddings of another's members."""
        self.share(encryptor, embedding.shoppers, ridge, target)

    def share(
        self, encryptor: Encryptor, directory_rows: Float, ridge: CrossRetailerRidge, target: str
    ) -> None:
        """Contribute as :meth:`assist`, from this retailer's rows of the directory, (n, d)."""
        name = ScoreTask.name_of(target)
        task = self._node.await_task(self._terms, name)
        if not isinstance(task, ScoreTask) or task.name != name:
            raise Mismatch(
                "the compute node answers with another task", got=task.name, expected=name
            )
        share = directory_rows[list(task.rows)] @ ridge.maps[self._name, target]
        # The plan covers entries up to the bound; an outlier is clipped rather than refused.
        bounded = np.clip(share, -EMBEDDING_BOUND, EMBEDDING_BOUND)
        self._contribute(encryptor, task, LEFT, np.ascontiguousarray(bounded.T))

    def collect(self, task: ScoreTask, unit: float) -> Recommendations:
        """Receive the best items of one's own members, chosen here if the scores are blinded."""
        released = self._key_holder.release_scores(task)
        if isinstance(released, BlindedResult):
            items, best = top_k(self._unblinded(task, released), self._terms.top_k)
            return Recommendations(task.rows, items.astype(np.int32), best * unit)
        return Recommendations(task.rows, released.items, released.scores * unit)

    def scores(self, task: ScoreTask, unit: float) -> Float:
        """Receive all scores of one's own members, (rows, items); blinded ones only.

        Raises
        ------
        Mismatch
            If the key holder reads the scores: it hands out the best ones only.
        """
        released = self._key_holder.release_scores(task)
        if not isinstance(released, BlindedResult):
            raise Mismatch("not all scores are released", got=self._terms.topology)
        return self._unblinded(task, released) * unit

    def _unblinded(self, task: ScoreTask, released: BlindedResult) -> Float:
        return released.unblind(self._node.fetch_mask(task))

    def _task(self, embedding: LocalEmbedding, rows: tuple[int, ...]) -> ScoreTask:
        return ScoreTask(self._terms, self._name, rows, embedding.items.shape[1])

    def _check(self, embedding: LocalEmbedding, rows: tuple[int, ...]) -> None:
        self._task(embedding, rows)
        expected = (self._terms.shoppers, self._terms.factors)
        if embedding.shoppers.shape != expected:
            raise InvalidInput(
                "the local embedding does not fit the terms",
                got=f"shape {embedding.shoppers.shape}",
                expected=f"{expected[0]} members and {expected[1]} factors",
            )

    def _contribute(
        self, encryptor: Encryptor, task: GramTask | ScoreTask, side: str, matrix: Float
    ) -> None:
        def make() -> bytes:
            with self._measurements.stage("encode"):
                encoded = encryptor.encode(task.plan, side, matrix)
            with self._measurements.stage("encrypt"):
                return encryptor.encrypt(encoded).to_bytes()

        self._contributor.contribute(task, side, make)
