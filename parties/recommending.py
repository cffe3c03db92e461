"""What the commands on recommenders do with files: fit, recommend, evaluate, describe."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hecf.coalition import Coalition
from hecf.data import ColumnNames, UserItems, stream_interactions
from hecf.errors import ConfigurationError, InvalidInput
from hecf.evaluation import compare, evaluate
from hecf.kits.files import write_private
from hecf.kits.kit import Kit
from hecf.recommenders import (
    EASE,
    AlternatingLeastSquares,
    ItemKNN,
    MostPopular,
    PureSVD,
    Recommender,
    load_recommender,
)

Progress = Callable[[str], None]
MODELS: Mapping[str, type[Recommender]] = {
    "most-popular": MostPopular,
    "item-knn": ItemKNN,
    "ease": EASE,
    "als": AlternatingLeastSquares,
    "pure-svd": PureSVD,
}
_USERS_AT_ONCE = 1024


def read(path: Path, columns: ColumnNames) -> UserItems:
    """Read a file part by part."""
    return UserItems.from_tables(stream_interactions(path, columns))


def configured(name: str, settings: Sequence[str]) -> Recommender:
    """Make a recommender from settings such as ``penalty=200``.

    Raises
    ------
    ConfigurationError
        If a setting is unknown or of another kind than its default.
    """
    model = MODELS[name]()
    defaults = model.get_params()
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or key not in defaults:
            raise ConfigurationError(
                f"{name} has no such setting",
                got=setting,
                expected=", ".join(f"{known}={value}" for known, value in defaults.items())
                or "no settings",
            )
        try:
            model.set_params(**{key: type(defaults[key])(text)})
        except ValueError:
            expected = f"a value like {defaults[key]}"
            raise ConfigurationError(
                f"the setting {key} cannot be read", got=text, expected=expected
            ) from None
    return model


def fit_together(
    model: Recommender,
    files: Mapping[str, Path],
    columns: ColumnNames,
    scheme: str,
    out: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Fit a recommender on several retailers' files in this process, over encrypted sums."""
    data = {}
    for name, path in files.items():
        progress(f"reading {path}")
        data[name] = read(path, columns)
    coalition = Coalition(data, scheme=scheme)
    progress(f"fitting {model!r} of {len(data)} retailers")
    fitted = coalition.fit(model)
    out.mkdir(parents=True, exist_ok=True)
    for name, one in fitted.items():
        one.save(out / f"{name}.npz")
    return {
        "model": repr(model),
        "scheme": scheme,
        "items": len(coalition.item_ids),
        "retailers": {name: len(entry.user_ids) for name, entry in coalition.user_items.items()},
        "files": {name: str(out / f"{name}.npz") for name in fitted},
    }


def fit_with_kit(
    model: Recommender,
    kit: Kit,
    catalogue: Sequence[str] | None,
    session: str,
    out: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Take part in a fit with running parties, as the retailer of a kit.

    Raises
    ------
    ConfigurationError
        If the kit is not a retailer's, or names no file of interactions.
    HecfError
        If another party is not as agreed; nothing is written then.
    """
    progress("reading the interactions")
    coalition = Coalition.connect(kit, columns=ColumnNames(timestamp=None), catalogue=catalogue)
    progress(f"fitting {model!r} with {kit.terms.coalition}")
    coalition.fit(model, session=session)[coalition.name].save(out)
    return {
        "model": repr(model),
        "scheme": kit.terms.scheme,
        "items": len(coalition.item_ids),
        "shoppers": len(coalition.user_items[coalition.name].user_ids),
        "seconds": coalition.measurements.seconds,
        "bytes": coalition.measurements.bytes,
        "file": str(out),
    }


def recommendations(
    model: Recommender, data: UserItems, count: int, *, new_only: bool = True
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Best items of every shopper of a file, some shoppers at a time."""
    found = []
    for start in range(0, len(data.user_ids), _USERS_AT_ONCE):
        rows = csr_array(data.counts[start : start + _USERS_AT_ONCE])
        users = np.arange(rows.shape[0])
        found.append(
            model.recommend(
                users, rows, N=count, filter_already_liked_items=new_only, recalculate_user=True
            )
        )
    return np.concatenate([ids for ids, _ in found]), np.concatenate([s for _, s in found])


def named(path: Path) -> tuple[Recommender, tuple[str, ...]]:
    """Load a model that knows the names of its items."""
    model = load_recommender(path)
    if model.item_ids is None:
        raise InvalidInput(f"the model {path.name!r} does not know the names of its items")
    return model, model.item_ids


def write_ranking(
    path: Path,
    user_ids: Sequence[str],
    item_ids: Sequence[str],
    ids: NDArray[np.int32],
    scores: NDArray[np.float64],
) -> None:
    """Write ``user_id,item_id,score,rank``; see :func:`write_table`."""
    places = np.arange(1, ids.shape[1] + 1)
    real = ids.ravel() >= 0
    write_table(
        path,
        {
            "user_id": np.repeat(np.array(user_ids, dtype=object), ids.shape[1])[real],
            "item_id": np.array(item_ids, dtype=object)[ids.ravel()[real]],
            "score": scores.ravel()[real],
            "rank": np.tile(places, len(user_ids))[real],
        },
    )


def write_table(path: Path, columns: Mapping[str, NDArray[Any] | list[Any]]) -> None:
    """Write columns as Parquet or CSV, by the file's extension.

    Raises
    ------
    ConfigurationError
        If the extension is another, or the file cannot be written.
    """
    writers = {".parquet": pq.write_table, ".csv": pc.write_csv}
    if path.suffix.lower() not in writers:
        raise ConfigurationError(
            f"{path.name} has an unknown format", got=path.suffix, expected=" or ".join(writers)
        )
    sink = io.BytesIO()
    writers[path.suffix.lower()](pa.table(dict(columns)), sink)
    # What is found describes shoppers, so nobody else on the machine may read it.
    write_private(path, sink.getvalue())


def judge(
    model: Recommender,
    history: UserItems,
    later: UserItems,
    count: int,
    *,
    clear: Recommender | None = None,
    new_only: bool = False,
) -> dict[str, Any]:
    """Evaluate a model on what shoppers bought later, beside its clear twin if there is one.

    Shoppers of `later` without a history are the cold ones. Items outside the catalogue of the
    model count as missed. With `new_only` neither recommendations nor purchases count that the
    history has.
    """
    if model.item_ids is None:
        raise InvalidInput("the model does not know the names of its items")
    known = history.with_users(later.user_ids).with_items(model.item_ids)
    relevant = later.with_items(model.item_ids).counts
    total = np.diff(later.counts.indptr).astype(np.int64)
    if new_only:
        again = relevant.multiply(known.counts > 0)
        total -= np.diff(csr_array(again).indptr)
        relevant = csr_array(relevant - again)
        relevant.eliminate_zeros()
    about = {"relevant_total": total, "history": known.counts}
    mine = recommendations(model, known, count, new_only=new_only)
    if clear is None:
        found = evaluate(mine[0].astype(np.int64), relevant, **about)  # type: ignore[arg-type]
        return {group: quality.as_dict() for group, quality in found.items()}
    twin = recommendations(clear, known, count, new_only=new_only)
    pairs = [(ids.astype(np.int64), scores) for ids, scores in (twin, mine)]
    return compare(pairs[0], pairs[1], relevant, **about).as_dict()  # type: ignore[arg-type]


def described(data: UserItems) -> dict[str, Any]:
    """Sizes and shape of interactions, without any id."""
    counts = data.counts
    per_user = np.diff(counts.indptr)
    per_item = np.bincount(counts.indices, minlength=counts.shape[1])
    ordered = np.sort(per_item)[::-1]
    tenth = max(1, ordered.size // 10)
    return {
        "users": len(data.user_ids),
        "items": len(data.item_ids),
        "interactions": int(counts.nnz),
        "total": float(counts.sum()),
        "largest count": float(counts.data.max(initial=0.0)),
        "density": counts.nnz / (counts.shape[0] * counts.shape[1]),
        "items a user": _spread(per_user),
        "users an item": _spread(per_item),
        "share of the top tenth of items": float(ordered[:tenth].sum() / max(1, counts.nnz)),
    }


def _spread(values: NDArray[np.int64]) -> dict[str, float]:
    return {
        "least": int(values.min()),
        "median": float(np.median(values)),
        "mean": float(values.mean()),
        "most": int(values.max()),
    }
