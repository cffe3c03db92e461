"""The demonstration of look-alike shoppers: one group's best customers, another's like them.

Three groups of stores find the strongest axes of all their purchases over encrypted sums, then one
compares its best customers with the shoppers of another under encryption. How alike they are is
judged by what both buy in the weeks that no model has seen. Node, key holder and every group are
processes that talk over mutual TLS.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.sparse import csr_array, vstack

from hecf.coalition import Coalition
from hecf.data import UserItems
from hecf.data.complete_journey_stores import load_franchises
from hecf.evaluation import top_overlap
from hecf.he.scheme import streaming_scheme
from hecf.he.similarity.plan import normalise_rows
from hecf.models import top_k
from hecf.recommenders import PureSVD
from parties.demonstrations.store_groups import store_groups

Progress = Callable[[str], None]
SOURCE, TARGET = "village", "metro"
SEEDS = 30
PLACES = 20
FACTORS = 16


def run(scheme: str, transport: str, progress: Progress) -> dict[str, Any]:
    """Run the demonstration and return its results.

    Raises
    ------
    ConfigurationError
        If the scheme cannot multiply two encrypted matrices, or the data are not installed.
    HecfError
        With one sentence for whatever went wrong in whichever process.
    """
    streaming_scheme(scheme)
    progress("cutting the data by store")
    groups = load_franchises()
    data = {
        name: UserItems.from_tables([group.training]).with_items(group.item_ids)
        for name, group in groups.items()
    }
    later = {
        name: UserItems.from_tables([groups[name].later])
        .with_users(data[name].user_ids)
        .with_items(data[name].item_ids)
        .counts
        for name in (SOURCE, TARGET)
    }
    settings = PureSVD(factors=FACTORS)
    # Her count of lines makes a customer one of the best; a later basket makes her comparable.
    lines = data[SOURCE].counts.sum(axis=1) * (np.diff(later[SOURCE].indptr) > 0)
    seeds = np.argsort(-lines, kind="stable")[:SEEDS]
    start = time.perf_counter()
    search = _in_memory if transport == "memory" else _over_grpc
    found = search(data, scheme, seeds, progress)
    seconds = time.perf_counter() - start
    progress("computing the clear twin for comparison")
    pooled = PureSVD(**settings.get_params()).fit(
        csr_array(vstack([entry.counts for entry in data.values()]))
    )
    clear = _nearest(pooled, data, seeds)
    frequent = np.argsort(-data[TARGET].counts.sum(axis=1), kind="stable")[:PLACES]
    baskets = [normalise_rows((later[name] > 0).toarray()) for name in (SOURCE, TARGET)]
    alike = baskets[0][seeds] @ baskets[1].T
    return {
        "story": "lookalike",
        "scheme": scheme,
        "transport": transport,
        "shoppers": {name: len(entry.user_ids) for name, entry in data.items()},
        "seeds": SEEDS,
        "places": PLACES,
        "seconds": {"together": seconds},
        "overlap": top_overlap(clear, found),
        "later_similarity": {
            "anybody": float(alike.mean()),
            "alone": float(alike[:, frequent].mean()),
            "pooled": float(np.take_along_axis(alike, clear, axis=1).mean()),
            "encrypted": float(np.take_along_axis(alike, found, axis=1).mean()),
        },
    }


def show(results: Mapping[str, Any], console: Console) -> None:
    """Print how alike later baskets are, by who was chosen."""
    chosen = {
        "anybody": f"chance: any shopper of {TARGET}",
        "alone": f"{TARGET}'s own best customers, without the coalition",
        "pooled": "the pooled model in clear",
        "encrypted": "the encrypted model",
    }
    table = Table("chosen by", "mean cosine of baskets in weeks 40 to 53")
    for which, text in chosen.items():
        table.add_row(text, f"{results['later_similarity'][which]:.4f}")
    console.print(table)
    console.print(
        f"{results['seeds']} best customers of {SOURCE}, {results['places']} shoppers of {TARGET} "
        f"for each; {results['overlap']:.1%} the same as in clear; "
        f"{results['seconds']['together']:.1f} s together"
    )


def _in_memory(
    data: Mapping[str, UserItems], scheme: str, seeds: NDArray[np.int64], progress: Progress
) -> NDArray[np.int64]:
    coalition = Coalition(data, scheme=scheme)
    progress("finding the axes of all purchases over encrypted sums")
    models = coalition.fit(PureSVD(factors=FACTORS))
    progress("comparing shoppers under encryption")
    return coalition.similar_users(models, SOURCE, seeds, TARGET, N=PLACES)[0]


def _over_grpc(
    data: Mapping[str, UserItems], scheme: str, seeds: NDArray[np.int64], progress: Progress
) -> NDArray[np.int64]:
    # A group's file has no line of a shopper who bought nothing of the shared catalogue.
    rows = {name: np.flatnonzero(np.diff(entry.counts.indptr)) for name, entry in data.items()}
    with store_groups("lookalike", data, scheme, progress) as groups:
        progress("finding the axes of all purchases over encrypted sums")
        models = groups.fit("pure-svd", {"factors": FACTORS})
        progress("comparing shoppers under encryption")
        asked, found = groups.folder / "seeds.txt", groups.folder / "found.parquet"
        asked.write_text("".join(f"{data[SOURCE].user_ids[row]}\n" for row in seeds))
        number = ["--count", str(PLACES)]
        files = ["--users", str(asked), "--out", str(found)]
        size = ["--candidates", str(len(rows[TARGET]))]
        question = ["lookalike", "ask", TARGET, "--model", str(models[SOURCE])]
        answer = ["lookalike", "answer", SOURCE, "--model", str(models[TARGET])]
        groups.run({SOURCE: [*question, *files, *size, *number], TARGET: [*answer, *number]})
        table = pq.read_table(found, columns=["row"])
    return np.asarray(rows[TARGET][table["row"].to_numpy()].reshape(len(seeds), PLACES))


def _nearest(
    model: PureSVD, data: Mapping[str, UserItems], seeds: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rows of the target nearest to the seeds, by the pooled model."""
    sizes = np.cumsum([0, *(len(entry.user_ids) for entry in data.values())])
    places = dict(zip(data, sizes[:-1], strict=True))
    directions = model.user_directions
    first = places[TARGET]
    theirs = directions[first : first + len(data[TARGET].user_ids)]
    return top_k(directions[places[SOURCE] + seeds] @ theirs.T, PLACES)[0]
