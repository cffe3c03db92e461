"""The demonstration of franchise groups: one catalogue, different shoppers, encrypted sums.

Three groups of stores of the Complete Journey data fit item-kNN and EASE together, as five
processes over mutual TLS. Then the pooled model, which nobody could compute, is computed in clear
for comparison, and so is what each group could do alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from scipy.sparse import csr_array, vstack

from hecf.coalition import Coalition
from hecf.data import UserItems
from hecf.data.complete_journey_stores import CompleteJourneyFranchise, load_franchises
from hecf.evaluation import compare, evaluate
from hecf.recommenders import Recommender, load_recommender
from parties.demonstrations.store_groups import store_groups
from parties.recommending import MODELS, recommendations

Progress = Callable[[str], None]
FITS: Mapping[str, Mapping[str, float]] = {"item-knn": {"K": 50}, "ease": {"penalty": 1000.0}}
MINIMUM_BUYERS: Mapping[str, int] = {"ckks": 60, "clear": 60, "paillier": 120}
"""Paillier takes about a hundred times longer for a product of items: it gets fewer items."""
PLACES = 20


def run(scheme: str, transport: str, progress: Progress) -> dict[str, Any]:
    """Run the demonstration and return its results.

    Raises
    ------
    HecfError
        With one sentence for whatever went wrong in whichever process.
    """
    progress("cutting the data by store")
    groups = load_franchises(MINIMUM_BUYERS[scheme])
    data = {
        name: UserItems.from_tables([group.training]).with_items(group.item_ids)
        for name, group in groups.items()
    }
    models = {name: configured(name) for name in FITS}
    start = time.perf_counter()
    if transport == "memory":
        coalition = Coalition(data, scheme=scheme)
        progress("fitting over encrypted sums, in one process")
        fitted = {name: dict(coalition.fit(model)) for name, model in models.items()}
    else:
        fitted = _over_grpc(data, scheme, progress)
    seconds = time.perf_counter() - start
    progress("computing the clear twins for comparison")
    return {
        "story": "franchise",
        "scheme": scheme,
        "transport": transport,
        "items": len(next(iter(data.values())).item_ids),
        "shoppers": {name: len(entry.user_ids) for name, entry in data.items()},
        "seconds": {"together": seconds},
        "models": {
            name: _judged(model, fitted[name], data, groups) for name, model in models.items()
        },
    }


def configured(name: str) -> Recommender:
    """Make one of the demonstration's recommenders."""
    return MODELS[name]().set_params(**FITS[name])


def show(results: Mapping[str, Any], console: Console) -> None:
    """Print recall and NDCG of every group: alone, pooled in clear, and encrypted."""
    table = Table(title=f"New items of weeks 40 to 53 among the best {PLACES}")
    for head in ("model", "group", "shoppers", "", "popular", "alone", "pooled", "encrypted"):
        table.add_column(head, justify="left" if head in ("model", "group", "") else "right")
    for model, groups in results["models"].items():
        for group, found in groups.items():
            for metric in ("recall", "NDCG"):
                key = "calibrated_recall" if metric == "recall" else "ndcg"
                values = [f"{found[which][key]:.4f}" for which in _COLUMNS]
                table.add_row(model, group, str(found["shoppers"]), metric, *values)
    console.print(table)
    every = [found for groups in results["models"].values() for found in groups.values()]
    worst = max(found["error"] for found in every)
    console.print(
        f"{results['items']:,} items; largest score error against the pooled model {worst:.1e}; "
        f"{results['seconds']['together']:.1f} s together"
    )


_COLUMNS = ("popular", "alone", "pooled", "encrypted")


def _judged(
    model: Recommender,
    fitted: Mapping[str, Recommender],
    data: Mapping[str, UserItems],
    groups: Mapping[str, CompleteJourneyFranchise],
) -> dict[str, Any]:
    pooled = csr_array(vstack([entry.counts for entry in data.values()]))
    twin = _fresh(model).fit(pooled)
    found: dict[str, Any] = {}
    for name, entry in data.items():
        bought = UserItems.from_tables([groups[name].later])
        relevant = bought.with_users(entry.user_ids).with_items(entry.item_ids).counts
        new = csr_array(relevant - relevant.multiply(entry.counts > 0))
        new.eliminate_zeros()
        best = {
            "alone": _fresh(model).fit(entry),
            "popular": MODELS["most-popular"]().fit(entry),
        }
        compared = compare(_ranked(twin, entry), _ranked(fitted[name], entry), new)
        found[name] = {
            "shoppers": compared.clear["all"].shoppers,
            **{
                key: evaluate(_ranked(one, entry)[0], new)["all"].as_dict()
                for key, one in best.items()
            },
            "pooled": compared.clear["all"].as_dict(),
            "encrypted": compared.encrypted["all"].as_dict(),
            "overlap": compared.overlap,
            "error": compared.largest_error,
        }
    return found


def _fresh(model: Recommender) -> Recommender:
    return type(model)(**model.get_params())


def _ranked(model: Recommender, entry: UserItems) -> tuple[Any, Any]:
    ids, scores = recommendations(model, entry, PLACES)
    return ids.astype("int64"), scores


def _over_grpc(
    data: Mapping[str, UserItems], scheme: str, progress: Progress
) -> dict[str, dict[str, Recommender]]:
    fitted: dict[str, dict[str, Recommender]] = {}
    with store_groups("franchise", data, scheme, progress) as groups:
        for model, settings in FITS.items():
            progress(f"fitting {model} over encrypted sums, one process for each group")
            files = groups.fit(model, settings)
            fitted[model] = {name: load_recommender(path) for name, path in files.items()}
    return fitted
