"""A retailer's contributions: made once, and committed to.

A retailer tells the key holder the digest of what it has uploaded. The node names the digests of
what it has used, and the key holder decrypts nothing that differs (control C19).
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping

from hecf.protocol.contribution import bound, digest_of
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.protocol.tasks import Task


class Contributor:
    """Uploads the parts of one retailer.

    Parameters
    ----------
    node : ComputeNode
    key_holder : KeyHolder or None
        None where no key holder takes part, so there is nobody to commit to.
    journal : mutable mapping of str to str, optional
        Digests of what was sent, by task and part. A journal that outlives the process lets the
        retailer go on after a crash: every encryption is another one, so a part that the node has
        must not be made again.
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

    def contribute(self, task: Task, what: str, make: Callable[[], bytes]) -> None:
        """Contribute a part of a task, unless that was done before.

        Parameters
        ----------
        task : Task
        what : str
            left, right or model.
        make : callable
            Returns the bytes of the operand; called only if they are needed.

        Raises
        ------
        Conflict
            If the node has a contribution of this retailer that is not in the journal.
        """
        place = f"{task.identifier} {what}"
        sent = self._journal.get(place)
        if sent is None or self._node.contributed(task, what) != sent:
            data = bound(task, what, make())
            # Noted before it is sent: an answer that is lost must not make the part unknown.
            sent = self._journal[place] = digest_of(data)
            self._node.contribute(task, what, data)
        if self._key_holder is not None:
            self._key_holder.commit(task, what, sent)
