"""Queries under one's own key: what one's own shoppers would like in the catalogues of others.

One retailer's steps, in the order in which :meth:`OwnKeyRetailer.run` takes them:

1. join, contribute to the Gram blocks and receive them, as for every coalition
   (:mod:`hecf.recipes.vertical`);
2. as an owner: for every other retailer declare how many shoppers it may ask about, and upload
   one's own item model;
3. as an asker: for every other retailer solve the ridge regression from one's own embedding to
   its, encrypt the estimated embeddings of one's own shoppers under a key that is drawn for this
   query, upload both, fetch the answer and decrypt it.

Nothing of another retailer's shoppers is inside a query, and no key holder takes part in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping

import numpy as np

from hecf.errors import InvalidInput, Mismatch
from hecf.he.keys import SecretKey
from hecf.he.modular import Float
from hecf.he.plan import LEFT
from hecf.he.product.item_model import ItemModel
from hecf.he.sampling import RandomBytes
from hecf.he.scheme import Querier, streaming_scheme
from hecf.measure import Measurements
from hecf.models import CrossRetailerRidge, LocalEmbedding, top_k
from hecf.models.cross_ridge import Blocks
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.protocol.tasks import EMBEDDING_BOUND, KEY, MODEL, SCORES, QueryTask, gram_plan
from hecf.protocol.terms import Terms
from hecf.recipes.contribution import Contributor
from hecf.recipes.vertical import Recommendations, VerticalRetailer


class OwnKeyRetailer:
    """One retailer of a coalition whose members ask under keys of their own.

    Parameters
    ----------
    terms : Terms
    name : str
        The retailer's name in the terms.
    node : ComputeNode
    key_holder : KeyHolder
        For the Gram blocks only.
    measurements : Measurements
    random : callable
        Source of cryptographically secure bytes.
    journal : mutable mapping of str to str, optional
        What was contributed before; see :class:`hecf.recipes.contribution.Contributor`.
    keys : mutable mapping of str to str, optional
        Secret keys of queries by task, each with a digest. One that outlives the process lets it
        read the answer to a query that it sent before a crash.
    """

    def __init__(
        self,
        terms: Terms,
        name: str,
        node: ComputeNode,
        key_holder: KeyHolder,
        measurements: Measurements,
        random: RandomBytes,
        *,
        journal: MutableMapping[str, str] | None = None,
        keys: MutableMapping[str, str] | None = None,
    ) -> None:
        self._terms = terms
        self._name = name
        self._node = node
        self._measurements = measurements
        self._random = random
        self._keys: MutableMapping[str, str] = {} if keys is None else keys
        self._scheme = streaming_scheme(terms.scheme)
        self._vertical = VerticalRetailer(
            terms, name, node, key_holder, measurements, journal=journal
        )
        self._contributor = Contributor(node, None, journal)

    def run(
        self, embedding: LocalEmbedding, rows: tuple[int, ...], shoppers: int
    ) -> dict[str, Recommendations]:
        """Train with the coalition, answer the others' queries through the node, and ask.

        Parameters
        ----------
        embedding : LocalEmbedding
            Fitted on the rows of the member directory, with the terms' number of factors.
        rows : tuple of int
            Positions of the members to ask about, the most important first: an owner answers for
            as many as it has agreed to.
        shoppers : int
            Members about whom each of the others may ask.

        Returns
        -------
        mapping of str to Recommendations
            Best items in the catalogue of every other retailer; scores are in a unit that the
            owner alone knows.

        Raises
        ------
        InvalidInput
            If the embedding, rows or number do not suit the terms; nothing is uploaded then.
        Mismatch
            If another party has other terms.
        PartyMissing, Unavailable
            If another party does not act or cannot be reached.
        """
        others = [name for name in self._terms.retailers if name != self._name]
        # The others would wait in vain for a retailer that finds this out after it has joined.
        offers = [self._offer(embedding, asker, shoppers) for asker in others]
        self._check(embedding, rows)
        blocks = self._vertical.blocks(self._vertical.join(), embedding.shoppers)
        for offer in offers:
            self.offer(offer, embedding)
        return {owner: self.ask(owner, embedding, rows, blocks) for owner in others}

    def offer(self, task: QueryTask, embedding: LocalEmbedding) -> None:
        """Declare what another retailer may ask, and upload the item model for it."""
        model, _ = ItemModel.scaled(embedding.items, embedding.mean)
        self._node.declare(task)
        self._contributor.contribute(task, MODEL, lambda: model.to_bytes(task.plan))

    def ask(
        self, owner: str, embedding: LocalEmbedding, rows: tuple[int, ...], blocks: Blocks
    ) -> Recommendations:
        """Ask about one's own shoppers and decrypt the answer."""
        name = QueryTask.name_of(owner, self._name)
        task = self._node.await_task(self._terms, name)
        if not isinstance(task, QueryTask) or task.name != name:
            raise Mismatch(
                "the compute node answers with another task", got=task.name, expected=name
            )
        asked = rows[: task.shoppers]
        querier = self._querier(task)
        self._contributor.contribute(task, KEY, querier.public_key)
        self._contributor.contribute(
            task,
            LEFT,
            lambda: self._query(querier, task, embedding.shoppers[list(asked)], blocks),
        )
        answer = self._node.fetch(task, SCORES)
        with self._measurements.stage("decrypt"):
            scores = querier.decrypt(self._scheme.product(task.plan, answer.data))
        items, best = top_k(scores[: len(asked)], self._terms.top_k)
        return Recommendations(asked, items.astype(np.int32), best)

    def _query(self, querier: Querier, task: QueryTask, shoppers: Float, blocks: Blocks) -> bytes:
        share = shoppers @ self._ridge(task.owner, blocks).maps[self._name, task.owner]
        query = np.zeros((self._terms.factors, task.shoppers))
        # The plan covers entries up to the bound; an outlier is clipped rather than refused.
        query[:, : len(shoppers)] = np.clip(share, -EMBEDDING_BOUND, EMBEDDING_BOUND).T
        with self._measurements.stage("encrypt"):
            return querier.encrypt(task.plan, query).to_bytes()

    def _ridge(self, owner: str, blocks: Blocks) -> CrossRetailerRidge:
        """Solve the regression of an owner's embedding on one's own alone."""
        pair = tuple(name for name in self._terms.retailers if name in (owner, self._name))
        private = self._terms.gram_privacy
        return CrossRetailerRidge.fit(
            {(pair[0], pair[1]): blocks[pair[0], pair[1]]},
            pair,
            ridge=self._terms.ridge,
            decay=self._terms.decay,
            noise=0.0 if private is None else private.deviation(gram_plan(self._terms)),
        )

    def _querier(self, task: QueryTask) -> Querier:
        """Return who asks under the key of a task, which is drawn once."""
        parameters = task.plan.parameters
        known = self._keys.get(task.identifier)
        if known is None:
            secret: SecretKey = self._scheme.generate_keys(parameters)[0]
            # Noted before anything is sent under it: an answer without its key is lost.
            self._keys[task.identifier] = _kept(task, secret.expose())
        else:
            secret = self._scheme.secret_key(parameters, _restored(task, known))
        return self._scheme.querier(secret, self._random)

    def _offer(self, embedding: LocalEmbedding, asker: str, shoppers: int) -> QueryTask:
        return QueryTask(self._terms, self._name, asker, shoppers, embedding.items.shape[1])

    def _check(self, embedding: LocalEmbedding, rows: tuple[int, ...]) -> None:
        if not rows or min(rows) < 0 or max(rows) >= self._terms.shoppers:
            raise InvalidInput(
                "the members to ask about do not fit the directory",
                got=f"{len(rows)} rows",
                expected=f"at least 1, positions below {self._terms.shoppers}",
            )
        expected = (self._terms.shoppers, self._terms.factors)
        if embedding.shoppers.shape != expected:
            raise InvalidInput(
                "the local embedding does not fit the terms",
                got=f"shape {embedding.shoppers.shape}",
                expected=f"{expected[0]} members and {expected[1]} factors",
            )


def _kept(task: QueryTask, secret: bytes) -> str:
    """Write a key with a digest that binds it to its task."""
    digest = hashlib.sha256(f"hecf query key {task.identifier}".encode() + secret)
    return f"{digest.hexdigest()} {secret.hex()}"


def _restored(task: QueryTask, kept: str) -> bytes:
    """Read a key back: under another one an answer would decrypt to nonsense, unnoticed.

    Raises
    ------
    InvalidInput
        If it was changed, or is another task's.
    """
    try:
        secret = bytes.fromhex(kept.partition(" ")[2])
    except ValueError:
        secret = b""
    if _kept(task, secret) != kept:
        raise InvalidInput("the kept key of a query was changed", got=task.name)
    return secret
