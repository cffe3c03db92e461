"""The retailer's process: its own data in, recommendations for its own members out."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, nullcontext
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hecf.errors import ConfigurationError
from hecf.evaluation import calibrated_recall, ndcg
from hecf.he.ckks import CkksEncryptor
from hecf.he.matrices import PublicKey
from hecf.he.parameters import ParameterSet
from hecf.he.scheme import Encryptor
from hecf.kits.connection import connected
from hecf.kits.files import write_private
from hecf.kits.kit import Kit
from hecf.measure import Measurements
from hecf.models import LocalEmbedding, MostPopular, top_k
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.protocol.tasks import has_gram_task
from hecf.protocol.terms import BLINDED, NO_DIRECTORY, OWN_KEY
from hecf.recipes.vertical import Recommendations, VerticalRetailer
from parties.processes import asking
from parties.processes.encryption_pool import EncryptionPool
from parties.processes.journal import FileJournal
from parties.processes.local_data import LocalData, load
from parties.system.worker import WorkerLimits

RECOMMENDATIONS = "recommendations.parquet"
CATALOGUE = "catalogue.parquet"
SUMMARY = "summary.json"
CONTRIBUTIONS = "contributions.json"


class RetailerProcess:
    """A retailer that takes part once and stays until it is stopped."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._writing = threading.Lock()

    def start(self) -> None:
        """Take part, and write recommendations and summary."""
        run_over_grpc(self._kit, self._writing)

    def stop(self) -> None:
        """Let files that are being written be completed, and no others be begun."""
        self._writing.acquire()

    def summary(self) -> None:
        """Say nothing: the summary was written with the recommendations."""


def run_over_grpc(kit: Kit, writing: threading.Lock) -> None:
    """Run the coalition's recipe against the node and key holder of the kit.

    Parameters
    ----------
    kit : Kit
    writing : threading.Lock
        Held while files are written, so that an end of the process does not come in between.
    """
    measurements = Measurements()
    with connected(kit, measurements) as (node, key_holder):
        run(kit, node, key_holder, measurements, writing)


def run(
    kit: Kit,
    node: ComputeNode,
    key_holder: KeyHolder,
    measurements: Measurements,
    writing: threading.Lock | None = None,
) -> None:
    """Load the data, take part in the coalition, and write recommendations and summary.

    Raises
    ------
    HecfError
        If data, kit or another party is not as agreed; nothing is written then.
    """
    if not has_gram_task(kit.terms):
        raise ConfigurationError(
            "the terms agree on sums only, and members are scored from Gram blocks",
            got=f"scheme {kit.terms.scheme}, clip {kit.terms.clip:g}, "
            f"{'no' if kit.terms.directory == NO_DIRECTORY else 'a'} member directory",
            expected="members, scheme ckks, with [privacy] a clip above 0; or hecf fit --kit",
        )
    data = load(kit)
    embedding = LocalEmbedding.fit(data.training, kit.terms.factors, kind=_weighting(kit))
    journal = FileJournal(kit.state / CONTRIBUTIONS)
    start = time.perf_counter()
    if kit.terms.topology == OWN_KEY:
        answers = asking.ask(kit, data, embedding, node, key_holder, measurements, journal)
        more = asking.saw(kit, data, answers)
        tables = {
            RECOMMENDATIONS: asking.recommendations(data, answers),
            CATALOGUE: asking.catalogue(data),
        }
    else:
        with ExitStack() as pools:
            retailer = VerticalRetailer(
                kit.terms,
                kit.party.name,
                node,
                key_holder,
                measurements,
                _encryptor(kit, pools),
                journal,
            )
            found = retailer.run(embedding, data.rows)
        more = _released(kit, data, found)
        tables = {RECOMMENDATIONS: _recommendations(data, found)}
    more["seconds_taking_part"] = time.perf_counter() - start
    summary = _summary(kit, data, measurements) | more
    with writing or nullcontext():
        for name, table in tables.items():
            sink = pa.BufferOutputStream()
            pq.write_table(table, sink)
            write_private(kit.output / name, sink.getvalue().to_pybytes())
        write_private(kit.output / SUMMARY, json.dumps(summary, indent=1).encode())


def _encryptor(kit: Kit, pools: ExitStack) -> Callable[[ParameterSet, bytes], Encryptor] | None:
    """Say how to encrypt in as many processes as the kit allows, until `pools` is closed."""
    processes = kit.configuration.limits.encryption_processes
    if processes == 1 or kit.terms.scheme != "ckks":
        return None

    def make(parameters: ParameterSet, public_key: bytes) -> Encryptor:
        key = PublicKey.from_bytes(parameters, public_key)
        pool = EncryptionPool(key, processes, WorkerLimits.of(kit))
        pools.enter_context(closing(pool))
        pool.start()
        return CkksEncryptor(key, pool)

    return make


def _weighting(kit: Kit) -> Any:
    if kit.configuration.data is None:
        raise ConfigurationError("the kit is not a retailer's", got=kit.party.role)
    return kit.configuration.data.weighting


def _recommendations(data: LocalData, found: Recommendations) -> pa.Table:
    count, k = found.items.shape
    items = np.array(data.item_ids, dtype=object)
    return pa.table(
        {
            "user_id": np.repeat(np.array(data.members, dtype=object), k),
            "item_id": items[found.items.ravel()],
            "score": found.scores.ravel(),
            "rank": np.tile(np.arange(1, k + 1), count),
        }
    )


def _summary(kit: Kit, data: LocalData, measurements: Measurements) -> dict[str, Any]:
    return {
        "role": kit.party.role,
        "name": kit.party.name,
        "pid": os.getpid(),
        "items": len(data.item_ids),
        "interactions": data.interactions,
        "seconds": measurements.seconds,
        "bytes": measurements.bytes,
    }


def _released(kit: Kit, data: LocalData, found: Recommendations) -> dict[str, Any]:
    """Say what was scored, what the retailer saw, and how good it is where that is known."""
    summary: dict[str, Any] = {
        "scored": len(data.rows),
        "saw": [
            f"its own {data.interactions:,} interactions with {len(data.item_ids):,} items",
            f"{len(kit.terms.retailers) * (len(kit.terms.retailers) - 1) // 2} Gram blocks of "
            f"{kit.terms.factors} x {kit.terms.factors} numbers",
            f"the best {found.items.shape[1]} items of {len(data.rows):,} members of its own"
            + (", out of all their scores" if kit.terms.topology == BLINDED else ""),
        ],
    }
    if data.relevant is not None:
        popular = MostPopular.fit(data.training).scores
        by_popularity = top_k(np.tile(popular, (len(data.rows), 1)), found.items.shape[1])[0]
        summary["metrics"] = {
            "popularity": _metrics(by_popularity, data),
            "encrypted": _metrics(found.items.astype(np.int64), data),
        }
    return summary


def _metrics(recommended: Any, data: LocalData) -> dict[str, float]:
    total = data.relevant_total
    if data.relevant is None or total is None:
        raise ConfigurationError("nothing is known of what the members bought")
    return {
        "recall": calibrated_recall(recommended, data.relevant, relevant_total=total),
        "ndcg": ndcg(recommended, data.relevant, relevant_total=total),
    }
