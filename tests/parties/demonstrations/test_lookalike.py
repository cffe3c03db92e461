from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console
from sklearn.decomposition import TruncatedSVD
from sklearn.metrics.pairwise import cosine_similarity
from store_groups import small_groups
from typer.testing import CliRunner

from hecf.data import UserItems
from parties.cli import app
from parties.demonstrations import lookalike

SIZES = {"SOURCE": "west", "TARGET": "south", "SEEDS": 5, "PLACES": 6, "FACTORS": 3}


@pytest.fixture
def small(monkeypatch) -> None:
    monkeypatch.setattr(lookalike, "load_franchises", small_groups)
    for name, value in SIZES.items():
        monkeypatch.setattr(lookalike, name, value)


def bought(part: str, name: str) -> np.ndarray:
    """Whether the shoppers of training (rows) bought the items, in training or later."""
    group = small_groups()[name]
    users = UserItems.from_tables([group.training]).user_ids
    table = UserItems.from_tables([getattr(group, part)]).with_users(users)
    return table.with_items(group.item_ids).counts.toarray()


@pytest.mark.parametrize(("transport", "steps"), [("memory", 4), ("grpc", 6)])
def test_later_baskets_judge_who_was_found(small, transport, steps) -> None:
    told: list[str] = []
    results = lookalike.run("clear", transport, told.append)
    assert len(told) == steps
    assert results["transport"] == transport
    assert results["overlap"] == 1.0
    found = results["later_similarity"]
    assert found["encrypted"] == found["pooled"]

    before = {name: bought("training", name) for name in small_groups()}
    later = {name: bought("later", name) > 0 for name in ("west", "south")}
    lines = before["west"].sum(axis=1) * later["west"].any(axis=1)
    seeds = np.argsort(-lines, kind="stable")[:5]
    judged = cosine_similarity(later["west"], later["south"])[seeds]
    assert found["anybody"] == pytest.approx(judged.mean())
    frequent = np.argsort(-before["south"].sum(axis=1), kind="stable")[:6]
    assert found["alone"] == pytest.approx(judged[:, frequent].mean())
    units = {
        name: (rows > 0) / np.linalg.norm(rows > 0, axis=1)[:, None]
        for name, rows in before.items()
    }
    pooled = np.vstack([rows > 0 for rows in before.values()]).astype(float)
    axes = TruncatedSVD(3, algorithm="arpack", random_state=0).fit(pooled).components_
    alike = units["west"][seeds] @ axes.T @ axes @ units["south"].T
    nearest = np.argsort(-alike, axis=1)[:, :6]
    expected = np.take_along_axis(judged, nearest, axis=1).mean()
    assert found["pooled"] == pytest.approx(expected)
    # Whoever is chosen makes a difference.
    farthest = np.take_along_axis(judged, np.argsort(alike, axis=1)[:, :6], axis=1).mean()
    assert farthest != pytest.approx(expected)

    written = io.StringIO()
    lookalike.show(results, Console(file=written, width=120))
    assert f"{expected:.4f}" in written.getvalue()
    assert "100.0% the same as in clear" in written.getvalue()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--factors", "8"], "the lookalike demonstration has no such option"),
    ],
)
def test_unsuitable_options_are_refused(options, message) -> None:
    result = CliRunner().invoke(app, ["demo", "lookalike", *options])
    assert result.exit_code == 1
    assert message in result.stderr


def test_results_are_written(small, tmp_path) -> None:
    path = tmp_path / "results.json"
    options = ["--scheme", "clear", "--transport", "memory", "--json", str(path)]
    result = CliRunner().invoke(app, ["demo", "lookalike", *options])
    assert result.exit_code == 0, result.stderr
    assert '"story": "lookalike"' in path.read_text()
    assert "chance: any shopper of south" in result.stdout
