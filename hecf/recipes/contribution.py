"""A retailer's contributions: made once, and committed to.

A retailer tells the key holder the digest of what it has uploaded. The node names the digests of
what it has used, and the key holder decrypts nothing that differs (control C19).
"""

from __future__ import annotations

import json
from collections.abc import Callable, MutableMapping

from hecf.errors import InvalidInput
from hecf.privacy.overlap import check_sums
from hecf.protocol.contribution import bound, digest_of, key_fingerprint
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.protocol.tasks import SumTask, Task
from hecf.protocol.terms import Terms

_SUM = "sum "
"""Where a journal has the weights of a sum, before its task."""


class Contributor:
    """Uploads the parts of one retailer.

    Parameters
    ----------
    node : ComputeNode
    key_holder : KeyHolder or None
        None where no key holder takes part, so there is nobody to commit to.
    journal : mutable mapping of str to str, optional
        Digests of what was sent and of its key, by task and part, and weights of sums. A journal
        that outlives the process lets the retailer go on after a crash: every encryption is
        another one, so a part that the node has must not be made again.
    """

    def __init__(
        self,
        node: ComputeNode,
        key_holder: KeyHolder | None,
        journal: MutableMapping[str, str] | None = None,
    ) -> None:
        self._node = node
        self._key_holder = key_holder
        self._journal: MutableMapping[str, str] = {} if journal is None else journal
        self._key = ""

    def public_key(self, terms: Terms) -> bytes:
        """Fetch the public key; contributions are bound to it from now on.

        Raises
        ------
        InvalidInput
            If no key holder takes part.
        """
        if self._key_holder is None:
            raise InvalidInput("without a key holder there is no public key")
        public_key = self._key_holder.public_key(terms)
        self._key = key_fingerprint(public_key)
        return public_key

    def contribute(self, task: Task, what: str, make: Callable[[], bytes]) -> None:
        """Contribute a part of a task, unless that was done before.

        Parameters
        ----------
        task : Task
        what : str
            left, right or model.
        make : callable
            Returns the bytes of the operand, encrypted under :meth:`public_key`; called only if
            they are needed.

        Raises
        ------
        ReleaseRefused
            If a sum overlaps with another to which this retailer has contributed; nothing is
            uploaded then.
        Mismatch
            If the public key was replaced.
        Conflict
            If the node has a contribution of this retailer that is not in the journal.
        """
        if isinstance(task, SumTask) and not task.terms.private:
            self._check_overlap(task)
        place = f"{task.identifier} {what}"
        sent, _, under = self._journal.get(place, "").partition(" ")
        if not sent or self._node.contributed(task, what) != sent:
            data = bound(task, what, make(), self._key)
            # Noted before it is sent: an answer that is lost must not make the part unknown.
            sent, under = digest_of(data), self._key
            self._journal[place] = f"{sent} {under}"
            self._node.contribute(task, what, data)
        # Of a task that the node has under a replaced key everything was handed out before.
        if self._key_holder is not None and under == self._key:
            self._key_holder.commit(task, what, sent, self._key)

    def _check_overlap(self, task: SumTask) -> None:
        """Refuse what the key holder should refuse, without asking it (control C20)."""
        mine = f"{_SUM}{task.identifier}"
        others = [
            json.loads(text)
            for place, text in self._journal.items()
            if place.startswith(_SUM) and place != mine
        ]
        weights = dict(zip(task.contributors, task.weights, strict=True))
        check_sums(others, weights, task.terms.minimum_contributors)
        self._journal[mine] = json.dumps(weights)
